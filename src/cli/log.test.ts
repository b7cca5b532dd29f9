import { expect, test } from 'vitest';
import { PhtError } from '../model/error.ts';
import { inLog } from './log.ts';

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
