import { z } from 'zod';
import { type Envelope, keyIdOf, PAYLOAD_TYPE, payloadOf, preAuthEncoding, verifyEnvelope } from './dsse.ts';
import { PhtError } from './error.ts';
import { type Digest, digestOf } from './id.ts';
import { type Ed25519PublicJwk, parseWith, Sha256Hex, Slug } from './schema.ts';

/** in-toto Statement v1 (https://in-toto.io/Statement/v1) around our predicates. */
export const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';

export const PREDICATE_TYPES = {
  root: 'https://signalbox.example/root/v2',
  members: 'https://signalbox.example/members/v1',
  freshness: 'https://signalbox.example/freshness/v1',
  enrolment: 'https://signalbox.example/enrolment/v2',
  renewal: 'https://signalbox.example/renewal/v1',
  manifest: 'https://signalbox.example/manifest/v1',
  order: 'https://signalbox.example/order/v1',
  clearance: 'https://signalbox.example/clearance/v2',
  standing: 'https://signalbox.example/standing/v1',
  withdrawal: 'https://signalbox.example/withdrawal/v1',
  result: 'https://signalbox.example/result/v1',
  explanation: 'https://signalbox.example/explanation/v1',
  receipt: 'https://signalbox.example/receipt/v1',
  cancellation: 'https://signalbox.example/cancellation/v1',
  erasure: 'https://signalbox.example/erasure/v1',
  trust: 'https://signalbox.example/trust/v1',
  inquiry: 'https://signalbox.example/inquiry/v1',
  reply: 'https://signalbox.example/reply/v1',
  disclosureRequest: 'https://signalbox.example/disclosure-request/v1',
  disclosure: 'https://signalbox.example/disclosure/v1',
} as const;
export type PredicateName = keyof typeof PREDICATE_TYPES;

const PAYLOAD_BYTES_MAX = 768 * 1024;
/** A thousand members and their past. */
const MEMBERS_BYTES_MAX = 8 * 1024 * 1024;

/** The members that every predicate carries: which network, in which version, and who speaks. */
export const Issued = {
  networkId: Sha256Hex,
  networkVersion: z.int().min(1).max(1_000_000),
  issuer: Slug,
};

/** A statement whose signature and schema have been checked. Only `verifyStatement` makes one. */
export type Verified<P> = {
  readonly predicate: P;
  readonly subject: Digest;
  readonly digest: Digest;
  readonly payload: Uint8Array;
  readonly envelope: Envelope;
};

export type Sign = (message: Uint8Array) => Uint8Array;

type Statement<P> = {
  subject: { name: string; digest: { sha256: string } }[];
  predicateType: string;
  predicate: P;
};
const schemas = new WeakMap<z.ZodType, z.ZodType>();

/** Made once for each predicate: zod compiles a schema when it is first used, which costs more than using it. */
function statementSchema<P>(name: PredicateName, predicate: z.ZodType<P>): z.ZodType<Statement<P>> {
  const known = schemas.get(predicate) as z.ZodType<Statement<P>> | undefined;
  if (known !== undefined) return known;
  const made: z.ZodType<Statement<P>> = z.strictObject({
    _type: z.literal(STATEMENT_TYPE),
    subject: z
      .array(z.strictObject({ name: z.string().max(100), digest: z.strictObject({ sha256: Sha256Hex }) }))
      .length(1),
    predicateType: z.literal(PREDICATE_TYPES[name]),
    predicate,
  });
  schemas.set(predicate, made);
  return made;
}

/** Signs a new statement. The bytes that are signed are the bytes that travel; nothing is ever re-serialised. */
export function signStatement(
  name: PredicateName,
  subject: { name: string; digest: Digest },
  predicate: object,
  signer: { sign: Sign; publicJwk: Ed25519PublicJwk },
): { envelope: Envelope; digest: Digest } {
  const statement = {
    _type: STATEMENT_TYPE,
    subject: [{ name: subject.name, digest: { sha256: subject.digest } }],
    predicateType: PREDICATE_TYPES[name],
    predicate,
  };
  const payload = Buffer.from(JSON.stringify(statement));
  const sig = Buffer.from(signer.sign(preAuthEncoding(PAYLOAD_TYPE, payload))).toString('base64');
  const envelope = {
    payloadType: PAYLOAD_TYPE,
    payload: payload.toString('base64'),
    signatures: [{ keyid: keyIdOf(signer.publicJwk), sig }],
  };
  return { envelope, digest: digestOf(payload) };
}

/** Another key's signature over the very same bytes. */
export function cosignStatement(
  envelope: Envelope,
  signer: { sign: Sign; publicJwk: Ed25519PublicJwk },
): Envelope {
  const message = preAuthEncoding(envelope.payloadType, payloadOf(envelope));
  const sig = Buffer.from(signer.sign(message)).toString('base64');
  const signatures = [...envelope.signatures, { keyid: keyIdOf(signer.publicJwk), sig }];
  return { ...envelope, signatures };
}

/**
 * Signature first, then the strict parse of exactly the verified bytes.
 *
 * @param threshold how many of them must have signed
 * @param trusted keys that the caller selected by member, role and use from the pinned network
 * @throws PhtError `signature.invalid`, `statement.type`, `statement.malformed`, `input.malformed`
 */
export function verifyStatement<P>(
  name: PredicateName,
  schema: z.ZodType<P>,
  envelope: Envelope,
  trusted: readonly Ed25519PublicJwk[],
  threshold = 1,
): Verified<P> {
  const payload = verifyEnvelope(envelope, trusted, threshold);
  return { ...readStatement(name, schema, payload), digest: digestOf(payload), payload, envelope };
}

/**
 * Reads a payload without verifying it, for the one purpose of learning whose key to select; what it returns is a
 * claim.
 */
export function readStatement<P>(
  name: PredicateName,
  schema: z.ZodType<P>,
  payload: Uint8Array,
): { predicate: P; subject: Digest } {
  const what = `${name} statement`;
  const limits = { bytesMax: name === 'members' ? MEMBERS_BYTES_MAX : PAYLOAD_BYTES_MAX, what };
  assertPredicateType(name, payload, limits);
  const statement = parseWith(statementSchema(name, schema), payload, limits, 'statement.malformed');
  const subject = statement.subject[0]?.digest.sha256;
  if (subject === undefined) throw new PhtError('statement.malformed', `${what} has no subject`);
  return { predicate: statement.predicate, subject: subject as Digest };
}

const TypeOnly = z.object({ predicateType: z.string() });

/**
 * Which of several statements a payload claims to be; the caller then reads it as that one and nothing else.
 *
 * @throws PhtError `statement.type` for one of no type that is asked for
 */
export function claimedType<N extends PredicateName>(payload: Uint8Array, names: readonly N[]): N {
  const limits = { bytesMax: PAYLOAD_BYTES_MAX, what: 'statement' };
  const { predicateType } = parseWith(TypeOnly, payload, limits, 'statement.malformed');
  const name = names.find((each) => PREDICATE_TYPES[each] === predicateType);
  if (name !== undefined) return name;
  throw new PhtError('statement.type', `expected a ${names.join(' or ')} statement, got another type`);
}

/** A statement of another type is its own error: accepting one is the mistake of CVE-2022-35929. */
function assertPredicateType(
  name: PredicateName,
  payload: Uint8Array,
  limits: { bytesMax: number; what: string },
): void {
  const { predicateType } = parseWith(TypeOnly, payload, limits, 'statement.malformed');
  if (predicateType !== PREDICATE_TYPES[name]) {
    throw new PhtError('statement.type', `expected a ${name} statement, got another type`);
  }
}
