import { Metadata, status } from '@grpc/grpc-js';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ERROR_CODES, isErrorCode, PhtError } from '../../model/error.ts';
import { cleanText, fromStatus, toStatus } from './status.ts';

const FORBIDDEN_CHARS = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

test('every code crosses the wire and comes back with message and hint', () => {
  for (const code of ERROR_CODES) {
    const sent = toStatus(new PhtError(code, 'Station Süd is not there', { hint: 'wait' }));
    expect(sent.code).not.toBe(status.OK);
    expect(fromStatus(sent)).toMatchObject({ code, message: 'Station Süd is not there', hint: 'wait' });
  }
});

test('a cause or a stack never leaves', () => {
  const error = new PhtError('conflict', 'no', { cause: new Error('/srv/secret/patients.csv') });
  const foreign = new Error('password=hunter2');
  for (const thrown of [error, foreign, 'hunter2 secret', undefined]) {
    const { details, metadata } = toStatus(thrown);
    const everything = details + Object.values(metadata.getMap()).join('');
    expect(everything).not.toMatch(/secret|hunter2|at .*\.ts/);
  }
  expect(fromStatus(toStatus(foreign)).code).toBe('internal');
});

test('an unknown code is internal, and so is a code that is sent twice', () => {
  const metadata = new Metadata();
  metadata.set('pht-code-bin', Buffer.from('rm-rf'));
  expect(fromStatus({ code: 9, details: '', metadata }).code).toBe('internal');
  const twice = new Metadata();
  twice.add('pht-code-bin', Buffer.from('conflict'));
  twice.add('pht-code-bin', Buffer.from('forbidden'));
  expect(fromStatus({ code: 9, details: '', metadata: twice }).code).toBe('internal');
});

test.each([
  [status.UNAVAILABLE, 'No connection established. Last error: Error: connect ECONNREFUSED', 'unreachable'],
  [status.CANCELLED, 'Call cancelled', 'unreachable'],
  [status.INTERNAL, 'Received RST_STREAM with code 2 (Internal server error)', 'unreachable'],
  [status.INTERNAL, 'Error deserializing request', 'internal'],
  [status.DEADLINE_EXCEEDED, 'Deadline exceeded', 'timed-out'],
  [status.RESOURCE_EXHAUSTED, 'Received message larger than max', 'input.too-large'],
  [status.UNAUTHENTICATED, '', 'forbidden'],
  [status.UNIMPLEMENTED, '', 'internal'],
  [99, '', 'internal'],
])('transport status %i (%s) is %s', (code, details, expected) => {
  expect(fromStatus({ code, details, metadata: new Metadata() }).code).toBe(expected);
});

test('whatever a peer sends, a person sees one short clean line and a known code', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: -5, max: 40 }),
      fc.string({ unit: 'binary', maxLength: 3000 }),
      fc.record(
        {
          code: fc.uint8Array({ maxLength: 40 }),
          message: fc.uint8Array({ maxLength: 3000 }),
          hint: fc.uint8Array(),
        },
        { requiredKeys: [] },
      ),
      (code, details, sent) => {
        const metadata = new Metadata();
        for (const [key, value] of Object.entries(sent)) metadata.set(`pht-${key}-bin`, Buffer.from(value));
        const error = fromStatus({ code, details, metadata });
        expect(isErrorCode(error.code)).toBe(true);
        for (const text of [error.message, error.hint ?? '']) {
          expect(text.length).toBeLessThanOrEqual(500);
          expect(text).not.toMatch(FORBIDDEN_CHARS);
          expect(text.isWellFormed()).toBe(true);
        }
      },
    ),
  );
});

test('terminal escapes, line breaks and bidirectional overrides are gone', () => {
  expect(cleanText('a\u001b[31mred\r\nnext\u202etxt')).toBe('a [31mred next txt');
});

test('a full disk is told as what passes, and nothing of where it is', () => {
  const full = Object.assign(new Error('ENOSPC: /srv/secret'), { code: 'ENOSPC' });
  const store = Object.assign(new Error('database or disk is full'), {
    code: 'ERR_SQLITE_ERROR',
    errcode: 13,
  });
  for (const thrown of [full, store]) {
    const told = fromStatus(toStatus(thrown));
    expect(told.code).toBe('unreachable');
    expect(told.message).not.toContain('secret');
  }
});
