import { z } from 'zod';
import { assertInForce, type BySignedAdmin, verifyByAdmin } from './clearance.ts';
import type { Envelope } from './dsse.ts';
import { PhtError } from './error.ts';
import { type Digest, digestOf } from './id.ts';
import { codeDigestOf, standsOnOneOf } from './image-code.ts';
import type { ImageConfig } from './image-config.ts';
import type { Network } from './network.ts';
import { canonicalJson } from './result/canonical.ts';
import { Sha256Hex, Slug, TimestampMs } from './schema.ts';
import { Issued, type Verified } from './statement.ts';
import { Limits, type Manifest, RESULT_KINDS } from './train.ts';

export const STANDING_LIFETIME_MS_MAX: number = 366 * 86_400_000;
export const STANDING_RUNS_MAX = 1000;
/** At one train, by one run: a dispatcher cannot have it begin over and over. */
export const STANDING_ATTEMPTS_MAX = 3;

/** Sorted and distinct, so that two persons who mean the same sign the same. */
const setOf = <T extends z.ZodType<string>>(member: T, max: number) =>
  z
    .array(member)
    .max(max)
    .refine(
      (each) => each.every((value, at) => at === 0 || (each[at - 1] ?? '') < value),
      'must be sorted, each once',
    );

/** `layers`: those of the image that was looked at, lowest first; the layers below another one's top must be these. */
const Scope = z.union([
  z.strictObject({ image: Sha256Hex }),
  z.strictObject({ code: Sha256Hex, layers: z.array(Sha256Hex).min(1).max(128) }),
]);
export type StandingScope = z.infer<typeof Scope>;

/** A person's signed word for trains to come; its subject is the digest of its terms. */
export const StandingPredicate = z.strictObject({
  ...Issued,
  station: Slug,
  scope: Scope,
  researcher: Slug,
  dataset: Slug,
  /** Exactly these. */
  recipients: setOf(Slug, 8).min(1),
  /** A train may ask for fewer. */
  outputKinds: setOf(z.enum(RESULT_KINDS), RESULT_KINDS.length).min(1),
  /** A train may ask for less. */
  limits: Limits,
  duo: setOf(z.string().regex(/^DUO:[0-9]{7}$/), 20),
  /** 0 where the manifest asked for none. */
  minCellCount: z.int().min(0).max(1000),
  policyDigest: Sha256Hex,
  disclosureDigest: Sha256Hex,
  runsMax: z.int().min(1).max(STANDING_RUNS_MAX),
  reason: z.string().min(1).max(1000),
  issuedAtMs: TimestampMs,
  expiresMs: TimestampMs,
});
export type StandingPredicate = z.infer<typeof StandingPredicate>;
export type VerifiedStanding = Verified<StandingPredicate> & BySignedAdmin;

export type StandingTerms = Omit<StandingPredicate, 'networkVersion' | 'issuer' | 'issuedAtMs' | 'reason'>;

/** What two persons have to agree on: all but who says it, when, why, and by which version of the network file. */
export function termsDigestOf(predicate: StandingTerms | StandingPredicate): Digest {
  const {
    networkVersion: _version,
    issuer: _issuer,
    issuedAtMs: _at,
    reason: _reason,
    ...terms
  } = predicate as StandingPredicate;
  return digestOf(canonicalJson(terms));
}

/**
 * An admin of this station signed it, and its subject is what it says. Whether it is still in force is another question.
 *
 * @throws PhtError `clearance.invalid`, `signer.unknown`, `signer.revoked`, `signature.invalid`, `statement.*`, …
 */
export function openStanding(
  envelope: Envelope,
  at: { network: Network; station: string; provenAtMs?: number | null },
): VerifiedStanding {
  const verified = verifyByAdmin('standing', StandingPredicate, envelope, at);
  const { predicate, subject } = verified;
  if (subject !== termsDigestOf(predicate))
    throw new PhtError('clearance.invalid', 'the standing clearance says something else than its subject');
  const lifetimeMs = predicate.expiresMs - predicate.issuedAtMs;
  if (lifetimeMs > STANDING_LIFETIME_MS_MAX)
    throw new PhtError('clearance.invalid', 'a standing clearance ends within a year');
  return verified;
}

