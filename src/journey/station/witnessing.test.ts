import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import type { Ledger } from '../../ports/ledger.ts';
import { createWitnessing } from './witnessing.ts';

const ledger: Ledger = {
  origin: 'ledger',
  open: async () => undefined,
  covered: async () => undefined,
  checkpoint: () => null,
  published: () => null,
  publish: async () => undefined,
  tree: {
    prove: async () => new Uint8Array(),
    consistency: async () => [],
    rootAt: async () => new Uint8Array(),
  },
};

test('a round that nobody waits for any more ends nothing but itself', async () => {
  const unhandled: unknown[] = [];
  const onUnhandled = (reason: unknown): void => void unhandled.push(reason);
  process.on('unhandledRejection', onUnhandled);
  const leaving = new AbortController();
  const witnessing = createWitnessing(
    // The train is cancelled while the ledger is being signed.
    { ...ledger, covered: async () => leaving.abort(new PhtError('cancelled', 'taken back')) },
    {
      round: async () => {
        throw new PhtError('witness.unreachable', 'nobody is there');
      },
      isWitnessed: () => true,
      published: () => undefined,
    },
    new AbortController().signal,
  );
  await expect(witnessing.covered(1, leaving.signal)).rejects.toMatchObject({ code: 'cancelled' });
  await sleep(5);
  process.off('unhandledRejection', onUnhandled);
  expect(unhandled).toEqual([]);
});
