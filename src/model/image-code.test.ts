import { expect, test } from 'vitest';
import { codeDigestOf, standsOnOneOf } from './image-code.ts';
import type { ImageConfig } from './image-config.ts';
import type { TrainImage } from './train.ts';

const hex = (letter: string): string => letter.repeat(64);

function imageOf(...letters: string[]): TrainImage {
  return {
    configDigest: hex('f'),
    configBytes: 100,
    platform: 'linux/amd64',
    layers: letters.map((letter) => ({ diffId: hex(letter), bytes: 10 })),
  };
}

const CONFIG: ImageConfig = {
  entrypoint: ['/usr/bin/python3', '/train.py'],
  workingDir: '/',
  env: ['PATH=/bin', 'A=1'],
  user: '',
  labels: {},
  platform: 'linux/amd64',
  diffIds: [hex('a'), hex('b')],
};

test('the code of a train is how it starts and its top layer, whatever it stands on', () => {
  const digest = codeDigestOf(CONFIG, imageOf('a', 'b'));
  // Made with another program: python3, json.dumps(sort_keys=True, separators=(',', ':')).
  expect(digest).toBe('437cd11adad1d82540d9e9efdad05f55ecbecaf38deea75a073cb9f001e91ca4');
  expect(codeDigestOf({ ...CONFIG, labels: { built: 'today' } }, imageOf('c', 'd', 'b'))).toBe(digest);
});

test.each<[string, Partial<ImageConfig>]>([
  ['command', { entrypoint: ['/usr/bin/python3', '/other.py'] }],
  ['split of the command', { entrypoint: ['/usr/bin/python3 /train.py'] }],
  ['environment', { env: ['PATH=/bin', 'A=2'] }],
  ['order of the environment', { env: ['A=1', 'PATH=/bin'] }],
  ['folder', { workingDir: '/tmp' }],
  ['user', { user: '0' }],
  ['platform', { platform: 'linux/arm64' }],
])('another %s is other code', (_what, changed) => {
  const image = imageOf('a', 'b');
  expect(codeDigestOf({ ...CONFIG, ...changed }, image)).not.toBe(codeDigestOf(CONFIG, image));
});

test('another top layer is other code', () => {
  expect(codeDigestOf(CONFIG, imageOf('a', 'c'))).not.toBe(codeDigestOf(CONFIG, imageOf('a', 'b')));
});

test('an image stands on an approved one when its layers below the top are those of that one, in order', () => {
  const approved = [imageOf('a', 'b', 'c'), imageOf('d', 'e')];
  expect(standsOnOneOf(imageOf('a', 'b', '1'), approved)).toBe(true);
  expect(standsOnOneOf(imageOf('a', 'b', 'c', '1'), approved)).toBe(true);
  expect(standsOnOneOf(imageOf('b', 'a', '1'), approved)).toBe(false);
  expect(standsOnOneOf(imageOf('a', 'e', '1'), approved)).toBe(false);
  expect(standsOnOneOf(imageOf('a', 'b', 'c', 'd', '1'), approved)).toBe(false);
  expect(standsOnOneOf(imageOf('b', '1'), approved)).toBe(false);
  expect(standsOnOneOf({ ...imageOf('a', '1'), platform: 'linux/arm64' }, approved)).toBe(false);
  expect(standsOnOneOf(imageOf('a', '1'), [])).toBe(false);
});

test('an image that leaves out an approved layer stands on nothing: what that one removed would be there again', () => {
  expect(standsOnOneOf(imageOf('a', '1'), [imageOf('a', 'b', 'c')])).toBe(false);
  expect(standsOnOneOf(imageOf('1'), [imageOf('a', 'b')])).toBe(false);
  expect(standsOnOneOf(imageOf('1'), [imageOf('b')])).toBe(true);
});