/** @throws PhtError as `openStanding`, and `clearance.expired` */
export function verifyStanding(
  envelope: Envelope,
  at: { network: Network; station: string; nowMs: number; provenAtMs?: number | null },
): VerifiedStanding {
  const verified = openStanding(envelope, at);
  assertInForce(verified.predicate, at.nowMs);
  return verified;
}

/** `manifest`: as it is signed, or as an inquiry about it says. */
export type StandingCase = {
  manifest: Pick<Manifest, 'issuer' | 'dataset' | 'image' | 'recipients' | 'outputs' | 'limits' | 'purpose'>;
  policyDigest: string;
  disclosureDigest: string;
};

/**
 * What of a case a standing clearance takes over, as it is now.
 *
 * @param scope what of the image was looked at
 */
export function termsOf({ manifest, policyDigest, disclosureDigest }: StandingCase, scope: StandingScope) {
  return {
    scope,
    researcher: manifest.issuer,
    dataset: manifest.dataset,
    recipients: manifest.recipients.map(({ member }) => member).sort(),
    outputKinds: [...new Set(manifest.outputs.kinds)].sort(),
    limits: manifest.limits,
    duo: [...new Set(manifest.purpose.duo)].sort(),
    minCellCount: manifest.outputs.minCellCount ?? 0,
    policyDigest,
    disclosureDigest,
  };
}

/**
 * @returns in words the first term that the case does not keep, null when it keeps all of them; the image is asked about
 *   with `coversImage`
 */
export function misfitOf(standing: StandingPredicate, about: StandingCase): string | null {
  return misfitOfTerms(standing, termsOf(about, standing.scope));
}

/** The same for terms that are known by themselves. */
export function misfitOfTerms(standing: StandingPredicate, now: ReturnType<typeof termsOf>): string | null {
  const same = (a: readonly string[], b: readonly string[]): boolean => a.join() === b.join();
  if (now.researcher !== standing.researcher) return 'another researcher';
  if (now.dataset !== standing.dataset) return 'another dataset';
  if (!same(now.recipients, standing.recipients)) return 'other recipients';
  if (!same(now.duo, standing.duo)) return 'another use (DUO)';
  if (!now.outputKinds.every((kind) => standing.outputKinds.includes(kind))) return 'other kinds of output';
  if (now.minCellCount !== standing.minCellCount) return 'another smallest count';
  for (const name of Object.keys(now.limits) as (keyof Limits)[]) {
    if (now.limits[name] > standing.limits[name]) return `more than was allowed of ${name}`;
  }
  if (now.policyDigest !== standing.policyDigest) return 'the policy has changed';
  if (now.disclosureDigest !== standing.disclosureDigest) return 'the disclosure settings have changed';
  return null;
}

/** @param config the image's own config, verified; it is asked for where the scope is its code */
export function coversImage(
  standing: Pick<StandingPredicate, 'scope'>,
  about: Pick<Manifest, 'image'>,
  config: ImageConfig | null,
): boolean {
  const { scope } = standing;
  if (!mayCoverImage(standing, about)) return false;
  return 'image' in scope || (config !== null && codeDigestOf(config, about.image) === scope.code);
}

/** As far as it can be told without the image's config: for certain only where the scope is that image. */
export function mayCoverImage(
  { scope }: Pick<StandingPredicate, 'scope'>,
  { image }: Pick<Manifest, 'image'>,
): boolean {
  if ('image' in scope) return scope.image === image.configDigest;
  const approved = { ...image, layers: scope.layers.map((diffId) => ({ diffId, bytes: 1 })) };
  return standsOnOneOf(image, [approved]);
}
