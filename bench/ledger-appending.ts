import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../scripts/demo/pht.ts';
import { createLedger } from '../src/adapters/ledger/files.ts';
import { createSigner } from '../src/adapters/signer/ed25519.ts';
import { openDispatcherStore } from '../src/adapters/store/dispatcher-store.ts';
import type { NewEntry } from '../src/ports/ledger.ts';
import { entryAt, MEMBER, ORIGIN } from './ledger-log.ts';

/** A dispatcher's store and ledger on this machine's disk. */
export type Appending = {
  /** Appends the next `count` entries in one transaction. @returns when a signed checkpoint covers them */
  append(count: number): Promise<void>;
};

const NOW_MS = Date.UTC(2026, 0, 1);
const KEPT = ['type', 'trainId', 'hopId', 'attempt', 'epoch', 'manifestDigest', 'prev', 'body'] as const;

/** Made beforehand: what an entry says is not what is measured. */
const ENTRIES: readonly NewEntry[] = Array.from({ length: 4096 }, (_, index) => {
  const entry = entryAt(index);
  return Object.fromEntries(KEPT.map((name) => [name, entry[name]])) as NewEntry;
});

export async function withLedger<T>(work: (appending: Appending) => Promise<T>): Promise<T> {
  const parent = join(ROOT, '.state');
  mkdirSync(parent, { recursive: true });
  const dir = mkdtempSync(join(parent, 'bench-append-'));
  const store = openDispatcherStore(join(dir, 'dispatcher.sqlite'), MEMBER);
  const jwk = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' });
  const signer = createSigner(jwk as Parameters<typeof createSigner>[0]);
  const ledger = createLedger({ rows: store.ledgerRows, dir: join(dir, 'ledger'), origin: ORIGIN, signer });
  let next = 0;
  const take = (): NewEntry => {
    const entry = ENTRIES[next++ % ENTRIES.length];
    if (entry === undefined) throw new Error('there are no entries');
    return entry;
  };
  try {
    return await work({
      append: (count) => {
        const entries = Array.from({ length: count }, take);
        const size = store.atomically(() => store.append(entries, NOW_MS));
        return ledger.covered(size);
      },
    });
  } finally {
    store.close();
    rmSync(dir, { recursive: true, force: true });
  }
}
