import { randomBytes } from 'node:crypto';
import { commitmentOf } from '../../model/commitment.ts';
import { encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { asPhtError, type ErrorCode, type PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { digestOf } from '../../model/id.ts';
import type { Network } from '../../model/network.ts';
import { asOf } from '../../model/network-as-of.ts';
import type { ExplanationPredicate, Outcome } from '../../model/receipt.ts';
import { signStatement } from '../../model/statement.ts';
import { type Manifest, recipientKeys, verifyWhenIssued } from '../../model/train.ts';
import type { NewEntry } from '../../ports/ledger.ts';
import type { Sealer, Signer } from '../../ports/signer.ts';
import type { HopRecord, HopStore } from '../../ports/station-store.ts';
import { tell } from './explain.ts';
import { signReceipt } from './seal.ts';
import type { Station } from './stages.ts';
import { visitOf } from './visit.ts';

/** Codes that end nothing: the cause may pass, and until the deadline the hop is tried again. */
const PASSING: ReadonlySet<ErrorCode> = new Set([
  'unreachable',
  'timed-out',
  'engine.unreachable',
  'engine.unsafe',
  'clock.untrusted',
  'network.expired',
  'network.stale',
  'network.behind',
  'clearance.invalid',
  'conflict',
  'ledger.unchecked',
  'witness.unreachable',
  'dispatcher.distrusted',
]);

export function isPassing(code: ErrorCode): boolean {
  return PASSING.has(code);
}

/** Besides, what keeps a result that is held from being shown: it is there already, and it costs nothing to wait on. */
const PASSING_WHILE_HELD: ReadonlySet<ErrorCode> = new Set([
  'internal',
  'dataset.unreadable',
  'config.invalid',
  'config.missing',
  'policy.missing',
  'ledger.inconsistent',
  'ledger.invalid',
]);

export function isPassingWhileHeld(code: ErrorCode): boolean {
  return isPassing(code) || PASSING_WHILE_HELD.has(code);
}

const OUTCOME_OF: Partial<Record<ErrorCode, Exclude<Outcome, 'released'>>> = {
  'deadline.passed': 'expired',
  'clearance.expired': 'expired',
  'order.expired': 'expired',
  'manifest.expired': 'expired',
  cancelled: 'cancelled',
  'disclosure.withheld': 'withheld',
  'disclosure.held': 'withheld',
  'witness.unreachable': 'withheld',
  'run.failed': 'failed',
  'dataset.changed': 'failed',
  'dataset.unreadable': 'failed',
  'config.invalid': 'failed',
  'config.missing': 'failed',
  internal: 'failed',
};

/** The one exit that classifies every end of a hop which is not a release. */
export function outcomeOf(code: ErrorCode): Exclude<Outcome, 'released'> {
  return OUTCOME_OF[code] ?? 'refused';
}

/**
 * The receipt of a hop that does not release, with an explanation sealed to the manifest's recipients where the
 * manifest verifies; receipt and ledger hold its coarse code and a salted commitment.
 */
export function createClose(
  station: Station,
  ports: { hops: HopStore; signer: Signer; sealer: Sealer },
): (hop: HopRecord, thrown: unknown) => Promise<HopRecord> {
  return async (hop, thrown) => {
    const error = asPhtError(thrown);
    const outcome = outcomeOf(error.code);
    const explanation = await explain(hop, error, outcome, station, ports);
    const receipt = signReceipt(
      hop,
      {
        outcome,
        code: error.code,
        jweDigest: explanation === null ? null : digestOf(explanation.jwe),
        commitment: explanation?.commitment ?? null,
        quotes: error.code === 'replayed' ? (ports.hops.rival(hop)?.sealed?.receiptDigest ?? null) : null,
      },
      station,
      ports.signer,
    );
    const sealed = { outcome, code: error.code, receipt: receipt.bytes, receiptDigest: receipt.digest };
    return ports.hops.seal(
      hop,
      { ...sealed, jwe: explanation?.jwe ?? null },
      [
        ...withdrawal(hop, error.code),
        {
          type: 'receipt.issued',
          ...hopEntryHead(hop),
          body: { outcome, code: error.code, receiptDigest: receipt.digest },
        },
      ],
      station.clock.nowMs(),
      () => {},
    );
  };
}

/** A release that is on record and never left is taken back on record, too. */
export function withdrawal(hop: HopRecord, code: ErrorCode): NewEntry[] {
  if (hop.state !== 'awaiting-witness') return [];
  return [{ type: 'release.withdrawn', ...hopEntryHead(hop), body: { code } }];
}

type Explanation = { jwe: Uint8Array; commitment: string };

async function explain(
  hop: HopRecord,
  error: PhtError,
  outcome: Exclude<Outcome, 'released'>,
  station: Station,
  { signer, sealer }: { signer: Signer; sealer: Sealer },
): Promise<Explanation | null> {
  const readers = readersOf(hop, station);
  if (readers === null || readers.keys.length === 0) return null;
  const salt = randomBytes(16);
  const predicate: ExplanationPredicate = {
    ...visitOf(hop, station),
    outcome,
    code: error.code,
    ...tell(error, station.explanations, readers.researcher),
    salt: salt.toString('hex'),
    issuedAtMs: station.clock.nowMs(),
  };
  const { envelope } = signStatement(
    'explanation',
    { name: 'order', digest: hop.orderDigest },
    predicate,
    signer,
  );
  const jwe = await sealedOrNothing(encodeEnvelope(envelope), readers.keys, hop, station, sealer);
  if (jwe === null) return null;
  return {
    jwe,
    commitment: commitmentOf(salt, JSON.stringify([predicate.code, predicate.text, predicate.reasons])),
  };
}

/** What cannot be sealed is not told: a hop ends in its receipt whatever the recipients' keys are. */
async function sealedOrNothing(
  bytes: Uint8Array,
  keys: Parameters<Sealer['seal']>[1],
  { hopId }: HopRecord,
  station: Station,
  sealer: Sealer,
): Promise<Uint8Array | null> {
  try {
    return await sealer.seal(bytes, keys);
  } catch (thrown) {
    station.note('no explanation: it cannot be sealed', { hopId, error: asPhtError(thrown) });
    return null;
  }
}

type Readers = { keys: Parameters<Sealer['seal']>[1]; researcher: string };

/**
 * Recipients that are members now. What a researcher hears who is none any more is his alone: whoever he named as a
 * recipient was to read results, and there are none.
 */
function standingReaders({ recipients, issuer, networkVersion }: Manifest, network: Network) {
  const { members } = network;
  if (members.get(issuer)?.role === 'researcher') {
    const standing = recipients.filter(({ member }) => members.has(member));
    return recipientKeys({ recipients: standing }, network);
  }
  const own = recipients.filter(({ member }) => member === issuer);
  return recipientKeys({ recipients: own }, asOf(network, networkVersion));
}

/**
 * A manifest that does not verify, or is not the one that was ordered, names nobody to explain anything to. One that
 * has expired does: it is held against its own time.
 */
function readersOf(hop: HopRecord, station: Station): Readers | null {
  try {
    const network = station.network();
    const envelope = parseEnvelope(hop.manifest, 'manifest');
    const manifest = verifyWhenIssued(envelope, network);
    if (manifest.digest !== hop.manifestDigest) return null;
    const readers = standingReaders(manifest.predicate, network);
    return { keys: readers.map(({ jwk }) => jwk), researcher: manifest.predicate.issuer };
  } catch (thrown) {
    station.note('no explanation: the manifest does not verify', {
      hopId: hop.hopId,
      code: asPhtError(thrown).code,
    });
    return null;
  }
}
