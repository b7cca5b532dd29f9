import { z } from 'zod';
import { type ErrorCode, PhtError } from './error.ts';
import { type JsonLimits, parseStrictJson } from './json.ts';

/** SHA-256 in lower-case hexadecimal, without a prefix. */
export const Sha256Hex = z.string().regex(/^[0-9a-f]{64}$/, 'must be 64 lower-case hexadecimal digits');

/** The id of a member, station, dataset or column: short, lower case, safe in a path and in a log origin. */
export const Slug = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/, 'must be 1 to 40 of a-z, 0-9 and -');

/** A column or variable name as data files have them. */
export const ColumnName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_.]{0,63}$/, 'must be a name of 1 to 64 of A-Z a-z 0-9 _ .');

/** One line for people: no control characters, no line breaks, no bidirectional overrides. */
export const ShortText = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}\p{Cf}\p{Zl}\p{Zp}]*$/u, 'must not contain control or formatting characters');

/** Milliseconds since the Unix epoch. */
export const TimestampMs = z.int().min(0).max(8_640_000_000_000_000);

/** 32 bytes in base64url. The spare bits of the last letter are zero, so that one key has one spelling. */
const Raw32 = z.string().regex(/^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/, 'must be 32 bytes in base64url');

/**
 * The points of small order (https://cr.yp.to/ecdh.html#validate), little-endian, without the bit that X25519 ignores.
 * No secret can be agreed with them: nothing that names one as a recipient could ever be sealed.
 */
const SMALL_ORDER: ReadonlySet<string> = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]);

function isUsablePoint(x: string): boolean {
  const point = Buffer.from(x, 'base64url');
  point[31] = (point[31] ?? 0) & 0x7f;
  return !SMALL_ORDER.has(point.toString('hex'));
}

export const X25519PublicJwk = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('X25519'),
  x: Raw32.refine(isUsablePoint, 'is a point with which no secret can be agreed'),
});
export type X25519PublicJwk = z.infer<typeof X25519PublicJwk>;

export const Ed25519PublicJwk = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: Raw32,
});
export type Ed25519PublicJwk = z.infer<typeof Ed25519PublicJwk>;

/** Checks a parsed value against a strict schema. The message names the first place that does not fit. */
export function check<T>(
  schema: z.ZodType<T>,
  value: unknown,
  what: string,
  code: ErrorCode = 'input.malformed',
): T {
  const outcome = schema.safeParse(value);
  if (outcome.success) return outcome.data;
  const issue = outcome.error.issues[0];
  const place = issue?.path.map(String).join('.') ?? '';
  const detail = (issue?.message ?? 'does not fit its schema').slice(0, 300);
  throw new PhtError(code, `${what}: ${place === '' ? '' : `${place.slice(0, 100)}: `}${detail}`, {
    cause: outcome.error,
  });
}

/** Strict JSON and a strict schema in one step, for anything that came from outside. */
export function parseWith<T>(
  schema: z.ZodType<T>,
  bytes: Uint8Array,
  limits: JsonLimits,
  code?: ErrorCode,
): T {
  return check(schema, parseStrictJson(bytes, limits), limits.what, code);
}
