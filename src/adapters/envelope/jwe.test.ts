import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { FlattenedEncrypt } from 'jose';
import { describe, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { parseStrictJson } from '../../model/json.ts';
import { X25519PublicJwk } from '../../model/schema.ts';
import { createOpener, createSealer } from './jwe.ts';

type PrivateJwk = X25519PublicJwk & { d: string };
const vectors = JSON.parse(
  readFileSync(new URL('../../../test/vectors/jwe.json', import.meta.url), 'utf8'),
) as {
  keys: PrivateJwk[];
  plaintext: string;
  compact: string;
  general: Record<string, unknown> & { recipients: { header: object }[] };
  refuse: { name: string; jwe: string }[];
};

/** The product reads the general form only; a compact vector is the same message in other clothes. */
function generalOf(compact: string): object {
  const [header, encrypted_key, iv, ciphertext, tag] = compact.split('.');
  return { protected: header, recipients: [{ encrypted_key }], iv, ciphertext, tag };
}

const bytesOf = (value: unknown): Uint8Array =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value));

async function open(jwe: unknown, jwk: PrivateJwk): Promise<string> {
  return Buffer.from(await createOpener(jwk).open(bytesOf(jwe))).toString();
}

async function codeOf(jwe: unknown, jwk: PrivateJwk): Promise<string> {
  try {
    await open(jwe, jwk);
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : `not ours: ${String(thrown)}`;
  }
  return 'accepted';
}

function newKey(): PrivateJwk {
  const { kty, crv, x, d } = generateKeyPairSync('x25519').privateKey.export({ format: 'jwk' });
  return { ...X25519PublicJwk.parse({ kty, crv, x }), d: d ?? '' };
}

const publicOf = ({ kty, crv, x }: PrivateJwk): X25519PublicJwk => ({ kty, crv, x });
const ana = newKey();
const auditor = newKey();
const plaintext = '{"result":12.4}';
const sealed = JSON.parse(
  Buffer.from(await createSealer().seal(bytesOf(plaintext), [publicOf(ana), publicOf(auditor)])).toString(),
) as {
  protected: string;
  recipients: { encrypted_key: string; header: Record<string, unknown> }[];
  [key: string]: unknown;
};

describe('vectors of jwcrypto', () => {
  test.each(vectors.keys)('the envelope for two opens with each key', async (jwk) => {
    expect(await open(vectors.general, jwk)).toBe(vectors.plaintext);
  });

  test('the compact one opens in the general form', async () => {
    const [jwk] = vectors.keys as [PrivateJwk];
    expect(await open(generalOf(vectors.compact), jwk)).toBe(vectors.plaintext);
    expect(await codeOf(vectors.compact, jwk)).toBe('envelope.invalid');
  });

  test.each(vectors.refuse)('refuses: $name', async ({ jwe }) => {
    expect(vectors.refuse.length).toBe(4);
    for (const jwk of vectors.keys) {
      expect(await codeOf(jwe, jwk)).toBe('envelope.invalid');
      expect(await codeOf(generalOf(jwe), jwk)).toBe('envelope.invalid');
    }
  });
});

test('every recipient opens it and nobody else; padding means nothing to a JSON parser', async () => {
  for (const jwk of [ana, auditor]) {
    const opened = await createOpener(jwk).open(bytesOf(sealed));
    expect(opened.byteLength).toBe(4096);
    expect(parseStrictJson(opened, { bytesMax: 4096, what: 'it' })).toStrictEqual({ result: 12.4 });
  }
  expect(await codeOf(sealed, newKey())).toBe('envelope.invalid');
});

test('one recipient works like several', async () => {
  const one = await createSealer().seal(bytesOf(plaintext), [publicOf(ana)]);
  expect((await open(Buffer.from(one).toString(), ana)).trimEnd()).toBe(plaintext);
  await expect(createSealer().seal(bytesOf(plaintext), [])).rejects.toMatchObject({
    code: 'recipient.unknown',
  });
});

test.each([
  [0, 4096],
  [4096, 4096],
  [4097, 16_384],
  [16_385, 65_536],
  [65_537, 262_144],
  [262_145, 524_288],
  [1_048_576, 1_048_576],
])('%i bytes are sealed as %i', async (size, bucket) => {
  const jwe = await createSealer().seal(Buffer.alloc(size, '1'), [publicOf(ana)]);
  const opened = await createOpener(ana).open(jwe);
  expect(opened.byteLength).toBe(bucket);
});

test('too much to seal and too much to open', async () => {
  const tooMuch = createSealer().seal(Buffer.alloc(1_048_577), [publicOf(ana)]);
  await expect(tooMuch).rejects.toMatchObject({ code: 'input.too-large' });
  expect(await codeOf(JSON.stringify(sealed) + ' '.repeat(2 << 20), ana)).toBe('envelope.invalid');
});

