import { expect, test } from 'vitest';
import type { HopId, TrainId } from './id.ts';
import { basesFor, type ClearedImage, layersShared } from './image-difference.ts';
import type { TrainImage } from './train.ts';

function image(letters: string, platform: TrainImage['platform'] = 'linux/amd64'): TrainImage {
  const layers = [...letters].map((letter) => ({ diffId: letter.repeat(64), bytes: 1 }));
  return { configDigest: 'f'.repeat(64), configBytes: 2, platform, layers };
}

function cleared(title: string, researcher: string, of: TrainImage, clearedAtMs: number): ClearedImage {
  const ids = { hopId: `hop_${'0'.repeat(24)}` as HopId, trainId: `trn_${'0'.repeat(24)}` as TrainId };
  return { ...ids, title, researcher, image: of, clearedAtMs, by: 'person' };
}

test('the first layers in common count, up to where they part', () => {
  expect(layersShared(image('abc'), image('abd'))).toBe(2);
  expect(layersShared(image('abc'), image('xbc'))).toBe(0);
  expect(layersShared(image('ab'), image('abc'))).toBe(2);
  expect(layersShared(image('abc'), image('ab'))).toBe(2);
  expect(layersShared(image('abc'), image('abc'))).toBe(3);
});

test('a base is of the same researcher first, then nearest, then newest, and never of another platform', () => {
  const list = [
    cleared('newest', 'lee', image('xyz'), 9),
    cleared('arm', 'rosa', image('abc', 'linux/arm64'), 8),
    cleared('old and near', 'rosa', image('abd'), 1),
    cleared('far', 'rosa', image('x'), 5),
    cleared('far and newer', 'rosa', image('y'), 6),
    cleared('nearest', 'lee', image('abc'), 2),
  ];
  expect(basesFor(image('abc'), 'rosa', list).map((base) => [base.cleared.title, base.layersShared])).toEqual(
    [
      ['old and near', 2],
      ['far and newer', 0],
      ['far', 0],
      ['nearest', 3],
      ['newest', 0],
    ],
  );
});
