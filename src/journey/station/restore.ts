import { PhtError } from '../../model/error.ts';
import { type CheckpointTrust, openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { decodeEntry } from '../../model/ledger/entry.ts';
import { EMPTY_ROOT } from '../../model/ledger/merkle.ts';
import { formatNote, parseNote } from '../../model/ledger/note.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import type { Network } from '../../model/network.ts';
import { ownLogKeys } from '../../model/past-keys.ts';
import type { Ed25519PublicJwk } from '../../model/schema.ts';
import { SKEW_MS } from '../../model/skew.ts';
import { countedBy, keysOfRule, type QuorumRule, quorumRule } from '../../model/witnessing.ts';
import type { LedgerRows, NewEntry, SignedHead } from '../../ports/ledger.ts';
import type { LogSource } from '../../ports/log-source.ts';
import type { Restoration } from '../../ports/station-restore.ts';
import { NO_HOP } from './forget.ts';
import { createAccounting, type Told } from './restore-account.ts';
import {
  createWalk,
  type Fetched,
  fetchEntries,
  inconsistent,
  MIRROR,
  OWN,
  type SeenHead,
} from './restore-walk.ts';

const CHUNK_ENTRIES = 4096;

export type RestoreOptions = {
  member: string;
  network: Network;
  /** Of the station's own log key. */
  publicJwk: Ed25519PublicJwk;
  rows: Pick<LedgerRows, 'size' | 'read' | 'checkpoint'>;
  /** The dispatcher's mirror; nothing of it is believed. */
  mirror: Pick<LogSource, 'checkpoint' | 'entries'>;
  /** What others have seen, verified. @throws PhtError `ledger.unchecked` when fewer have answered than the network asks for */
  seen: () => Promise<readonly SeenHead[]>;
  /** The checkpoint in the folder of ledger files; null where there is none. */
  inFolder: Uint8Array | null;
  nowMs: number;
  progress: (done: number, size: number) => void;
};

/** `since`: what happened in the lost time that restoring cannot bring back, counted. */
export type Prepared = { restoration: Restoration; from: number; to: number; since: Told };

/**
 * What a station whose home is an old copy lacks (protocol, section 7), from the dispatcher's mirror of its ledger. The
 * mirrored head has to bear our own signature, go on from what was signed here, and hold whatever any witness has seen;
 * the entries have to give its root. Changes nothing.
 *
 * @returns null when there is nothing to restore
 * @throws PhtError `ledger.inconsistent`, `ledger.invalid`, `ledger.unchecked`, `signature.invalid`, `signer.unknown`,
 *   `clock.untrusted`, `unreachable`, `timed-out`
 */
export async function prepareRestoration(options: RestoreOptions): Promise<Prepared | null> {
  const { member, network, publicJwk, rows } = options;
  const keys = ownLogKeys(network, member, publicJwk);
  const { own, inFiles } = localHeads(options, keys);
  const signed = own.size;
  const mirrored = await mirroredHead(options, keys);
  const size = mirrored?.size ?? 0;
  // In this order they are judged: nobody is blamed for what this home or the mirror has altered.
  const heads = [own, ...(mirrored === null ? [] : [mirrored]), ...inFiles, ...(await options.seen())];
  assertNobodyAhead(heads, size, signed);

  const walk = createWalk(heads);
  const accounting = createAccounting();
  for (let first = 0; first < signed; first += CHUNK_ENTRIES) {
    for (const bytes of rows.read(first, Math.min(signed, first + CHUNK_ENTRIES))) {
      walk.add(bytes);
      accounting.take(decodeEntry(bytes), false);
    }
  }
  const fetched = await fetchEntries(options, walk, { from: signed, to: size });
  for (const head of heads) walk.assertSo(head);
  if (mirrored === null || size === signed) return null;
  return planned({ ...options, keys }, { accounting, fetched, signed, mirrored });
}

/** What this home itself has signed: by its store, and by its files, which may be younger. */
function localHeads(
  { rows, inFolder }: RestoreOptions,
  keys: readonly NoteKey[],
): { own: SeenHead; inFiles: SeenHead[] } {
  const saved = rows.checkpoint();
  const own = saved === null ? { by: OWN, size: 0, root: EMPTY_ROOT } : opened(OWN, saved.text, keys);
  if (own.size <= rows.size()) return { own, inFiles: inFolder === null ? [] : legible(inFolder, keys) };
  throw inconsistent('the store lacks entries that were signed', 'restore another backup of this home first');
}

/** A file that nobody could verify shows nothing; the ledger replaces it. */
function legible(text: Uint8Array, keys: readonly NoteKey[]): SeenHead[] {
  try {
    return [opened('the folder of ledger files', text, keys)];
  } catch (thrown) {
    if (thrown instanceof PhtError) return [];
    throw thrown;
  }
}

function opened(by: string, text: Uint8Array, keys: readonly NoteKey[]): SeenHead {
  const { size, root } = openCheckpoint(text, trusting(keys)).checkpoint;
  return { by, size, root };
}

type MirroredHead = SeenHead & { text: Uint8Array };

async function mirroredHead(
  { mirror, member }: RestoreOptions,
  keys: readonly NoteKey[],
): Promise<MirroredHead | null> {
  const text = await mirror.checkpoint(member);
  return text === null ? null : { ...opened(MIRROR, text, keys), text };
}

function assertNobodyAhead(heads: readonly SeenHead[], size: number, signed: number): void {
  if (signed > size) {
    throw inconsistent(
      `this home has signed ${signed} entries, and the mirror holds only ${size}: it cannot restore anything`,
      'this is no old copy of what the mirror holds; start the station to see whether it may sign',
    );
  }
  const most = heads.reduce<SeenHead | null>((a, b) => (a === null || b.size > a.size ? b : a), null);
  if (most === null || most.size <= size) return;
  throw inconsistent(
    `${most.by} has seen ${most.size} entries of this ledger, and the mirror holds only ${size}`,
    'restore the newest backup, or wait until the mirror holds as much',
  );
}

type Found = {
  accounting: ReturnType<typeof createAccounting>;
  fetched: readonly Fetched[];
  signed: number;
  mirrored: MirroredHead;
};

function planned(
  { rows, network, member, keys, nowMs }: RestoreOptions & { keys: readonly NoteKey[] },
  { accounting, fetched, signed, mirrored }: Found,
): Prepared {
  const unsigned = rows.read(signed, rows.size());
  const differs = unsigned.findIndex(
    (bytes, at) => !sameBytes(bytes, fetched[at]?.bytes ?? new Uint8Array()),
  );
  const same = differs < 0 ? unsigned.length : differs;
  for (const [at, { entry }] of fetched.entries()) accounting.take(entry, at >= same);
  const carried = unsigned.slice(same).filter((bytes) => accounting.carries(decodeEntry(bytes)));
  const { withdrawals, told, ...account } = accounting.close();
  if (nowMs < account.highestMs - SKEW_MS) {
    throw new PhtError('clock.untrusted', 'the restored entries are younger than the clock of this machine', {
      hint: 'set the clock right first',
    });
  }
  const from = signed + same;
  const restored: NewEntry = { type: 'log.restored', ...NO_HOP, body: { from, to: mirrored.size } };
  const restoration: Restoration = {
    ...account,
    base: { rows: rows.size(), signed },
    keep: from,
    rows: fetched.slice(same).map(({ bytes }) => bytes),
    ...headsToKeep(mirrored, keys, quorumRule(network, member)),
    carried,
    entries: [...withdrawals, restored],
    nowMs,
  };
  return { restoration, from, to: mirrored.size, since: told };
}

/** An earlier key of this ledger is as much its own as the one at hand. */
function trusting(keys: readonly NoteKey[], witnessKeys: readonly NoteKey[] = []): CheckpointTrust {
  return { origin: keys[0]?.name ?? '', logKeys: keys, witnessKeys };
}

/** Only lines of known keys: whoever holds the mirror could add any others. */
function headsToKeep(
  { size, text }: MirroredHead,
  own: readonly NoteKey[],
  rule: QuorumRule | null,
): { head: SignedHead; published: SignedHead | null } {
  const trust = trusting(own, keysOfRule(rule));
  const { cosignatures, signedBy } = openCheckpoint(text, trust);
  const note = parseNote(text);
  const withLinesOf = (keys: readonly NoteKey[]): SignedHead => {
    const signatures = keys.flatMap(({ name, keyId }) => {
      return note.signatures.find((line) => line.name === name && line.keyId === keyId) ?? [];
    });
    return { size, text: Buffer.from(formatNote({ text: note.text, signatures })) };
  };
  const seen = rule === null || countedBy(rule, cosignatures).length >= rule.quorum;
  return {
    head: withLinesOf(signedBy),
    published: seen ? withLinesOf([...signedBy, ...cosignatures.map(({ key }) => key)]) : null,
  };
}
