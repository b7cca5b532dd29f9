import { z } from 'zod';
import type { Envelope } from './dsse.ts';
import { MemberKeys, ROLES, Span, WitnessingSpan } from './network.ts';
import { Ed25519PublicJwk, Sha256Hex, ShortText, Slug, TimestampMs } from './schema.ts';
import { Issued } from './statement.ts';

/**
 * What makes up a network file (protocol, section 1), in three roles as in TUF (https://theupdateframework.io): `root`
 * says which keys speak for each role, `members` who is a member, and `freshness` that nothing newer is being withheld.
 */

const DAY_MS = 86_400_000;
const Version = z.int().min(1).max(1_000_000);

/** DER in base64. */
export const CertificateText = z
  .string()
  .regex(/^[A-Za-z0-9+/]+={0,2}$/)
  .max(4096);

/** How many of which keys must have signed. */
export const RoleKeys = z
  .strictObject({ keys: z.array(Ed25519PublicJwk).min(1).max(10), threshold: z.int().min(1).max(10) })
  .refine(({ keys, threshold }) => threshold <= keys.length, 'the threshold is above the number of keys')
  .refine(
    ({ keys }) => new Set(keys.map(({ x }) => x)).size === keys.length,
    'a key is named twice in one role',
  );
export type RoleKeys = z.infer<typeof RoleKeys>;

/** The offline root. Version 1 is the network's identity; each further one names the digest of the one before. */
export const RootPredicate = z.strictObject({
  networkId: Sha256Hex.nullable(),
  version: Version,
  previousDigest: Sha256Hex.nullable(),
  title: ShortText,
  roles: z.strictObject({ root: RoleKeys, members: RoleKeys, freshness: RoleKeys }),
  /** For how long one freshness statement may be good. */
  freshnessMsMax: z
    .int()
    .min(DAY_MS)
    .max(7 * DAY_MS),
  /** Whose certificates open tracks; two of them while one replaces the other. */
  tlsAuthorities: z.array(CertificateText).min(1).max(3),
  issuedAtMs: TimestampMs,
  expiresMs: TimestampMs,
});
export type RootPredicate = z.infer<typeof RootPredicate>;

/**
 * One version of the list of members, with its whole past: who was a member in which versions, with which keys. So the
 * newest list alone judges what was signed under an older one.
 */
export const MembersPredicate = z.strictObject({
  ...Issued,
  rootVersion: Version,
  previousDigest: Sha256Hex.nullable(),
  issuedAtMs: TimestampMs,
  expiresMs: TimestampMs,
  witnessing: z.array(WitnessingSpan).min(1).max(1000),
  members: z.array(Span).min(1).max(4000),
});
export type MembersPredicate = z.infer<typeof MembersPredicate>;

/** Online at the authority: the members' list that is the newest one now. Its subject is that list's digest. */
export const FreshnessPredicate = z.strictObject({
  ...Issued,
  rootVersion: Version,
  issuedAtMs: TimestampMs,
  expiresMs: TimestampMs,
});
export type FreshnessPredicate = z.infer<typeof FreshnessPredicate>;

/**
 * What a member says of itself when it asks to be admitted; self-signed to prove possession of its statement key.
 * `tlsRequest` is a PKCS #10 certification request (RFC 2986), DER in base64, which proves that of its TLS key.
 */
export const Enrolment = z.strictObject({
  networkId: Sha256Hex,
  member: Slug,
  role: z.enum(ROLES).exclude(['authority']),
  title: ShortText,
  organisation: ShortText,
  person: Slug.optional(),
  station: Slug.optional(),
  keys: MemberKeys,
  tlsRequest: CertificateText.optional(),
  createdAtMs: TimestampMs,
});
export type Enrolment = z.infer<typeof Enrolment>;

/** New keys of a member, signed by its present statement key and by the new one. */
export const Renewal = z.strictObject({
  ...Issued,
  keys: MemberKeys,
  tlsRequest: CertificateText.optional(),
  issuedAtMs: TimestampMs,
});
export type Renewal = z.infer<typeof Renewal>;

/** `certificates`: DER in base64, each signed by a TLS authority of the root, so that nobody has to sign the list. */
export type NetworkFiles = {
  readonly roots: readonly Envelope[];
  readonly members: Envelope;
  readonly freshness: Envelope;
  readonly certificates: Readonly<Record<string, string>>;
};
