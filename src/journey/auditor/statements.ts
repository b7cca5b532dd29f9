import { verifyCancellation } from '../../model/cancellation.ts';
import { type Envelope, parseEnvelope, payloadOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, digestOf } from '../../model/id.ts';
import { parseStrictJson } from '../../model/json.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import type { Network } from '../../model/network.ts';
import { Order, verifyOrder } from '../../model/order.ts';
import { Receipt, verifyReceipt } from '../../model/receipt.ts';
import { PREDICATE_TYPES, readStatement } from '../../model/statement.ts';
import { verifyWhenIssued } from '../../model/train.ts';
import { olderNetwork } from './bundle-gaps.ts';
import { textIn } from './entry.ts';
import { type Finding, finding } from './findings.ts';

type Placed = { member: { id: string }; index: number; entry: LedgerEntry };
type Read = {
  kind: 'manifest' | 'order' | 'receipt' | 'cancellation';
  digest: Digest;
  networkVersion: number;
  receipt?: Receipt;
};

/** Holds the signed statements of one train against their signers' keys, and against the entries that name them. */
export function* judgeStatements(
  statements: readonly Uint8Array[],
  entries: readonly Placed[],
  network: Network,
): Generator<Finding> {
  const read = new Map<string, Read>();
  const manifest = manifestAmong(statements, network);
  for (const bytes of statements) {
    try {
      const statement = readOne(parseEnvelope(bytes, 'statement'), network, manifest);
      read.set(statement.digest, statement);
      if (statement.networkVersion > network.version) {
        const text = `${statement.kind}: ${olderNetwork(statement.networkVersion, network)}`;
        yield finding('error', 'bundle.incomplete', { log: null }, text);
      }
    } catch (thrown) {
      if (!(thrown instanceof PhtError)) throw thrown;
      yield finding('error', 'statement.invalid', { log: null }, thrown.message);
    }
  }
  const named = new Set<string>();
  for (const { member, index, entry } of entries) {
    const place = { log: member.id, index };
    for (const { kind, digest } of namedIn(entry)) {
      named.add(digest);
      const statement = read.get(digest);
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

/** @throws PhtError what is wrong with it */
function readOne(envelope: Envelope, network: Network, train: Train | null): Read {
  switch (typeOf(envelope)) {
    case PREDICATE_TYPES.manifest: {
      const { digest, predicate } = verifyWhenIssued(envelope, network);
      return { kind: 'manifest', digest, networkVersion: predicate.networkVersion };
    }
    case PREDICATE_TYPES.order: {
      const { audience } = readStatement('order', Order, payloadOf(envelope)).predicate;
      const { digest, predicate } = verifyOrder(envelope, network, audience);
      return { kind: 'order', digest, networkVersion: predicate.networkVersion };
    }
    case PREDICATE_TYPES.receipt: {
      const { issuer } = readStatement('receipt', Receipt, payloadOf(envelope)).predicate;
      const { digest, predicate } = verifyReceipt(envelope, network, issuer);
      return { kind: 'receipt', digest, networkVersion: predicate.networkVersion, receipt: predicate };
    }
    case PREDICATE_TYPES.cancellation: {
      if (train === null)
        throw new PhtError('statement.malformed', 'a cancellation of no train in the bundle');
      const { digest, predicate } = verifyCancellation(envelope, network, train);
      return { kind: 'cancellation', digest, networkVersion: predicate.networkVersion };
    }
    default: {
      const digest = digestOf(payloadOf(envelope)).slice(0, 16);
      throw new PhtError('statement.type', `the statement ${digest} is none of a train`);
    }
  }
}
