import { verifyCancellation } from '../../model/cancellation.ts';
import { type Envelope, parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, digestOf } from '../../model/id.ts';
import { parseStrictJson } from '../../model/json.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { LOOKING_BACK, type Network } from '../../model/network.ts';
import { Order, verifyOrder } from '../../model/order.ts';
import { Receipt, verifyReceipt } from '../../model/receipt.ts';
import { PREDICATE_TYPES, readStatement } from '../../model/statement.ts';
import { verifyWhenIssued } from '../../model/train.ts';
import { textIn } from './entry.ts';
import { type Finding, finding } from './findings.ts';
import { type DatedHead, type DatedHeads, judgeSigner, type Recorded } from './on-record.ts';

type Placed = {
  member: { id: string };
  index: number;
  entry: LedgerEntry;
  /** Heads that it is proved under besides that of its log. */
  heads?: readonly DatedHead[];
};
type Read = {
  kind: 'manifest' | 'order' | 'receipt' | 'cancellation';
  digest: Digest;
  issued: { networkId: string; networkVersion: number; issuer: string };
  receipt?: Receipt;
};

/**
 * Holds the signed statements of one train against their signers' keys, and against the entries that name them. Each is
 * judged by the network version that it names; one of a member that was revoked since counts if an entry that names it is
 * proved to be older.
 */
export function* judgeStatements(
  statements: readonly Uint8Array[],
  entries: readonly Placed[],
  network: Network,
  dated: DatedHeads,
): Generator<Finding> {
  const read = new Map<string, Read>();
  const manifest = manifestAmong(statements, network);
  const recorded = recordedIn(entries);
  const unread = new Set<string>();
  for (const bytes of statements) {
    let here: Digest | null = null;
    try {
      const envelope = parseEnvelope(bytes, 'statement');
      here = digestOf(payloadOf(envelope));
      const statement = readOne(envelope, network, manifest);
      const { kind, digest, issued } = statement;
      read.set(digest, statement);
      const revoked = judgeSigner(network, issued, SIGNED_BY[kind], recorded.get(digest) ?? [], dated);
      if (revoked === null) continue;
      const text = `${kind} ${digest.slice(0, 16)}: ${revoked.text}`;
      yield finding(revoked.severity, revoked.code, { log: null }, text);
    } catch (thrown) {
      if (!(thrown instanceof PhtError)) throw thrown;
      const isBehind = thrown.code === 'network.behind';
      if (isBehind && here !== null) unread.add(here);
      const code = isBehind ? 'bundle.incomplete' : 'statement.invalid';
      yield finding('error', code, { log: null }, thrown.message);
    }
  }
  const named = new Set<string>();
  for (const { member, index, entry } of entries) {
    const place = { log: member.id, index };
    for (const { kind, digest } of namedIn(entry)) {
      named.add(digest);
      const statement = read.get(digest);
      // It is there, and only a newer network file says whether it is sound.
      if (statement === undefined && unread.has(digest)) continue;
      if (statement === undefined) {
        yield finding(
          'warning',
          'bundle.incomplete',
          place,
          `the ${kind} ${digest.slice(0, 16)} is not in it`,
        );
      } else if (statement.receipt !== undefined && !saysTheSame(statement.receipt, entry)) {
        const text = `the receipt says ${statement.receipt.outcome} (${statement.receipt.code})`;
        yield finding('misconduct', 'statement.contradicted', place, text);
      }
    }
  }
  for (const { kind, digest } of read.values()) {
    if (named.has(digest) || kind === 'cancellation') continue;
    const text = `no entry names the ${kind} ${digest.slice(0, 16)}`;
    yield finding('error', 'statement.unrecorded', { log: null }, text);
  }
}

const SIGNED_BY = {
  manifest: 'researcher',
  order: 'dispatcher',
  receipt: 'station',
  cancellation: 'researcher',
} as const;

