import { commitmentOf } from '../../src/model/commitment.ts';
import { type HopHead, hopEntryHead } from '../../src/model/hop.ts';
import { type Digest, digestOf, hopIdOf, trainIdOf } from '../../src/model/id.ts';
import { cosignCheckpoint, formatCheckpoint, signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import {
  decodeEntry,
  type EntryQuote,
  type EntryType,
  encodeEntry,
  type LedgerEntry,
} from '../../src/model/ledger/entry.ts';
import { leafHash, rootOfLeaves } from '../../src/model/ledger/merkle.ts';
import { addSignatures, formatNote, parseNote } from '../../src/model/ledger/note.ts';
import { ledgerOrigin, logKey, witnessKey } from '../../src/model/ledger/origin.ts';
import type { Witnessing } from '../../src/model/network.ts';
import { canonicalJson } from '../../src/model/result/canonical.ts';
import type { NewEntry } from '../../src/ports/ledger.ts';
import type { LogSource } from '../../src/ports/log-source.ts';
import { type ed25519, type FakeNetwork, memberIn, signerOf } from '../fakes/network.ts';

/** Logs with real signatures in memory, and a dispatcher that serves them as it likes. */

export const START_MS: number = Date.UTC(2026, 2, 1);
export const AFTER_MS: number = START_MS + 3_600_000;

export type ServedLog = {
  checkpoint: Uint8Array | null;
  entries: Uint8Array[];
  /** As `formatPastHeads` writes them. */
  pastHeads?: Uint8Array;
};
export type Served = Map<string, ServedLog>;

/** Two of the three others of a network of dispatcher, north and south. */
export const WITNESSING: Witnessing = {
  quorum: 2,
  faulty: 1,
  witnesses: ['dispatcher', 'north', 'south'],
};

export type SignedAs = {
  origin?: string;
  signer?: string;
  /** Who cosigns; everybody else, unless said. */
  witnesses?: readonly string[];
  cosignedAtMs?: number;
  /** Another log key than the member began with. */
  logKey?: ReturnType<typeof ed25519>;
};

/** What a log of these entries looks like when `signer` signs it under the origin of `member`. */
export function signedLog(
  fake: FakeNetwork,
  member: string,
  entries: readonly Uint8Array[],
  as: SignedAs = {},
): ServedLog {
  const origin = as.origin ?? ledgerOrigin(fake.network.id, member);
  const signer = signerOf(as.logKey ?? memberIn(fake, as.signer ?? member).keys.log);
  const root = rootOfLeaves(entries.map(leafHash));
  const noteSigner = { key: logKey(origin, signer.publicJwk), sign: signer.sign };
  const head = { origin, size: entries.length, root, extensions: [] };
  const others = ['dispatcher', 'north', 'south'].filter((id) => id !== member);
  const text = formatCheckpoint(head);
  const timeS = Math.ceil((as.cosignedAtMs ?? newestOf(entries) + 1000) / 1000);
  const cosignatures = (as.witnesses ?? others).map((id) => {
    const own = signerOf(memberIn(fake, id).keys.witness);
    const key = witnessKey(fake.network.id, id, own.publicJwk);
    return cosignCheckpoint(text, { key, sign: own.sign }, timeS);
  });
  const note = addSignatures(parseNote(signCheckpoint(head, noteSigner)), cosignatures);
  return { checkpoint: Buffer.from(formatNote(note)), entries: [...entries] };
}

function newestOf(entries: readonly Uint8Array[]): number {
  const ofPht = entries.filter((bytes) => bytes[0] === 0x7b);
  return Math.max(START_MS, ...ofPht.map((bytes) => decodeEntry(bytes).ts));
}

export type Line = { atMs: number; entry: NewEntry; actor?: string };

export function encoded(member: string, lines: readonly Line[]): Uint8Array[] {
  return lines.map(({ atMs, entry, actor }) =>
    encodeEntry({ v: 1, ts: atMs, actor: actor ?? member, ...entry }),
  );
}

export type Lines = Record<string, Line[]>;

const QUOTED: Readonly<Partial<Record<EntryType, EntryType>>> = {
  'order.received': 'order.issued',
  'receipt.received': 'receipt.issued',
};

/**
 * The entries of each log. What a hop's order and receipt quote of the counterpart is filled in, unless a test has: the
 * entry that stands there, or where it is left out the one of the honest story.
 */
export function encodedLogs(fake: FakeNetwork, lines: Lines): Map<string, Uint8Array[]> {
  const quotes = new Map<string, EntryQuote>();
  for (const [member, of] of [...Object.entries(lines), ...Object.entries(honestLines())]) {
    for (const [index, bytes] of encoded(member, of).entries()) {
      const { type, hopId } = of[index]?.entry ?? { type: 'log.started', hopId: null };
      const leaf = Buffer.from(leafHash(bytes)).toString('hex') as Digest;
      const quote = { origin: ledgerOrigin(fake.network.id, member), index, leafHash: leaf };
      if (!quotes.has(`${type} ${hopId}`)) quotes.set(`${type} ${hopId}`, quote);
    }
  }
  const quoting = (line: Line): Line => {
    const { type, hopId, prev } = line.entry;
    const quote = QUOTED[type] === undefined ? null : (quotes.get(`${QUOTED[type]} ${hopId}`) ?? null);
    return { ...line, entry: { ...line.entry, prev: prev ?? quote } };
  };
  return new Map(Object.entries(lines).map(([member, of]) => [member, encoded(member, of.map(quoting))]));
}

export function serve(fake: FakeNetwork, lines: Lines): Served {
  const logs = encodedLogs(fake, lines);
  return new Map([...logs].map(([member, entries]) => [member, signedLog(fake, member, entries)]));
}

/** @param batch entries in one message */
export function servedSource(served: Served, batch = 7): LogSource {
  return {
    members: async () => [...served.keys()],
    checkpoint: async (member) => served.get(member)?.checkpoint ?? null,
    pastHeads: async (member) => served.get(member)?.pastHeads ?? null,
    entries: async function* (member, first, end) {
      const entries = served.get(member)?.entries ?? [];
      for (let at = first; at < Math.min(end, entries.length); at += batch) {
        yield entries.slice(at, Math.min(end, at + batch));
      }
    },
    hashTile: null,
    strangers: async () => [],
  };
}

export const NO_HOP = {
  trainId: null,
  hopId: null,
  attempt: null,
  epoch: null,
  manifestDigest: null,
  prev: null,
};

export function headOf(train: string, station: string, attempt = 1): HopHead & { orderDigest: Digest } {
  const manifestDigest = digestOf(train);
  const orderDigest = digestOf(`${train} ${station} ${attempt}`);
  const ids = { trainId: trainIdOf(manifestDigest), hopId: hopIdOf(orderDigest) };
  return { ...ids, attempt, epoch: attempt, manifestDigest, orderDigest };
}

export function receiptDigestOf(head: { orderDigest: Digest }): Digest {
  return digestOf(`receipt ${head.orderDigest}`);
}

export const SALT: Uint8Array = Buffer.alloc(16, 7);

type Body = LedgerEntry['body'];
const said = (atMs: number, head: HopHead, type: EntryType, body: Body): Line => ({
  atMs,
  entry: { type, ...hopEntryHead(head), body },
});

export type HopPlan = {
  verdict?: 'permit' | 'ask' | 'deny';
  by?: string;
  atMs?: number;
  attempt?: number;
  /** Of what the person signed. */
  clearanceDigest?: string;
};

/** What a station's policy was asked, as the station keeps it. */
export function requestOf(train: string, station: string, nowMs: number): string {
  const { manifestDigest } = headOf(train, station);
  return canonicalJson({ nowMs, station, researcher: { id: 'rosa' }, train: { manifestDigest } });
}

export function answerOf(verdict: string): string {
  const approvals = verdict === 'ask' ? 1 : 0;
  return canonicalJson({ verdict, rules: ['r1'], reasons: [], approvals, error: false });
}

/** Who it was stands in a ledger as a commitment only. */
function clearedBy(by: string, clearanceDigest: string = digestOf(`clearance of ${by}`)): Body {
  if (by === 'policy') return { by };
  const byCommitment = commitmentOf(SALT, by);
  return { by: 'person', byCommitment, clearanceCommitment: commitmentOf(SALT, clearanceDigest) };
}

/** What an honest station writes for a hop that ends in a release. */
export function releasedHop(train: string, station: string, plan: HopPlan = {}): Line[] {
  const { verdict = 'permit', by = 'policy', atMs = START_MS + 60_000 } = plan;
  const head = headOf(train, station, plan.attempt);
  const commitment = digestOf('commitment');
  const asked = {
    requestCommitment: commitmentOf(SALT, requestOf(train, station, atMs + 2000)),
    answerCommitment: commitmentOf(SALT, answerOf(verdict)),
  };
  const steps: [EntryType, Body][] = [
    ['order.received', { orderDigest: head.orderDigest }],
    ['manifest.verified', { networkVersion: 1 }],
    ['policy.decided', { verdict, ...asked, policyDigest: digestOf('policy'), rules: ['r1'], error: false }],
    ['clearance.recorded', { ...clearedBy(by, plan.clearanceDigest), caseDigest: digestOf('case') }],
    ['image.verified', { configDigest: digestOf('image'), layers: 1 }],
    ['run.started', { runAs: '65534:65534' }],
    ['run.ended', { commitment }],
    ['output.screened', { commitment }],
    ['result.released', { jweDigest: digestOf('jwe') }],
    ['receipt.issued', { outcome: 'released', code: 'released', receiptDigest: receiptDigestOf(head) }],
  ];
  return steps.map(([type, body], at) => said(atMs + at * 1000, head, type, body));
}

/** What an honest station writes for a hop that its policy denies. */
export function refusedHop(train: string, station: string, atMs: number = START_MS + 60_000): Line[] {
  const head = headOf(train, station);
  const receiptDigest = receiptDigestOf(head);
  return [
    said(atMs, head, 'order.received', { orderDigest: head.orderDigest }),
    said(atMs + 1000, head, 'policy.decided', {
      verdict: 'deny',
      policyDigest: digestOf('policy'),
      rules: [],
      error: false,
    }),
    said(atMs + 2000, head, 'receipt.issued', { outcome: 'refused', code: 'policy.denied', receiptDigest }),
  ];
}

/** What an honest dispatcher writes for a train to these stations. */
export function dispatched(train: string, stations: readonly string[], atMs: number = START_MS): Line[] {
  const { trainId, manifestDigest } = headOf(train, '');
  const admitted: Line = {
    atMs,
    entry: {
      ...NO_HOP,
      type: 'train.admitted',
      trainId,
      manifestDigest,
      body: { researcherCommitment: commitmentOf(SALT, 'rosa') },
    },
  };
  const of = (station: string): [Line, Line] => {
    const head = headOf(train, station);
    const receiptDigest = receiptDigestOf(head);
    const body = { station, outcome: 'released', code: 'released', receiptDigest };
    return [
      said(atMs + 1000, head, 'order.issued', { station, orderDigest: head.orderDigest }),
      said(atMs + 120_000, head, 'receipt.received', body),
    ];
  };
  const pairs = stations.map(of);
  return [admitted, ...pairs.map(([issued]) => issued), ...pairs.map(([, received]) => received)];
}

/** One train, two stations, nothing wrong; `south` asked its admin. */
export function honestLines(): Lines {
  return {
    north: releasedHop('t', 'north'),
    south: releasedHop('t', 'south', { verdict: 'ask', by: 'adam' }),
    dispatcher: dispatched('t', ['north', 'south']),
  };
}

/** Entries that belong to no hop. */
export function filler(count: number, atMs: number = START_MS + 300_000): Line[] {
  return Array.from({ length: count }, (_, at) => ({
    atMs: atMs + at,
    entry: { ...NO_HOP, type: 'policy.changed', body: { number: at } },
  }));
}
