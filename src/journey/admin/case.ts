import { isDeepStrictEqual } from 'node:util';
import { type CaseFile, CaseLists, caseFile } from '../../model/case-file.ts';
import { CLEARANCE_LIFETIME_MS_MAX, type ClearancePredicate } from '../../model/clearance.ts';
import { encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, digestOf } from '../../model/id.ts';
import { codeDigestOf } from '../../model/image-code.ts';
import type { ImageConfig } from '../../model/image-config.ts';
import { type JsonObject, parseStrictJson } from '../../model/json.ts';
import type { Network } from '../../model/network.ts';
import { check } from '../../model/schema.ts';
import {
  STANDING_LIFETIME_MS_MAX,
  type StandingPredicate,
  termsDigestOf,
  termsOf,
} from '../../model/standing.ts';
import { signStatement } from '../../model/statement.ts';
import { type VerifiedManifest, verifyManifest, verifyWhenIssued } from '../../model/train.ts';
import type { Signer } from '../../ports/signer.ts';

const CASE_BYTES_MAX = 2 * 1024 * 1024;

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
  assertStation(claimed['station'], admin.station);
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

/** An admin who reached another station's agent is told so, and not that somebody lies. */
function assertStation(shown: unknown, station: string): void {
  if (typeof shown !== 'string' || shown === station) return;
  throw new PhtError('clearance.invalid', `this agent speaks for ${shown}, and this home is for ${station}`, {
    hint: "name the agent of your own station: adminSocket.path in this home's config.yaml, or --socket PATH",
  });
}

function textOf(value: unknown, member: string): string {
  const found =
    typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[member] : undefined;
  if (typeof found !== 'string') throw new PhtError('clearance.invalid', 'the case file is not complete');
  return found;
}

type Admin = { id: string; network: Network; signer: Signer; nowMs: number };

/**
 * The person's word on exactly this case, signed with the admin's own key.
 *
 * @param decision `lifetimeMs` is at most 7 days, and never beyond the case itself
 */
export function signClearance(
  opened: OpenedCase,
  decision: { verdict: 'approve' | 'reject'; reason: string; lifetimeMs?: number },
  admin: Admin,
): Uint8Array {
  const { verdict, reason, lifetimeMs = CLEARANCE_LIFETIME_MS_MAX } = decision;
  const expiresMs = admin.nowMs + Math.min(lifetimeMs, CLEARANCE_LIFETIME_MS_MAX);
  const predicate: ClearancePredicate = {
    networkId: admin.network.id,
    networkVersion: admin.network.version,
    issuer: admin.id,
    station: opened.file.station,
    manifestDigest: opened.manifest.digest,
    verdict,
    reason,
    runsMax: 1,
    issuedAtMs: admin.nowMs,
    expiresMs: Math.min(opened.file.expiresMs, expiresMs),
  };
  const subject = { name: 'case', digest: opened.digest };
  return encodeEnvelope(signStatement('clearance', subject, predicate, admin.signer).envelope);
}

export type StandingWish = {
  /** `code`: the image's own config, whose layers may also stand below another one with the same code. */
  scope: 'image' | { config: ImageConfig };
  reason: string;
  runsMax: number;
  expiresMs: number;
};

/**
 * The person's word for further trains that keep to the terms of the case that was looked at.
 *
 * @throws PhtError `usage.invalid` for more than a year
 */
export function signStanding(
  { file, manifest }: OpenedCase,
  { scope, reason, runsMax, expiresMs }: StandingWish,
  admin: Admin,
): Uint8Array {
  if (expiresMs <= admin.nowMs || expiresMs > admin.nowMs + STANDING_LIFETIME_MS_MAX)
    throw new PhtError('usage.invalid', 'a standing clearance ends within a year from now');
  const { image } = manifest.predicate;
  const about = { ...file, manifest: manifest.predicate };
  const predicate: StandingPredicate = {
    networkId: admin.network.id,
    networkVersion: admin.network.version,
    issuer: admin.id,
    station: file.station,
    ...termsOf(
      about,
      scope === 'image'
        ? { image: image.configDigest }
        : {
            code: codeDigestOf(scope.config, image),
            layers: image.layers.map(({ diffId }) => diffId),
          },
    ),
    runsMax,
    reason,
    issuedAtMs: admin.nowMs,
    expiresMs,
  };
  const subject = { name: 'terms', digest: termsDigestOf(predicate) };
  return encodeEnvelope(signStatement('standing', subject, predicate, admin.signer).envelope);
}
