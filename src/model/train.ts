import { z } from 'zod';
import type { Envelope } from './dsse.ts';
import { PhtError } from './error.ts';
import { type TrainId, trainIdOf } from './id.ts';
import { LOOKING_BACK, type Network } from './network.ts';
import { asOf } from './network-as-of.ts';
import { Route } from './route.ts';
import { Sha256Hex, ShortText, Slug, TimestampMs, X25519PublicJwk } from './schema.ts';
import { verifySigned } from './signed.ts';
import { SKEW_MS } from './skew.ts';
import { Issued, type Verified } from './statement.ts';

/** The researcher's signed statement of what, why, where, with which limits and for whom. */

const MIB = 1024 * 1024;

/** One platform of one OCI image. Layers are uncompressed tar archives: the digest of the blob *is* its diff id. */
export const TrainImage = z.strictObject({
  configDigest: Sha256Hex,
  configBytes: z.int().min(2).max(MIB),
  platform: z.enum(['linux/amd64', 'linux/arm64']),
  layers: z
    .array(
      z.strictObject({
        diffId: Sha256Hex,
        bytes: z
          .int()
          .min(1)
          .max(8 * 1024 * MIB),
      }),
    )
    .min(1)
    .max(128),
});
export type TrainImage = z.infer<typeof TrainImage>;

export const Limits = z.strictObject({
  memoryBytesMax: z
    .int()
    .min(16 * MIB)
    .max(64 * 1024 * MIB),
  cpuMillis: z.int().min(100).max(64_000),
  pidsMax: z.int().min(8).max(4096),
  wallMsMax: z
    .int()
    .min(1_000)
    .max(24 * 3_600_000),
  outputBytesMax: z
    .int()
    .min(1024)
    .max(16 * MIB),
  scratchBytesMax: z
    .int()
    .min(MIB)
    .max(4096 * MIB),
});
export type Limits = z.infer<typeof Limits>;

export const RESULT_KINDS = ['Frequencies', 'LinearAggregations', 'StatisticalHypothesisTests'] as const;

const Parameters = z.record(
  z.string().regex(/^[A-Za-z][A-Za-z0-9_]{0,63}$/),
  z.union([
    z.string().max(200),
    z.number(),
    z.boolean(),
    z.array(z.union([z.string().max(200), z.number()])).max(200),
    z.record(
      z.string().regex(/^[A-Za-z][A-Za-z0-9_.]{0,63}$/),
      z.union([
        z.string().max(200),
        z.number(),
        z.array(z.union([z.string().max(200), z.number()])).max(200),
      ]),
    ),
  ]),
);

export const Manifest = z.strictObject({
  ...Issued,
  title: ShortText,
  purpose: z.strictObject({
    text: z.string().min(10).max(2000),
    duo: z.array(z.string().regex(/^DUO:[0-9]{7}$/)).max(20),
  }),
  image: TrainImage,
  dataset: Slug,
  parameters: Parameters,
  route: Route,
  limits: Limits,
  outputs: z.strictObject({
    schema: z.literal('pht-result/v1'),
    kinds: z.array(z.enum(RESULT_KINDS)).min(1),
    minCellCount: z.int().min(1).max(1000).optional(),
  }),
  combine: z.boolean(),
  recipients: z
    .array(z.strictObject({ member: Slug, jwk: X25519PublicJwk.optional() }))
    .min(1)
    .max(8),
  nonce: z.string().regex(/^[0-9a-f]{32}$/),
  issuedAtMs: TimestampMs,
  expiresMs: TimestampMs,
});
export type Manifest = z.infer<typeof Manifest>;

export type VerifiedManifest = Verified<Manifest> & { readonly trainId: TrainId };

export const LIFETIME_MS_DEFAULT: number = 30 * 24 * 3_600_000;
export const LIFETIME_MS_MAX: number = 90 * 24 * 3_600_000;

/**
 * What the dispatcher at admission and every station behind it check alike.
 *
 * @throws PhtError `signer.unknown`, `signature.invalid`, `network.mismatch`, `statement.*`, `manifest.*`
 */
export function verifyManifest(envelope: Envelope, network: Network, nowMs: number): VerifiedManifest {
  const verified = verifySigned('manifest', Manifest, envelope, { network, role: 'researcher' });
  return soundManifest(verified, network, nowMs);
}

function soundManifest(verified: Verified<Manifest>, network: Network, nowMs: number): VerifiedManifest {
  const { predicate: manifest } = verified;
  assertManifestSound(verified, asOf(network, manifest.networkVersion), network);
  if (manifest.issuedAtMs > nowMs + SKEW_MS) {
    throw new PhtError('manifest.invalid', 'the manifest was issued in the future; a clock is wrong');
  }
  if (nowMs >= manifest.expiresMs) throw new PhtError('manifest.expired', 'the manifest has expired');
  return { ...verified, trainId: trainIdOf(verified.digest) };
}

/** As it was when it was signed: for looking back at a train, and never for running one. */
export function verifyWhenIssued(envelope: Envelope, network: Network): VerifiedManifest {
  const judged = { network, role: 'researcher', provenAtMs: LOOKING_BACK } as const;
  const verified = verifySigned('manifest', Manifest, envelope, judged);
  const { issuedAtMs, networkVersion } = verified.predicate;
  return soundManifest(verified, asOf(network, networkVersion), issuedAtMs);
}

/** A stop that was revoked on the way takes nobody else's result with it; a recipient that was gets none. */
function assertManifestSound({ predicate, subject }: Verified<Manifest>, then: Network, now: Network): void {
  const invalid = (why: string): PhtError =>
    new PhtError('manifest.invalid', `the manifest is not sound: ${why}`);
  if (subject !== predicate.image.configDigest) throw invalid('its subject is not its image');
  if (predicate.expiresMs <= predicate.issuedAtMs) throw invalid('it expires before it was issued');
  for (const stop of predicate.route.stops) {
    if (then.members.get(stop)?.role !== 'station') throw invalid(`${stop} is not a station of this network`);
  }
  const recipients = new Set<string>();
  for (const { member, jwk } of predicate.recipients) {
    if (recipients.has(member)) throw invalid(`recipient ${member} is named twice`);
    recipients.add(member);
    if (!now.members.has(member))
      throw new PhtError('recipient.unknown', `recipient ${member} is not a member`);
    if (jwk !== undefined && member !== predicate.issuer) throw invalid(`a key was given for ${member}`);
  }
}

/** Each recipient's key: the researcher's own per-train key, everybody else's from the pinned network. */
export function recipientKeys(
  manifest: Pick<Manifest, 'recipients'>,
  network: Network,
): { member: string; jwk: X25519PublicJwk }[] {
  return manifest.recipients.map(({ member, jwk }) => {
    const key = jwk ?? network.members.get(member)?.keys.encryption;
    if (key === undefined)
      throw new PhtError('recipient.unknown', `recipient ${member} has no encryption key`);
    return { member, jwk: key };
  });
}
