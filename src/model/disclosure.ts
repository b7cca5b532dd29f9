import { z } from 'zod';
import { verifyAdminWord } from './admin-word.ts';
import { commitmentOf, SALT_BYTES } from './commitment.ts';
import type { Envelope } from './dsse.ts';
import { PhtError } from './error.ts';
import { digestOf, HopIdText, TrainIdText } from './id.ts';
import type { Network } from './network.ts';
import { Sha256Hex, Slug, TimestampMs } from './schema.ts';
import { verifySigned } from './signed.ts';
import { Issued, type Verified } from './statement.ts';

/** An admin's word that a train's decisions be opened to one auditor; its subject is the network. */
export const DisclosureRequest = z.strictObject({
  ...Issued,
  station: Slug,
  trainId: TrainIdText,
  to: Slug,
  issuedAtMs: TimestampMs,
});
export type DisclosureRequest = z.infer<typeof DisclosureRequest>;

/** @throws PhtError as `verifyAdminWord` */
export function verifyDisclosureRequest(
  envelope: Envelope,
  at: { network: Network; station: string; nowMs: number },
): Verified<DisclosureRequest> {
  return verifyAdminWord('disclosureRequest', DisclosureRequest, envelope, at);
}

const EntryIndex = z.int().min(0);

/** Where a commitment stands in the station's ledger: entry and member of its body. */
const Place = {
  index: EntryIndex,
  name: z.string().regex(/^[a-z][A-Za-z0-9]{0,63}$/),
  commitment: Sha256Hex,
};

/** `erased`: its salt was deleted, and with it whatever the commitment could be opened to. */
export const Opening = z.union([
  z.strictObject({
    ...Place,
    salt: z.string().regex(new RegExp(`^[0-9a-f]{${2 * SALT_BYTES}}$`)),
    value: z.string().max(256 * 1024),
  }),
  z.strictObject({ ...Place, erased: z.literal(true) }),
]);
export type Opening = z.infer<typeof Opening>;

const DisclosedHop = z.strictObject({
  hopId: HopIdText,
  /** Each `policy.decided` entry; a decision without a request commitment was recorded without an archive. */
  decisions: z
    .array(
      z.strictObject({
        index: EntryIndex,
        policyDigest: Sha256Hex,
        requestCommitment: Sha256Hex.nullable(),
        answerCommitment: Sha256Hex.nullable(),
      }),
    )
    .max(1000),
  openings: z.array(Opening).max(10_000),
  /** Envelopes of the persons' decisions that `clearance.recorded` entries commit to, as JSON text. */
  clearances: z.array(z.string().max(64 * 1024)).max(1000),
});

/** What one station shows one auditor of one train, signed by the station; its subject is the train's manifest. */
export const Disclosure = z.strictObject({
  ...Issued,
  trainId: TrainIdText,
  to: Slug,
  /** Entries 0 to `ledgerSize` - 1 were looked through. */
  ledgerSize: z.int().min(0),
  /** Each policy text that decided, once. */
  policies: z.array(z.strictObject({ digest: Sha256Hex, text: z.string().max(256 * 1024) })).max(1000),
  hops: z.array(DisclosedHop).max(1000),
  issuedAtMs: TimestampMs,
});
export type Disclosure = z.infer<typeof Disclosure>;

/**
 * Authentic, and true to itself: every text has its digest and every salt opens its commitment. Whether the commitments
 * are those of the station's ledger is for whoever has the ledger.
 *
 * @param provenAtMs as `signerOf` takes it
 * @throws PhtError `proof.invalid`, `signer.unknown`, `signature.invalid`, `network.mismatch`, `statement.*`
 */
export function verifyDisclosure(
  envelope: Envelope,
  network: Network,
  provenAtMs: number | null = null,
): Verified<Disclosure> {
  const judged = { network, role: 'station', provenAtMs } as const;
  const verified = verifySigned('disclosure', Disclosure, envelope, judged);
  const { predicate, subject } = verified;
  if (predicate.trainId !== `trn_${subject.slice(0, 24)}`)
    throw untrue('its train is not that of its manifest');
  for (const { digest, text } of predicate.policies) {
    if (digestOf(text) !== digest) throw untrue(`a policy text has not the digest ${digest.slice(0, 16)}…`);
  }
  openCommitments(predicate);
  return verified;
}

/**
 * What each commitment that is opened here stands for; erased ones are not in it.
 *
 * @throws PhtError `proof.invalid` when a salt does not open its commitment
 */
export function openCommitments({ hops }: Pick<Disclosure, 'hops'>): Map<string, string> {
  const values = new Map<string, string>();
  for (const opening of hops.flatMap(({ openings }) => openings)) {
    if ('erased' in opening) continue;
    const { commitment, salt, value } = opening;
    if (commitmentOf(Buffer.from(salt, 'hex'), value) !== commitment) {
      throw untrue(`the salt of ${commitment.slice(0, 16)}… does not open it`);
    }
    values.set(commitment, value);
  }
  return values;
}

export type DisclosedDecision = {
  readonly hopId: string;
  readonly index: number;
  readonly policyDigest: string;
  readonly requestCommitment: string | null;
  readonly answerCommitment: string | null;
  /** null where the station has no such text any more. */
  readonly policy: string | null;
  /** Canonical JSON; null where erased or never archived. */
  readonly request: string | null;
  readonly answer: string | null;
};

/** Every decision on record with what it was made from, ready to be made again. @throws PhtError `proof.invalid` */
export function decisionsIn(disclosure: Pick<Disclosure, 'hops' | 'policies'>): DisclosedDecision[] {
  const values = openCommitments(disclosure);
  const texts = new Map(disclosure.policies.map(({ digest, text }) => [digest, text]));
  const opened = (commitment: string | null): string | null =>
    commitment === null ? null : (values.get(commitment) ?? null);
  return disclosure.hops.flatMap(({ hopId, decisions }) =>
    decisions.map((decision) => ({
      hopId,
      ...decision,
      policy: texts.get(decision.policyDigest) ?? null,
      request: opened(decision.requestCommitment),
      answer: opened(decision.answerCommitment),
    })),
  );
}

function untrue(why: string): PhtError {
  return new PhtError('proof.invalid', `the disclosure is not sound: ${why}`);
}
