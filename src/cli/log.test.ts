import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { PhtError } from '../model/error.ts';
import { inLog } from './log.ts';

const EVIL = 'a\x1b[2J\x1b]0;owned\x07\u009b31m\u202eb\u200b\u2028c\n';

test('an error stands in the log with its words and what caused it', () => {
  const cause = new PhtError('engine.unreachable', 'the engine is away', { cause: { ended: 'memory' } });
  const error = new PhtError('policy.denied', 'not permitted', { reasons: ['one'], cause });
  expect(inLog(error)).toStrictEqual({
    code: 'policy.denied',
    message: 'not permitted',
    reasons: ['one'],
    cause: { code: 'engine.unreachable', message: 'the engine is away', cause: { ended: 'memory' } },
  });
});

test('what nobody foresaw stands there with its place', () => {
  expect(inLog(new TypeError('x is undefined'))).toMatchObject({
    message: 'x is undefined',
    stack: expect.stringContaining('log.test.ts'),
  });
});

test('a cause that goes round in a circle ends', () => {
  const error = new Error('round');
  error.cause = error;
  expect(JSON.stringify(inLog(error)).match(/"message"/g)).toHaveLength(6);
});

test('a line of the log holds nothing that a terminal acts on, and loses nothing', () => {
  const program = `import { createLog } from ${JSON.stringify(new URL('log.ts', import.meta.url).href)};
    createLog('x').info({ file: ${JSON.stringify(EVIL)}, error: new Error(${JSON.stringify(EVIL)}) }, 'said');`;
  const { stderr } = spawnSync(process.execPath, ['--input-type=module-typescript', '-e', program], {
    encoding: 'utf8',
  });
  expect(stderr.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
  expect(JSON.parse(stderr)).toMatchObject({ file: EVIL, error: { message: EVIL } });
});