describe('refuses a good envelope with', () => {
  const header = JSON.parse(Buffer.from(sealed.protected, 'base64url').toString()) as Record<string, unknown>;
  const [first, second] = sealed.recipients as [(typeof sealed.recipients)[0], (typeof sealed.recipients)[0]];
  const withHeader = (change: Record<string, unknown>): object => ({
    ...sealed,
    protected: Buffer.from(JSON.stringify({ ...header, ...change })).toString('base64url'),
  });
  const withRecipient = (change: Record<string, unknown>): object => ({
    ...sealed,
    recipients: [{ ...first, header: { ...first.header, ...change } }, second],
  });

  test.each<[string, unknown]>([
    ['an unprotected header', { ...sealed, unprotected: { jku: 'https://evil.example' } }],
    ['additional data', { ...sealed, aad: 'AAAA' }],
    ['an unknown member', { ...sealed, extra: 1 }],
    ['no recipients', { ...sealed, recipients: [] }],
    ['seventeen recipients', { ...sealed, recipients: Array.from({ length: 17 }, () => first) }],
    ['a short tag', { ...sealed, tag: 'AAAA' }],
    [
      'another recipient\u2019s wrapped key',
      { ...sealed, recipients: [{ ...first, encrypted_key: second.encrypted_key }] },
    ],
    ['only the other recipient', { ...sealed, recipients: [second] }],
    ['zip in the protected header', withHeader({ zip: 'DEF' })],
    ['zip in the recipient header', withRecipient({ zip: 'DEF' })],
    ['crit', withHeader({ crit: ['exp'], exp: 1 })],
    ['another typ', withHeader({ typ: 'JWT' })],
    ['no typ', withHeader({ typ: undefined })],
    ['another enc', withHeader({ enc: 'A128GCM' })],
    ['another alg', withRecipient({ alg: 'dir' })],
    ['alg in both headers', withHeader({ alg: 'ECDH-ES+A256KW' })],
    ['no alg at all', withRecipient({ alg: undefined })],
    ['an epk on another curve', withRecipient({ epk: { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' } })],
    ['an epk of low order', withRecipient({ epk: { kty: 'OKP', crv: 'X25519', x: 'A'.repeat(43) } })],
    ['a changed protected header', withHeader({ kid: 'a'.repeat(64) })],
    ['nothing', ''],
    ['half of it', JSON.stringify(sealed).slice(0, 500)],
    ['a duplicate member', JSON.stringify(sealed).replace('{', '{"tag":"AAAA",')],
  ])('%s', async (_name, jwe) => {
    expect(await codeOf(jwe, ana)).toBe('envelope.invalid');
  });

  test('nothing changed: it opens', async () => {
    expect(await codeOf(withHeader({}), ana)).toBe('accepted');
    expect(await codeOf(withRecipient({}), ana)).toBe('accepted');
  });
});

test('a foreign envelope without our typ is refused although it would decrypt', async () => {
  const make = async (typ: string): Promise<string> => {
    const { encrypted_key, header, ...rest } = await new FlattenedEncrypt(bytesOf(plaintext))
      .setProtectedHeader({ alg: 'ECDH-ES+A256KW', enc: 'A256GCM', typ })
      .encrypt(publicOf(ana));
    return codeOf({ ...rest, recipients: [{ encrypted_key }] }, ana);
  };
  expect(await make('pht-result+jwe')).toBe('accepted');
  expect(await make('JOSE')).toBe('envelope.invalid');
});

test('any flipped bit is refused with our error, save in what only another recipient reads', async () => {
  const text = JSON.stringify(sealed);
  // X25519 ignores the top bit of a public key (RFC 7748, section 5), and `epk` stands outside the protected header.
  const epk = text.indexOf('"x":"') + 5;
  const other = text.indexOf(sealed.recipients[1]?.encrypted_key ?? '');
  const end = text.indexOf(']', other);
  await fc.assert(
    fc.asyncProperty(fc.nat(text.length - 1), fc.integer({ min: 1, max: 127 }), async (at, flip) => {
      const bytes = Buffer.from(text);
      bytes[at] = (bytes[at] ?? 0) ^ flip;
      const code = await codeOf(bytes.toString('latin1'), ana);
      const spared = (at >= epk && at < epk + 43) || (at >= other && at < end);
      expect(code).toMatch(spared ? /^(?:accepted|envelope\.invalid)$/ : /^envelope\.invalid$/);
    }),
    { numRuns: 500 },
  );
});

test('arbitrary input is refused with our error', async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array(), fc.jsonValue().map(bytesOf)), async (bytes) => {
      expect(await codeOf(Buffer.from(bytes).toString('latin1'), ana)).toBe('envelope.invalid');
    }),
  );
});