/** Every entry that names a statement shows that it was there. */
function recordedIn(entries: readonly Placed[]): Map<string, Recorded[]> {
  const recorded = new Map<string, Recorded[]>();
  for (const { member, index, entry, heads = [] } of entries) {
    for (const name of [entry.manifestDigest, ...Object.values(entry.body)]) {
      if (typeof name !== 'string' || !DIGEST.test(name)) continue;
      const of = recorded.get(name) ?? [];
      recorded.set(name, of);
      of.push({ log: member.id, index, atMs: entry.ts, heads });
    }
  }
  return recorded;
}

const DIGEST = /^[0-9a-f]{64}$/;

/** Each fact names its statement once: the train's admission, an order's issue, a receipt's. */
function namedIn({ type, manifestDigest, body }: LedgerEntry): { kind: string; digest: string }[] {
  const order = textIn(body, 'orderDigest');
  const receipt = textIn(body, 'receiptDigest');
  if (type === 'train.admitted' && manifestDigest !== null)
    return [{ kind: 'manifest', digest: manifestDigest }];
  if ((type === 'order.issued' || type === 'order.received') && order !== null)
    return [{ kind: 'order', digest: order }];
  if ((type === 'receipt.issued' || type === 'receipt.received') && receipt !== null)
    return [{ kind: 'receipt', digest: receipt }];
  return [];
}

function saysTheSame({ outcome, code }: Receipt, { body }: LedgerEntry): boolean {
  return textIn(body, 'outcome') === outcome && textIn(body, 'code') === code;
}

function typeOf(envelope: Envelope): string {
  const value = parseStrictJson(payloadOf(envelope), { bytesMax: 1024 * 1024, what: 'a statement' });
  const type =
    value !== null && typeof value === 'object' && !Array.isArray(value) ? value['predicateType'] : '';
  return typeof type === 'string' ? type : '';
}

type Train = { digest: Digest; researcher: string };

function manifestAmong(statements: readonly Uint8Array[], network: Network): Train | null {
  for (const bytes of statements) {
    try {
      const envelope = parseEnvelope(bytes, 'statement');
      if (typeOf(envelope) !== PREDICATE_TYPES.manifest) continue;
      const { digest, predicate } = verifyWhenIssued(envelope, network);
      return { digest, researcher: predicate.issuer };
    } catch (thrown) {
      // It is reported where every statement is read.
      if (!(thrown instanceof PhtError)) throw thrown;
    }
  }
  return null;
}

/** Whoever has left since: that is judged apart. @throws PhtError what is wrong with it */
function readOne(envelope: Envelope, network: Network, train: Train | null): Read {
  switch (typeOf(envelope)) {
    case PREDICATE_TYPES.manifest: {
      const { digest, predicate } = verifyWhenIssued(envelope, network);
      return { kind: 'manifest', digest, issued: predicate };
    }
    case PREDICATE_TYPES.order: {
      const { audience } = readStatement('order', Order, payloadOf(envelope)).predicate;
      const { digest, predicate } = verifyOrder(envelope, network, audience, LOOKING_BACK);
      return { kind: 'order', digest, issued: predicate };
    }
    case PREDICATE_TYPES.receipt: {
      const { issuer } = readStatement('receipt', Receipt, payloadOf(envelope)).predicate;
      const { digest, predicate } = verifyReceipt(envelope, network, issuer, LOOKING_BACK);
      return { kind: 'receipt', digest, issued: predicate, receipt: predicate };
    }
    case PREDICATE_TYPES.cancellation: {
      if (train === null)
        throw new PhtError('statement.malformed', 'a cancellation of no train in the bundle');
      const { digest, predicate } = verifyCancellation(envelope, network, train, LOOKING_BACK);
      return { kind: 'cancellation', digest, issued: predicate };
    }
    default: {
      const digest = digestOf(payloadOf(envelope)).slice(0, 16);
      throw new PhtError('statement.type', `the statement ${digest} is none of a train`);
    }
  }
}
