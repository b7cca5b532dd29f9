import { X509Certificate } from 'node:crypto';
import type { Network } from './network.ts';

/** What makes a TLS certificate that of a member (RFC 5280): name, key and one of the root's TLS authorities. */

/** The one name in a certificate: which network, which member. Host names play no part. */
export function memberUri(networkId: string, memberId: string): string {
  return `pht://${networkId}/${memberId}`;
}

export type CertificateDates = { readonly notBeforeMs: number; readonly notAfterMs: number };

export function datesOf(certificate: X509Certificate): CertificateDates {
  return {
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/** Time to be renewed: less than a third of its life is left. */
export function inLastThird({ notBeforeMs, notAfterMs }: CertificateDates, nowMs: number): boolean {
  return nowMs >= notBeforeMs + ((notAfterMs - notBeforeMs) * 2) / 3;
}

/** Ed25519 keys only; undefined for any other, of kinds that cannot even be read or written as a JWK as well. */
export function keyIn(certificate: X509Certificate): string | undefined {
  try {
    const { crv, x } = certificate.publicKey.export({ format: 'jwk' });
    return crv === 'Ed25519' ? x : undefined;
  } catch {
    return undefined;
  }
}

/** @param text DER in base64 @returns null for what is no certificate */
export function readCertificate(text: string): X509Certificate | null {
  try {
    return new X509Certificate(Buffer.from(text, 'base64'));
  } catch {
    return null;
  }
}

type Judge = Pick<Network, 'id' | 'tlsAuthorities' | 'members'>;

/** @returns why TLS, or the member behind it, would not be believed; null for a sound one. Dates are not looked at. */
export function faultOf(certificate: X509Certificate, network: Judge, memberId: string): string | null {
  const key = network.members.get(memberId)?.keys.tls;
  if (key === undefined) return `the network names no TLS key of ${memberId}`;
  if (certificate.subjectAltName !== `URI:${memberUri(network.id, memberId)}`)
    return 'it names somebody else';
  if (keyIn(certificate) !== key.x) return 'it is of another key than the network names';
  return network.tlsAuthorities.some((authority) => isIssuedBy(certificate, authority))
    ? null
    : 'no TLS authority of the network has signed it';
}

/** @param authority DER in base64 */
export function isIssuedBy(certificate: X509Certificate, authority: string): boolean {
  const issuer = readCertificate(authority);
  return issuer !== null && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
