import { createPrivateKey, createPublicKey } from 'node:crypto';
import { GeneralEncrypt, generalDecrypt } from 'jose';
import { z } from 'zod';
import { keyIdOf } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { check, parseWith, Sha256Hex, X25519PublicJwk } from '../../model/schema.ts';
import type { Opener, Sealer } from '../../ports/signer.ts';

/** JWE (RFC 7516) in the general JSON serialisation; one algorithm of each kind, RFC 7518 and RFC 8037. */

const ALG = 'ECDH-ES+A256KW';
const ENC = 'A256GCM';
const TYP = 'pht-result+jwe';

const KIB = 1024;
const BUCKETS = [4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB];
const STEP = 256 * KIB;
const PLAINTEXT_BYTES_MAX = 1024 * KIB;
const JWE_BYTES_MAX = 2048 * KIB;
const RECIPIENTS_MAX = 16;

/** With its spare bits zero, so that nobody can respell a sealed envelope that a receipt names by its digest. */
const Base64Url = z
  .string()
  .refine((text) => Buffer.from(text, 'base64url').toString('base64url') === text, 'must be base64url');
const RecipientHeader = z.strictObject({
  alg: z.literal(ALG).optional(),
  epk: X25519PublicJwk.optional(),
  kid: Sha256Hex.optional(),
});

/** Strict: no `unprotected`, no `aad`, nothing that an attacker could add beside the protected header. */
const Jwe = z.strictObject({
  protected: Base64Url,
  recipients: z
    .array(z.strictObject({ encrypted_key: Base64Url, header: RecipientHeader.optional() }))
    .min(1)
    .max(RECIPIENTS_MAX),
  iv: Base64Url.refine((text) => text.length === 16, 'must be 12 bytes'),
  ciphertext: Base64Url,
  tag: Base64Url.refine((text) => text.length === 22, 'must be 16 bytes'),
});
type Jwe = z.infer<typeof Jwe>;

/** Strict again, so that `zip`, `crit`, `jku` and whatever comes later are refused by absence. */
const ProtectedHeader = z.strictObject({
  ...RecipientHeader.shape,
  enc: z.literal(ENC),
  typ: z.literal(TYP),
});

export function createSealer(): Sealer {
  return { seal };
}

/** @throws PhtError `input.too-large`, `recipient.unknown` */
async function seal(plaintext: Uint8Array, recipients: readonly X25519PublicJwk[]): Promise<Uint8Array> {
  if (recipients.length < 1 || recipients.length > RECIPIENTS_MAX) {
    throw new PhtError(
      'recipient.unknown',
      `an envelope has 1 to ${RECIPIENTS_MAX} recipients, not ${recipients.length}`,
    );
  }
  const encrypt = new GeneralEncrypt(pad(plaintext)).setProtectedHeader({ enc: ENC, typ: TYP });
  for (const jwk of recipients) {
    const key = createPublicKey({ key: { ...jwk }, format: 'jwk' });
    encrypt.addRecipient(key).setUnprotectedHeader({ alg: ALG, kid: keyIdOf(jwk) });
  }
  return Buffer.from(JSON.stringify(await encrypt.encrypt()));
}

/** Trailing spaces mean nothing to a JSON parser, so nobody has to strip them. */
function pad(plaintext: Uint8Array): Uint8Array {
  const size = plaintext.byteLength;
  if (size > PLAINTEXT_BYTES_MAX) {
    throw new PhtError(
      'input.too-large',
      `${size} bytes are too many to seal; at most ${PLAINTEXT_BYTES_MAX} fit`,
    );
  }
  const bucket = BUCKETS.find((bytes) => size <= bytes) ?? Math.ceil(size / STEP) * STEP;
  const padded = Buffer.alloc(bucket, ' ');
  padded.set(plaintext);
  return padded;
}

export function createOpener(jwk: X25519PublicJwk & { d: string }): Opener {
  const { kty, crv, x, d } = jwk;
  const key = createPrivateKey({ key: { kty, crv, x, d }, format: 'jwk' });
  const publicJwk = { kty, crv, x };
  const keyId = keyIdOf(publicJwk);
  return {
    publicJwk,
    async open(bytes) {
      try {
        const { plaintext } = await generalDecrypt(readJwe(bytes, keyId), key, {
          keyManagementAlgorithms: [ALG],
          contentEncryptionAlgorithms: [ENC],
        });
        return plaintext;
      } catch (cause) {
        const why =
          cause instanceof PhtError ? cause.message : 'the sealed envelope does not open with this key';
        throw new PhtError('envelope.invalid', why, { cause });
      }
    },
  };
}

type ReadableJwe = Omit<Jwe, 'recipients'> & {
  recipients: { encrypted_key: string; header?: Record<string, unknown> }[];
};

/** The envelope with only the recipients that may be this key; a missing `kid` may be anybody. */
function readJwe(bytes: Uint8Array, keyId: string): ReadableJwe {
  const what = 'the sealed envelope';
  const jwe = parseWith(Jwe, bytes, { bytesMax: JWE_BYTES_MAX, what }, 'envelope.invalid');
  const headerBytes = Buffer.from(jwe.protected, 'base64url');
  const limits = { bytesMax: 4 * KIB, what: `${what}: protected header` };
  const shared = parseWith(ProtectedHeader, headerBytes, limits, 'envelope.invalid');
  const recipients: ReadableJwe['recipients'] = [];
  for (const { encrypted_key, header = {} } of jwe.recipients) {
    // A parameter in both headers is forbidden (RFC 7516, section 7.2.1): readers would differ in which they believe.
    for (const name of Object.keys(header)) {
      if (name in shared) throw new PhtError('envelope.invalid', `${what}: ${name} appears in two headers`);
    }
    const whole = { ...shared, ...header };
    check(z.object({ alg: z.literal(ALG), epk: X25519PublicJwk }), whole, what, 'envelope.invalid');
    if (whole.kid === undefined || whole.kid === keyId) recipients.push({ encrypted_key, header });
  }
  if (recipients.length === 0) throw new PhtError('envelope.invalid', `${what} is not sealed to this key`);
  return { ...jwe, recipients };
}
