import { isDeepStrictEqual } from 'node:util';
import { type CaseFile, CaseLists, caseFile } from '../../model/case-file.ts';
import type { ClearancePredicate } from '../../model/clearance.ts';
import { encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, digestOf } from '../../model/id.ts';
import { type JsonObject, parseStrictJson } from '../../model/json.ts';
import type { Network } from '../../model/network.ts';
import { check } from '../../model/schema.ts';
import { signStatement } from '../../model/statement.ts';
import { type VerifiedManifest, verifyManifest, verifyWhenIssued } from '../../model/train.ts';
import type { Signer } from '../../ports/signer.ts';

const CASE_BYTES_MAX = 2 * 1024 * 1024;
const LIFETIME_MS = 7 * 86_400_000;

export type OpenedCase = {
  readonly file: CaseFile;
  readonly digest: Digest;
  readonly manifest: VerifiedManifest;
};

/**
 * Reads the case file that the station's agent shows, and trusts none of it: the manifest is verified against the
 * admin's own pinned network, and the case must be the very one that those facts give. What is then shown is what is
 * signed.
 *
 * @param admin `nowMs` is null for a hop that has ended, which is looked at and not decided on
 * @throws PhtError `clearance.invalid` when the agent shows another case than its facts give, `signature.invalid`, …
 */
export function openCase(
  shown: { caseFile: Uint8Array; manifest: Uint8Array },
  admin: { station: string; network: Network; nowMs: number | null },
): OpenedCase {
  const envelope = parseEnvelope(shown.manifest, 'manifest');
  const { network, nowMs } = admin;
  const manifest =
    nowMs === null ? verifyWhenIssued(envelope, network) : verifyManifest(envelope, network, nowMs);
  const claimed = parseStrictJson(shown.caseFile, {
    bytesMax: CASE_BYTES_MAX,
    what: 'case file',
  }) as JsonObject;
  const { policyDigest, disclosureDigest, dataset, dispatcher } = claimed;
  const lists = check(CaseLists, claimed['lists'], 'the lists of the case', 'clearance.invalid');
  const derived = caseFile({
    station: admin.station,
    dispatcher: textOf(dispatcher, 'id'),
    manifest,
    snapshotDigest: textOf(dataset, 'snapshotDigest'),
    policyDigest: String(policyDigest),
    disclosureDigest: String(disclosureDigest),
    lists,
    network: admin.network,
  });
  if (!isDeepStrictEqual(Buffer.from(derived.bytes), Buffer.from(shown.caseFile))) {
    throw new PhtError('clearance.invalid', 'the station shows another case than the one its facts give', {
      hint: "compare this home's network file with the station's: pht network show",
    });
  }
  return {
    file: JSON.parse(Buffer.from(derived.bytes).toString()) as CaseFile,
    digest: digestOf(shown.caseFile),
    manifest,
  };
}

function textOf(value: unknown, member: string): string {
  const found =
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[member] : undefined;
  if (typeof found !== 'string') throw new PhtError('clearance.invalid', 'the case file is not complete');
  return found;
}

/** The person's word on exactly this case, signed with the admin's own key. */
export function signClearance(
  opened: OpenedCase,
  decision: { verdict: 'approve' | 'reject'; reason: string },
  admin: { id: string; network: Network; signer: Signer; nowMs: number },
): Uint8Array {
  const predicate: ClearancePredicate = {
    networkId: admin.network.id,
    networkVersion: admin.network.version,
    issuer: admin.id,
    manifestDigest: opened.manifest.digest,
    verdict: decision.verdict,
    reason: decision.reason,
    runsMax: 1,
    issuedAtMs: admin.nowMs,
    expiresMs: Math.min(opened.file.expiresMs, admin.nowMs + LIFETIME_MS),
  };
  const subject = { name: 'case', digest: opened.digest };
  return encodeEnvelope(signStatement('clearance', subject, predicate, admin.signer).envelope);
}
