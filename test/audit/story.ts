import { type HopHead, hopEntryHead } from '../../src/model/hop.ts';
import { type Digest, digestOf, hopIdOf, trainIdOf } from '../../src/model/id.ts';
import { signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { type EntryType, encodeEntry, type LedgerEntry } from '../../src/model/ledger/entry.ts';
import { leafHash, rootOfLeaves } from '../../src/model/ledger/merkle.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import type { NewEntry } from '../../src/ports/ledger.ts';
import type { LogSource } from '../../src/ports/log-source.ts';
import { type FakeNetwork, memberIn, signerOf } from '../fakes/network.ts';

/** Logs with real signatures in memory, and a dispatcher that serves them as it likes. */

export const START_MS: number = Date.UTC(2026, 2, 1);
export const AFTER_MS: number = START_MS + 3_600_000;

export type ServedLog = { checkpoint: Uint8Array | null; entries: Uint8Array[] };
export type Served = Map<string, ServedLog>;

/** What a log of these entries looks like when `signer` signs it under the origin of `member`. */
export function signedLog(
  fake: FakeNetwork,
  member: string,
  entries: readonly Uint8Array[],
  as: { origin?: string; signer?: string } = {},
): ServedLog {
  const origin = as.origin ?? ledgerOrigin(fake.network.id, member);
  const signer = signerOf(memberIn(fake, as.signer ?? member).keys.log);
  const root = rootOfLeaves(entries.map(leafHash));
  const noteSigner = { key: logKey(origin, signer.publicJwk), sign: signer.sign };
  const text = signCheckpoint({ origin, size: entries.length, root, extensions: [] }, noteSigner);
  return { checkpoint: Buffer.from(text), entries: [...entries] };
}

export type Line = { atMs: number; entry: NewEntry; actor?: string };

export function encoded(member: string, lines: readonly Line[]): Uint8Array[] {
  return lines.map(({ atMs, entry, actor }) =>
    encodeEntry({ v: 1, ts: atMs, actor: actor ?? member, ...entry }),
  );
}

export type Lines = Record<string, Line[]>;

export function serve(fake: FakeNetwork, lines: Lines): Served {
  return new Map(
    Object.entries(lines).map(([member, of]) => [member, signedLog(fake, member, encoded(member, of))]),
  );
}

/** @param batch entries in one message */
export function servedSource(served: Served, batch = 7): LogSource {
  return {
    members: async () => [...served.keys()],
    checkpoint: async (member) => served.get(member)?.checkpoint ?? null,
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

type Body = LedgerEntry['body'];
const said = (atMs: number, head: HopHead, type: EntryType, body: Body): Line => ({
  atMs,
  entry: { type, ...hopEntryHead(head), body },
});

export type HopPlan = { verdict?: 'permit' | 'ask' | 'deny'; by?: string; atMs?: number; attempt?: number };

/** What an honest station writes for a hop that ends in a release. */
export function releasedHop(train: string, station: string, plan: HopPlan = {}): Line[] {
  const { verdict = 'permit', by = 'policy', atMs = START_MS + 60_000 } = plan;
  const head = headOf(train, station, plan.attempt);
  const commitment = digestOf('commitment');
  const steps: [EntryType, Body][] = [
    ['order.received', { orderDigest: head.orderDigest }],
    ['manifest.verified', { networkVersion: 1 }],
    ['policy.decided', { verdict, policyDigest: digestOf('policy'), rules: ['r1'], error: false }],
    ['clearance.recorded', { by, caseDigest: digestOf('case') }],
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
    entry: { ...NO_HOP, type: 'train.admitted', trainId, manifestDigest, body: { researcher: 'rosa' } },
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
