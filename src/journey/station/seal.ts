import { caseFile } from '../../model/case-file.ts';
import { encodeEnvelope, keyIdOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { digestOf } from '../../model/id.ts';
import type { JsonValue } from '../../model/json.ts';
import { assertCurrent } from '../../model/network.ts';
import type { Receipt } from '../../model/receipt.ts';
import { disclosureDigest, tighten } from '../../model/result/settings.ts';
import { signStatement } from '../../model/statement.ts';
import { recipientKeys } from '../../model/train.ts';
import type { Policy } from '../../ports/policy.ts';
import type { Sealer, Signer } from '../../ports/signer.ts';
import type { HopRecord, HopStore } from '../../ports/station-store.ts';
import { assertClock } from './clock.ts';
import type { Screened, Station } from './stages.ts';
import { visitOf } from './visit.ts';

export type SealPorts = { hops: HopStore; signer: Signer; sealer: Sealer; policy: () => Policy };

/**
 * The station's signed result inside a JWE for the manifest's recipients, and its receipt. The transaction that makes
 * them final checks once more the deadline, the clock and that the case is still what was cleared; the message leaves
 * only when the signed checkpoint covers its entries.
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
    const jweDigest = digestOf(jwe);
    const receipt = signReceipt(
      hop,
      { outcome: 'released', code: 'released', jweDigest },
      station,
      ports.signer,
    );
    return ports.hops.seal(
      hop,
      { outcome: 'released', code: 'released', receipt: receipt.bytes, receiptDigest: receipt.digest, jwe },
      [
        { type: 'result.released', ...hopEntryHead(hop), body: { jweDigest } },
        {
          type: 'receipt.issued',
          ...hopEntryHead(hop),
          body: { outcome: 'released', code: 'released', receiptDigest: receipt.digest, jweDigest },
        },
      ],
      station.clock.nowMs(),
      () => assertStillCleared(screened, station, ports),
    );
  };
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

function assertStillCleared({ cleared }: Screened, station: Station, ports: SealPorts): void {
  const nowMs = station.clock.nowMs();
  assertClock(station, nowMs);
  assertCurrent(station.network(), nowMs);
  if (nowMs >= cleared.deadlineAtMs) {
    throw new PhtError('deadline.passed', "the order's deadline passed before the result could be released");
  }
  const { inspected, caseDigest } = cleared.decided;
  const disclosure = tighten(station.disclosure(), inspected.manifest.predicate.outputs.minCellCount);
  const now = caseFile({
    station: station.id,
    dispatcher: inspected.order.predicate.issuer,
    manifest: inspected.manifest,
    snapshotDigest: inspected.dataset.snapshotDigest,
    policyDigest: ports.policy().digest,
    disclosureDigest: disclosureDigest(disclosure),
    network: station.network(),
  });
  if (now.digest !== caseDigest) {
    throw new PhtError(
      'clearance.invalid',
      'policy, settings or members changed during the run; the case is open again',
    );
  }
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
