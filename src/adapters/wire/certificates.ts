import { createPrivateKey, createPublicKey, type webcrypto } from 'node:crypto';
import { PhtError } from '../../model/error.ts';
import { memberUri } from '../../model/member-certificate.ts';
import type { Ed25519PublicJwk } from '../../model/schema.ts';

/** X.509 certificates (RFC 5280) of one network, Ed25519 only (RFC 8410). Dates in milliseconds since the epoch. */

export type Ed25519PrivateJwk = Ed25519PublicJwk & { d: string };
export type Validity = { notBeforeMs: number; notAfterMs: number };

/** RFC 5280, appendix A: ub-common-name. */
const COMMON_NAME_CHARS_MAX = 64;

/** @returns the self-signed certificate of the network's TLS authority, DER in base64 */
export async function createAuthority(
  request: { title: string; keys: Ed25519PrivateJwk } & Validity,
): Promise<string> {
  const x509 = await loadX509();
  const keys = { privateKey: await signingKey(request.keys), publicKey: await verifyingKey(request.keys) };
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: [[...request.title].slice(0, COMMON_NAME_CHARS_MAX).join('')] }],
    notBefore: new Date(request.notBeforeMs),
    notAfter: new Date(request.notAfterMs),
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return Buffer.from(certificate.rawData).toString('base64');
}

export type CertificateRequest = Validity & {
  /** `certificate` is DER in base64, `keys` its private half. */
  authority: { certificate: string; keys: Ed25519PrivateJwk };
  networkId: string;
  memberId: string;
  publicJwk: Ed25519PublicJwk;
};

/** @returns the member's certificate, DER in base64; good for both ends of a connection, for nothing else */
export async function issueCertificate(request: CertificateRequest): Promise<string> {
  const x509 = await loadX509();
  const issuer = new x509.X509Certificate(Buffer.from(request.authority.certificate, 'base64'));
  const publicKey = await verifyingKey(request.publicJwk);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: [{ CN: [request.memberId] }],
    issuer: issuer.subjectName,
    notBefore: new Date(request.notBeforeMs),
    notAfter: new Date(request.notAfterMs),
    publicKey,
    signingKey: await signingKey(request.authority.keys),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([
        x509.ExtendedKeyUsage.clientAuth,
        x509.ExtendedKeyUsage.serverAuth,
      ]),
      new x509.SubjectAlternativeNameExtension([
        { type: 'url', value: memberUri(request.networkId, request.memberId) },
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
      await x509.SubjectKeyIdentifierExtension.create(publicKey),
    ],
  });
  return Buffer.from(certificate.rawData).toString('base64');
}

/** @returns a PKCS #10 certification request (RFC 2986), DER in base64: proof that the sender holds its TLS key */
export async function createRequest(
  networkId: string,
  memberId: string,
  keys: Ed25519PrivateJwk,
): Promise<string> {
  const x509 = await loadX509();
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ CN: [memberId] }],
    keys: { privateKey: await signingKey(keys), publicKey: await verifyingKey(keys) },
    signingAlgorithm: 'Ed25519',
    extensions: [
      new x509.SubjectAlternativeNameExtension([{ type: 'url', value: memberUri(networkId, memberId) }]),
    ],
  });
  return Buffer.from(request.rawData).toString('base64');
}

/**
 * Nothing of a request goes into the certificate: it has to be of that member and key, and signed with it.
 *
 * @throws PhtError `certificate.invalid`
 */
export async function assertRequest(
  request: string,
  expected: { networkId: string; memberId: string; publicJwk: Ed25519PublicJwk },
): Promise<void> {
  const { networkId, memberId, publicJwk } = expected;
  const invalid = (why: string, cause?: unknown): PhtError =>
    new PhtError('certificate.invalid', `the certificate request of ${memberId} ${why}`, { cause });
  const x509 = await loadX509();
  let read: { x: string | undefined; uris: string[]; signed: boolean };
  try {
    const parsed = new x509.Pkcs10CertificateRequest(Buffer.from(request, 'base64'));
    const key = createPublicKey({ key: Buffer.from(parsed.publicKey.rawData), format: 'der', type: 'spki' });
    const named = parsed.extensions.filter((each) => each instanceof x509.SubjectAlternativeNameExtension);
    read = {
      x: key.asymmetricKeyType === 'ed25519' ? key.export({ format: 'jwk' }).x : undefined,
      uris: named.flatMap(({ names }) => names.toJSON().map(({ type, value }) => `${type}:${value}`)),
      signed: await parsed.verify(),
    };
  } catch (cause) {
    throw invalid('cannot be read', cause);
  }
  if (!read.signed) throw invalid('is not signed with the key it asks for');
  if (read.x !== publicJwk.x) throw invalid('asks for another key than the one that is enrolled');
  if (read.uris.length !== 1 || read.uris[0] !== `url:${memberUri(networkId, memberId)}`)
    throw invalid('asks for another name');
}

/** @param certificate DER in base64, as the network file holds it */
export function pemOf(certificate: string): string {
  const lines = certificate.match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** @returns PKCS #8 in PEM */
export function privateKeyPem(jwk: Ed25519PrivateJwk): string {
  return createPrivateKey({ key: { ...jwk }, format: 'jwk' })
    .export({ format: 'pem', type: 'pkcs8' })
    .toString();
}

/** Takes over 100 ms to load, and only enrolling and the authority ever need it. */
async function loadX509(): Promise<typeof import('@peculiar/x509')> {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

function signingKey({ kty, crv, x, d }: Ed25519PrivateJwk): Promise<webcrypto.CryptoKey> {
  return crypto.subtle.importKey('jwk', { kty, crv, x, d }, 'Ed25519', false, ['sign']);
}

function verifyingKey({ kty, crv, x }: Ed25519PublicJwk): Promise<webcrypto.CryptoKey> {
  return crypto.subtle.importKey('jwk', { kty, crv, x }, 'Ed25519', true, ['verify']);
}
