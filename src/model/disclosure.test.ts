import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { commitmentOf, commitmentsIn, SALT_BYTES } from './commitment.ts';
import { Disclosure, decisionsIn, Opening, openCommitments } from './disclosure.ts';
import { digestOf } from './id.ts';

const SALT = Buffer.alloc(SALT_BYTES, 7);

function opening(value: string, index = 3, name = 'byCommitment') {
  return { index, name, commitment: commitmentOf(SALT, value), salt: SALT.toString('hex'), value };
}

const HOP = {
  hopId: 'hop_0123456789abcdef01234567',
  decisions: [],
  openings: [],
  clearances: [],
} as never as Disclosure['hops'][number];

describe('a commitment', () => {
  test('is SHA-256 over salt and value', () => {
    expect(commitmentOf(Buffer.from('salt'), 'värde')).toBe(digestOf('saltvärde'));
  });

  test('is told by its name and form', () => {
    const body = {
      commitment: 'a'.repeat(64),
      byCommitment: 'b'.repeat(64),
      commitments: 'c'.repeat(64),
      jweDigest: 'd'.repeat(64),
      toCommitment: 'short',
      countCommitment: 7,
    };
    expect(commitmentsIn({ body }).map(({ name }) => name)).toEqual(['commitment', 'byCommitment']);
  });
});

describe('opening', () => {
  test('gives each value by its commitment, and nothing for what was erased', () => {
    const nora = opening('nora');
    const erased = { index: 4, name: 'commitment', commitment: 'e'.repeat(64), erased: true } as const;
    const values = openCommitments({ hops: [{ ...HOP, openings: [nora, erased] }] });
    expect([...values]).toEqual([[nora.commitment, 'nora']]);
  });

  test.each([
    ['another value', { value: 'nils' }],
    ['another salt', { salt: '0'.repeat(32) }],
    ['another commitment', { commitment: '0'.repeat(64) }],
  ])('%s is refused', (_name, change) => {
    const openings = [opening('nora'), { ...opening('rosa'), ...change }];
    expect(() => openCommitments({ hops: [{ ...HOP, openings }] })).toThrow(
      expect.objectContaining({ code: 'proof.invalid' }),
    );
  });

  test('a salt of another length than the one there is cannot move the border to the value', () => {
    const moved = { ...opening('nora'), salt: `${SALT.toString('hex')}6e`, value: 'ora' };
    expect(commitmentOf(Buffer.from(moved.salt, 'hex'), moved.value)).toBe(moved.commitment);
    expect(Opening.safeParse(moved).success).toBe(false);
    expect(Opening.safeParse(opening('nora')).success).toBe(true);
  });
});

test('a decision comes with what there is of it', () => {
  const request = opening('{"station":"north"}', 2, 'requestCommitment');
  const text = 'permit';
  const decision = {
    index: 2,
    policyDigest: digestOf(text),
    requestCommitment: request.commitment,
    answerCommitment: 'e'.repeat(64),
  };
  const other = { ...decision, index: 9, policyDigest: digestOf('another'), requestCommitment: null };
  const hop = { ...HOP, decisions: [decision, other], openings: [request] };
  const policies = [{ digest: digestOf(text), text }];
  expect(decisionsIn({ hops: [hop], policies })).toEqual([
    { hopId: hop.hopId, ...decision, policy: text, request: request.value, answer: null },
    { hopId: hop.hopId, ...other, policy: null, request: null, answer: null },
  ]);
});

test('whatever is no disclosure is refused and throws nothing else', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(Disclosure.safeParse(value).success).toBe(false);
    }),
  );
});
