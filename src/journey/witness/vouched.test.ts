import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { createVouched, onceVouched } from './vouched.ts';
import type { Witness } from './witness.ts';

const tree = { size: 3, rootAt: async () => new Uint8Array(32) };
const signing: Witness = {
  addCheckpoint: () => ({ status: 200, contentType: 'text/plain', body: Buffer.from('signed') }),
  seen: () => ({ note: new Uint8Array(), signature: new Uint8Array(64) }),
};
const question = Buffer.from('old 0');
const nonce = { origin: 'ledger', nonce: new Uint8Array(32) };

function place(check: () => Promise<void>, lookMs = 0) {
  const notes: string[] = [];
  let checks = 0;
  const vouched = createVouched({
    check: () => {
      checks += 1;
      return check();
    },
    own: () => tree,
    lookMs,
    note: (text) => notes.push(text),
  });
  return { vouched, witness: onceVouched(signing, vouched), notes, checks: () => checks };
}

test('an old copy cosigns nothing, however often it is asked, and says so once', async () => {
  const { witness, notes, checks } = place(async () => {
    throw new PhtError('ledger.inconsistent', 'an old copy of this home was restored');
  });
  for (let at = 0; at < 5; at++) {
    expect(witness.addCheckpoint(question).status).toBe(503);
    await sleep(1);
  }
  expect(checks()).toBe(5);
  expect(notes).toHaveLength(1);
  // Others need its word to start at all.
  expect(witness.seen(nonce)).not.toBeNull();
});

test('a flood of questions does not become one', async () => {
  const { witness, checks } = place(async () => {
    throw new PhtError('ledger.unchecked', 'nobody answers');
  }, 60_000);
  for (let at = 0; at < 5; at++) {
    expect(witness.addCheckpoint(question).status).toBe(503);
    await sleep(1);
  }
  expect(checks()).toBe(1);
});

test('the first question has it found out, one at a time, and then it cosigns', async () => {
  let pass = (): void => undefined;
  const { witness, checks } = place(
    () =>
      new Promise((resolve) => {
        pass = resolve;
      }),
  );
  expect(witness.addCheckpoint(question).status).toBe(503);
  expect(witness.addCheckpoint(question).status).toBe(503);
  expect(checks()).toBe(1);
  pass();
  await sleep(1);
  expect(witness.addCheckpoint(question).status).toBe(200);
});

test('a ledger that passed vouches for its witness, and waits for what is being found out', async () => {
  let pass = (): void => undefined;
  const { vouched, witness, checks } = place(
    () =>
      new Promise((resolve) => {
        pass = resolve;
      }),
  );
  vouched.look();
  const signed = vouched.beforeSigning(tree);
  pass();
  await signed;
  await vouched.beforeSigning(tree);
  expect(checks()).toBe(1);
  expect(witness.addCheckpoint(question).status).toBe(200);
});
