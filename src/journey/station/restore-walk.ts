import { PhtError } from '../../model/error.ts';
import { decodeEntry, type LedgerEntry } from '../../model/ledger/entry.ts';
import {
  type CompactRange,
  EMPTY_RANGE,
  extendRange,
  leafHash,
  rangeRoot,
} from '../../model/ledger/merkle.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import type { LogSource } from '../../ports/log-source.ts';

export const OWN = 'this home';
export const MIRROR = 'the mirror';

/** A head of this ledger that it signed itself, and who has seen it. */
export type SeenHead = { by: string; size: number; root: Uint8Array };

export type Walk = { add(entry: Uint8Array): void; assertSo(head: SeenHead): void };

/** Grows the tree leaf by leaf and remembers its roots at the sizes that somebody has seen. */
export function createWalk(heads: readonly SeenHead[]): Walk {
  const roots = new Map<number, Uint8Array | null>(heads.map(({ size }) => [size, null]));
  let range: CompactRange = EMPTY_RANGE;
  const look = (): void => {
    if (roots.has(range.size)) roots.set(range.size, rangeRoot(range));
  };
  look();
  return {
    add: (entry) => {
      range = extendRange(range, [leafHash(entry)]);
      look();
    },
    assertSo: (head) => {
      const root = roots.get(head.size) ?? null;
      if (root === null || !sameBytes(root, head.root)) throw otherEntries(head);
    },
  };
}

function otherEntries({ by, size }: SeenHead): PhtError {
  if (by === OWN) {
    const message = 'the entries in the store of this home are not those that it signed';
    return inconsistent(message, 'restore another backup of this home first');
  }
  if (by === MIRROR) {
    return inconsistent(
      'the entries here with those that the mirror gave are not what this station signed',
      'the mirror alters entries, or this home went on by itself; show both ledgers to an auditor',
    );
  }
  return inconsistent(
    `${by} has seen other entries of this ledger among the first ${size} than those here and in the mirror`,
    'this ledger was signed by two copies of this home: stop the other copy, and show both ledgers to an auditor',
  );
}

export type Fetched = { bytes: Uint8Array; entry: LedgerEntry };

export type FetchOptions = {
  member: string;
  mirror: Pick<LogSource, 'entries'>;
  progress: (done: number, size: number) => void;
};

/** @throws PhtError unless the mirror gives exactly what it was asked for, and all of it is this station's */
export async function fetchEntries(
  { mirror, member, progress }: FetchOptions,
  walk: Walk,
  { from, to }: { from: number; to: number },
): Promise<Fetched[]> {
  const fetched: Fetched[] = [];
  const ended = (what: string): PhtError =>
    inconsistent(
      `the mirror gave ${what} than the ${to - from} entries it has signed for`,
      'ask the operator of the dispatcher; this home stays as it is',
    );
  if (from === to) return fetched;
  for await (const batch of mirror.entries(member, from, to)) {
    if (fetched.length + batch.length > to - from) throw ended('more');
    for (const bytes of batch) {
      const entry = decodeEntry(bytes);
      if (entry.actor !== member)
        throw new PhtError('ledger.invalid', `the mirror gave an entry of ${entry.actor}`);
      walk.add(bytes);
      fetched.push({ bytes, entry });
    }
    progress(fetched.length, to - from);
  }
  if (fetched.length < to - from) throw ended('less');
  return fetched;
}

export function inconsistent(message: string, hint: string): PhtError {
  return new PhtError('ledger.inconsistent', `${message}; nothing was changed`, { hint });
}
