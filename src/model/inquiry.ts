import { z } from 'zod';
import type { Envelope } from './dsse.ts';
import { ERROR_CODES, PhtError } from './error.ts';
import type { Digest } from './id.ts';
import type { Network } from './network.ts';
import { ColumnName, TimestampMs, X25519PublicJwk } from './schema.ts';
import { verifySigned } from './signed.ts';
import { SKEW_MS } from './skew.ts';
import { Issued, type Verified } from './statement.ts';
import { Manifest, recipientKeys } from './train.ts';

/**
 * The researcher's question before submitting, and a station's signed answer. Neither is of a type that anything else
 * accepts: an inquiry runs nothing, and a reply promises nothing.
 */

export const INQUIRY_BYTES_MAX: number = 128 * 1024;
export const INQUIRY_LIFETIME_MS_MAX: number = 5 * 60_000;
/** Reasons and columns at their longest, in the JWE's next bucket and in base64. */
export const REPLY_JWE_BYTES_MAX: number = 512 * 1024;
export const COLUMNS_MAX = 200;

/** What the manifest says and a station decides on: all but its parameters and its nonce. */
export const PlannedTrain = Manifest.pick({
  title: true,
  purpose: true,
  image: true,
  dataset: true,
  route: true,
  limits: true,
  outputs: true,
  combine: true,
  recipients: true,
  issuedAtMs: true,
  expiresMs: true,
});
export type PlannedTrain = z.infer<typeof PlannedTrain>;

/** Signed by the researcher; its subject is the digest of the manifest that is meant. */
export const Inquiry = z.strictObject({
  ...Issued,
  train: PlannedTrain,
  /** Names of the columns that the train needs; empty when nobody has said. */
  columns: z.array(ColumnName).max(COLUMNS_MAX),
  /** Made for this one question: what a station answers is sealed to it alone. */
  replyKey: X25519PublicJwk,
  nonce: Manifest.shape.nonce,
  issuedAtMs: TimestampMs,
  expiresMs: TimestampMs,
});
export type Inquiry = z.infer<typeof Inquiry>;
export type VerifiedInquiry = Verified<Inquiry>;

/** What a standing clearance, by its terms as they are now, would do for a train that a person must approve otherwise. */
export const STANDING_OUTLOOKS = ['none', 'may-cover', 'covers'] as const;

export const REPLY_VERDICTS = ['permit', 'ask', 'deny', 'error'] as const;

/**
 * Signed by the station inside a JWE; its subject is the inquiry's digest. What is said of the dataset comes from its
 * public description, never from its files.
 */
export const Reply = z.strictObject({
  ...Issued,
  /** null when the station could not look. */
  dataset: z
    .strictObject({ offered: z.boolean(), missingColumns: z.array(ColumnName).max(COLUMNS_MAX) })
    .nullable(),
  verdict: z.enum(REPLY_VERDICTS),
  /** Why it denies or cannot say; null with the two other verdicts. */
  code: z.enum(ERROR_CODES).nullable(),
  /** How many persons must approve, as the policy says. */
  approvals: z.union([z.literal(0), z.literal(1), z.literal(2)]),
  /** `may-cover`: it is over the train's code, which is not known before the image is here. */
  standing: z.enum(STANDING_OUTLOOKS),
  /** As in an explanation: what the code means here, then each rule; as far as the station tells. */
  text: z.string().max(2000),
  reasons: z.array(z.string().max(500)).max(50),
  engineReady: z.boolean(),
  issuedAtMs: TimestampMs,
});
export type Reply = z.infer<typeof Reply>;

/**
 * What the dispatcher and every station behind it check alike.
 *
 * @throws PhtError `signature.invalid`, `statement.*`, `inquiry.invalid`, `inquiry.expired`, `recipient.unknown`, and as
 *   `signerOf`
 */
export function verifyInquiry(envelope: Envelope, network: Network, nowMs: number): VerifiedInquiry {
  const verified = verifySigned('inquiry', Inquiry, envelope, { network, role: 'researcher' });
  const { predicate } = verified;
  assertSound(predicate, network);
  if (predicate.issuedAtMs > nowMs + SKEW_MS) {
    throw new PhtError('inquiry.invalid', 'the inquiry was issued in the future; a clock is wrong');
  }
  if (nowMs >= predicate.expiresMs) {
    throw new PhtError('inquiry.expired', 'the inquiry has expired, or a clock is wrong');
  }
  return verified;
}

function assertSound({ train, columns, issuer, ...inquiry }: Inquiry, network: Network): void {
  const invalid = (why: string): PhtError =>
    new PhtError('inquiry.invalid', `the inquiry is not sound: ${why}`);
  const lifetimeMs = inquiry.expiresMs - inquiry.issuedAtMs;
  if (lifetimeMs <= 0) throw invalid('it expires before it was issued');
  if (lifetimeMs > INQUIRY_LIFETIME_MS_MAX) throw invalid('it is valid for longer than 5 minutes');
  if (train.expiresMs <= train.issuedAtMs) throw invalid('its train expires before it was issued');
  if (new Set(columns).size !== columns.length) throw invalid('a column is named twice');
  for (const stop of train.route.stops) {
    if (network.members.get(stop)?.role !== 'station')
      throw invalid(`${stop} is not a station of this network`);
  }
  const recipients = new Set(train.recipients.map(({ member }) => member));
  if (recipients.size !== train.recipients.length) throw invalid('a recipient is named twice');
  for (const { member, jwk } of train.recipients) {
    if (!network.members.has(member))
      throw new PhtError('recipient.unknown', `recipient ${member} is not a member`);
    if (jwk !== undefined && member !== issuer) throw invalid(`a key was given for ${member}`);
  }
  recipientKeys(train, network);
}

/**
 * @param about the inquiry that was asked: a reply to any other one is not used
 * @throws PhtError `signature.invalid`, `statement.*`, `inquiry.invalid`, and as `signerOf`
 */
export function verifyReply(
  envelope: Envelope,
  network: Network,
  about: { station: string; inquiryDigest: Digest; columns: readonly string[] },
): Verified<Reply> {
  const verified = verifySigned('reply', Reply, envelope, { network, role: 'station' });
  const { predicate: reply, subject } = verified;
  const invalid = (why: string): PhtError => new PhtError('inquiry.invalid', `the reply ${why}`);
  if (reply.issuer !== about.station) throw invalid('speaks for another station than the one that signed it');
  if (subject !== about.inquiryDigest) throw invalid('is to another inquiry');
  const missing = reply.dataset?.missingColumns ?? [];
  if (!missing.every((name) => about.columns.includes(name)))
    throw invalid('misses a column that nobody named');
  const settled = reply.verdict === 'permit' || reply.verdict === 'ask';
  const asks = reply.verdict === 'ask';
  if (settled !== (reply.code === null) || asks !== reply.approvals > 0) throw invalid('contradicts itself');
  if (!asks && reply.standing !== 'none') throw invalid('has a clearance for what asks for none');
  return verified;
}
