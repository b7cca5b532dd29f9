import { z } from 'zod';
import { PhtError } from '../error.ts';
import { type Digest, DigestText, type HopId, HopIdText, type TrainId, TrainIdText } from '../id.ts';
import { scanEntry } from './scan-entry.ts';
import { invalid, sameBytes, strictText } from './strict.ts';

export const ENTRY_BYTES_MAX = 4096;

/** Everything that a member may put on record. */
export const ENTRY_TYPES = [
  'train.admitted',
  'train.rejected',
  'order.issued',
  'order.received',
  'manifest.verified',
  'policy.decided',
  'clearance.recorded',
  'clearance.standing',
  'clearance.withdrawn',
  'inquiry.answered',
  'image.verified',
  'run.started',
  'run.ended',
  'output.screened',
  'result.released',
  'receipt.issued',
  'receipt.received',
  'result.fetched',
  'train.arrived',
  'train.cancelled',
  'network.changed',
  'policy.changed',
  'hop.unheard',
  'rejects.counted',
  'log.started',
  'log.restored',
  'log.rotated',
  'release.withdrawn',
  'witness.conflict',
  'trust.decided',
  'disclosure.made',
  'salts.erased',
] as const;
export type EntryType = (typeof ENTRY_TYPES)[number];
const TYPES: ReadonlyMap<string, EntryType> = new Map(ENTRY_TYPES.map((type) => [type, type]));

/** Whole numbers only: a fraction would have more than one spelling. */
export type BodyValue = string | number | boolean | readonly string[];

/** The counterpart's entry about the same fact, which ties two ledgers together. */
export interface EntryQuote {
  readonly origin: string;
  readonly index: number;
  readonly leafHash: Digest;
}

/**
 * One fact in a ledger: no patient data, no results, no raw parameters, no unsalted digest of any of them.
 * `ts` is in milliseconds since the Unix epoch; `actor` is a pseudonymous member id. What speaks of the ledger or the
 * network rather than of a train has null in place of train, hop, attempt, epoch and manifest.
 */
export interface LedgerEntry {
  readonly v: 1;
  readonly ts: number;
  readonly type: EntryType;
  readonly trainId: TrainId | null;
  readonly hopId: HopId | null;
  readonly attempt: number | null;
  readonly epoch: number | null;
  readonly manifestDigest: Digest | null;
  readonly actor: string;
  readonly prev: EntryQuote | null;
  readonly body: Readonly<Record<string, BodyValue>>;
}

// Control and formatting characters could rewrite an auditor's terminal.
const Line = z.string().regex(/^[^\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]*$/u, 'must not contain control characters');
const Name = Line.min(1).max(200);
const Count = z.int().min(0);
// Letters first: a key of digits would be moved to the front by the language itself.
const BodyKey = z.string().regex(/^[a-z][A-Za-z0-9]{0,63}$/, 'must be a name of letters and digits');

// Members stand in the order in which they are written.
const Entry: z.ZodType<LedgerEntry> = z.strictObject({
  v: z.literal(1),
  ts: Count.max(8_640_000_000_000_000),
  type: z.enum(ENTRY_TYPES),
  trainId: TrainIdText.nullable(),
  hopId: HopIdText.nullable(),
  attempt: Count.nullable(),
  epoch: Count.nullable(),
  manifestDigest: DigestText.nullable(),
  actor: Name,
  prev: z.strictObject({ origin: Name, index: Count, leafHash: DigestText }).nullable(),
  body: z.record(BodyKey, z.union([Line, z.int(), z.boolean(), z.array(Line)])),
});

/**
 * The entry's one spelling: JSON in UTF-8, members in fixed order, keys of `body` sorted, at most 4096 bytes.
 *
 * @throws PhtError `ledger.invalid`
 */
export function encodeEntry(entry: LedgerEntry): Uint8Array {
  return written(parsed(entry));
}

function written(entry: LedgerEntry): Uint8Array {
  const { v, ts, type, trainId, hopId, attempt, epoch, manifestDigest, actor, prev, body } = entry;
  const quote = prev === null ? null : { origin: prev.origin, index: prev.index, leafHash: prev.leafHash };
  const sorted = Object.fromEntries(Object.entries(body).sort(([a], [b]) => (a < b ? -1 : 1)));
  const head = { v, ts, type, trainId, hopId, attempt, epoch, manifestDigest, actor, prev: quote };
  const bytes = Buffer.from(JSON.stringify({ ...head, body: sorted }));
  if (bytes.length > ENTRY_BYTES_MAX) {
    throw invalid(`a ledger entry has ${bytes.length} bytes; at most ${ENTRY_BYTES_MAX} are written`);
  }
  return bytes;
}

/**
 * Reads an entry and accepts only its one spelling, which also rules out duplicate members and stray spaces.
 *
 * @throws PhtError `ledger.invalid`
 */
export function decodeEntry(bytes: Uint8Array): LedgerEntry {
  const plain = bytes.length <= ENTRY_BYTES_MAX ? scanEntry(bytes, TYPES) : null;
  return plain ?? decodeStrictly(bytes);
}

/** Whatever is not plain, and every reason to refuse. */
function decodeStrictly(bytes: Uint8Array): LedgerEntry {
  const text = strictText(bytes, ENTRY_BYTES_MAX, 'a ledger entry');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid('a ledger entry is not JSON', cause);
  }
  const entry = parsed(value);
  if (!sameBytes(written(entry), bytes)) throw invalid('a ledger entry is not in its canonical form');
  return entry;
}

function parsed(value: unknown): LedgerEntry {
  const outcome = Entry.safeParse(value);
  if (outcome.success) return outcome.data;
  const issue = outcome.error.issues[0];
  const place = issue?.path.map(String).join('.').slice(0, 100) ?? '';
  throw new PhtError(
    'ledger.invalid',
    `a ledger entry: ${place}: ${(issue?.message ?? 'malformed').slice(0, 200)}`,
    {
      cause: outcome.error,
    },
  );
}
