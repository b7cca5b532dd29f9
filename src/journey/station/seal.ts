import { encodeEnvelope, keyIdOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { digestOf } from '../../model/id.ts';
import type { JsonValue } from '../../model/json.ts';
import { assertFresh } from '../../model/network.ts';
import type { Receipt } from '../../model/receipt.ts';
import { disclosureDigest } from '../../model/result/settings.ts';
import { signStatement } from '../../model/statement.ts';
import { recipientKeys } from '../../model/train.ts';
import { witnessPolicy } from '../../model/witnessing.ts';
import type { NewEntry } from '../../ports/ledger.ts';
import type { Policy } from '../../ports/policy.ts';
import type { Sealer, Signer } from '../../ports/signer.ts';
import type { ClearanceStore, HopRecord, HopStore } from '../../ports/station-store.ts';
import { currentCase } from './case.ts';
import { assertClock } from './clock.ts';
import type { Inspected, Screened, Station } from './stages.ts';
import { assertStands } from './stands.ts';
import { visitOf } from './visit.ts';

export type SealPorts = {
  hops: HopStore;
  signer: Signer;
  sealer: Sealer;
  policy: () => Policy;
  clearances: Pick<ClearanceStore, 'statement' | 'clearedWith'>;
};

/**
 * The station's signed result inside a JWE for the manifest's recipients, and the entry that releases it. The transaction
 * checks once more the deadline, the clock and that the case is still what was cleared. Where the network has a quorum of
 * witnesses the result stays here, sealed, until they have cosigned that entry; then `release` signs the receipt.
 */
export function createSeal(station: Station, ports: SealPorts): (screened: Screened) => Promise<HopRecord> {
  return async (screened) => {
    const { hop, cleared } = screened;
    const { manifest } = cleared.decided.inspected;
    const keys = recipientKeys(manifest.predicate, station.network()).map(({ jwk }) => jwk);
    const nowMs = station.clock.nowMs();
    const predicate = resultOf(screened, station, keys.map(keyIdOf), nowMs);
    const { envelope } = signStatement(
      'result',
      { name: 'order', digest: hop.orderDigest },
      predicate,
      ports.signer,
    );
    const jwe = await ports.sealer.seal(encodeEnvelope(envelope), keys);
    const released: NewEntry = {
      type: 'result.released',
      ...hopEntryHead(hop),
      body: { jweDigest: digestOf(jwe) },
    };
    const guard = (): void => assertStillCleared(screened, station, ports);
    // Without a quorum nobody else has to see the entries first: one transaction for all of it.
    if (witnessPolicy(station.network(), station.id) === null) {
      return sealReleased(hop, { jwe, entries: [released], guard }, station, ports);
    }
    return ports.hops.move(hop, 'awaiting-witness', {
      nowMs: station.clock.nowMs(),
      notes: { heldUntilMs: cleared.decided.inspected.order.predicate.expiresMs },
      entries: [released],
      progress: 'awaiting-witness',
      hold: jwe,
      guard,
    });
  };
}

/** The receipt of a result that may leave now. */
export function sealReleased(
  hop: HopRecord,
  { jwe, entries, guard }: { jwe: Uint8Array; entries: readonly NewEntry[]; guard: () => void },
  station: Station,
  ports: { hops: HopStore; signer: Signer },
): HopRecord {
  const jweDigest = digestOf(jwe);
  const said = { outcome: 'released', code: 'released', jweDigest } as const;
  const receipt = signReceipt(hop, said, station, ports.signer);
  const body = { ...said, receiptDigest: receipt.digest };
  return ports.hops.seal(
    hop,
    { outcome: 'released', code: 'released', receipt: receipt.bytes, receiptDigest: receipt.digest, jwe },
    [...entries, { type: 'receipt.issued', ...hopEntryHead(hop), body }],
    station.clock.nowMs(),
    guard,
  );
}

function resultOf(screened: Screened, station: Station, recipients: string[], nowMs: number): object {
  const { hop, cleared, result } = screened;
  const { dataset } = cleared.decided.inspected;
  return {
    ...visitOf(hop, station),
    dataset: { id: dataset.description.id, snapshotDigest: dataset.snapshotDigest },
    policyDigest: cleared.decided.policyDigest,
    disclosureDigest: disclosureDigest(cleared.decided.disclosure),
    recipients,
    result: JSON.parse(Buffer.from(result).toString()) as JsonValue,
    issuedAtMs: nowMs,
  };
}

function assertStillCleared({ hop, cleared }: Screened, station: Station, ports: SealPorts): void {
  const nowMs = station.clock.nowMs();
  assertClock(station, nowMs);
  assertFresh(station.network(), nowMs);
  if (nowMs >= cleared.deadlineAtMs) {
    throw new PhtError('deadline.passed', "the order's deadline passed before the result could be released");
  }
  const { inspected, caseDigest } = cleared.decided;
  assertSameCase(inspected, caseDigest, station, ports.policy());
  assertStands(hop, inspected.manifest.predicate.issuer, station, ports.clearances, false);
}

/**
 * What a person or the policy cleared is still what is about to be released.
 *
 * @throws PhtError `clearance.invalid`
 */
export function assertSameCase(
  inspected: Inspected,
  caseDigest: string | undefined,
  station: Station,
  policy: Policy,
): void {
  const now = currentCase(
    {
      manifest: inspected.manifest,
      dispatcher: inspected.order.predicate.issuer,
      snapshotDigest: inspected.dataset.snapshotDigest,
    },
    station,
    policy,
  );
  if (now.digest === caseDigest) return;
  throw new PhtError(
    'clearance.invalid',
    'policy, settings or members changed during the run; the case is open again',
  );
}

/** @param said the receipt's own members; the rest follows from the hop */
export function signReceipt(
  hop: HopRecord,
  said: Pick<Receipt, 'outcome' | 'code' | 'jweDigest'> & Partial<Pick<Receipt, 'commitment' | 'quotes'>>,
  station: Station,
  signer: Signer,
): { bytes: Uint8Array; digest: ReturnType<typeof digestOf> } {
  const predicate: Receipt = {
    ...visitOf(hop, station),
    outcome: said.outcome,
    code: said.code,
    jweDigest: said.jweDigest,
    commitment: said.commitment ?? null,
    quotes: said.quotes ?? null,
    issuedAtMs: station.clock.nowMs(),
  };
  const { envelope, digest } = signStatement(
    'receipt',
    { name: 'order', digest: hop.orderDigest },
    predicate,
    signer,
  );
  return { bytes: encodeEnvelope(envelope), digest };
}
