import { createPrivateKey, type webcrypto } from 'node:crypto';
import type { Ed25519PublicJwk } from '../../model/schema.ts';

/** X.509 certificates (RFC 5280) of one network, Ed25519 only (RFC 8410). Dates in milliseconds since the epoch. */

export type Ed25519PrivateJwk = Ed25519PublicJwk & { d: string };
export type Validity = { notBeforeMs: number; notAfterMs: number };

/** RFC 5280, appendix A: ub-common-name. */
const COMMON_NAME_CHARS_MAX = 64;

/** The one name in a certificate: which network, which member. Host names play no part. */
export function memberUri(networkId: string, memberId: string): string {
  return `pht://${networkId}/${memberId}`;
}

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

/** Takes over 100 ms to load, and only the authority ever needs it. */
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
