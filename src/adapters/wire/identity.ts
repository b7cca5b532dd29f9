import { X509Certificate } from 'node:crypto';
import { PhtError } from '../../model/error.ts';
import type { Member, Network } from '../../model/network.ts';
import type { Ed25519PublicJwk } from '../../model/schema.ts';
import { memberUri } from './certificates.ts';

/**
 * Who stands behind a certificate. TLS has already checked chain, dates and possession of the key; here the name and
 * the key are held against the network file, so that an authority's certificate alone opens nothing.
 */

/** PEM, as TLS wants it; the authority is the network's own and no other is trusted. */
export type TlsFiles = { authorityPem: string; certificatePem: string; privateKeyPem: string };

const URI_PREFIX = 'URI:pht://';

/**
 * @param certificate DER, verified by TLS
 * @throws PhtError `forbidden` for whoever is not a member of this network file, with this key
 */
export function memberBehind(certificate: Uint8Array, network: Network, nowMs: number): Member {
  const presented = new X509Certificate(certificate);
  const name = presented.subjectAltName ?? '';
  // A connection may outlive its certificate.
  if (nowMs > presented.validToDate.getTime()) throw new PhtError('forbidden', 'the certificate has expired');
  const [networkId, memberId, ...rest] = name.startsWith(URI_PREFIX)
    ? name.slice(URI_PREFIX.length).split('/')
    : [];
  const member = memberId === undefined ? undefined : network.members.get(memberId);
  if (networkId !== network.id || rest.length > 0 || member === undefined) throw notAMember();
  if (member.keys.tls === undefined || keyIn(presented) !== member.keys.tls.x) throw notAMember();
  return member;
}

/** The one server that a client accepts. */
export type ServerMember = { networkId: string; memberId: string; publicJwk: Ed25519PublicJwk };

/** @returns what is wrong with the server's certificate, or undefined */
export function mismatchOf(certificate: Uint8Array, expected: ServerMember): Error | undefined {
  const presented = new X509Certificate(certificate);
  if (presented.subjectAltName !== `URI:${memberUri(expected.networkId, expected.memberId)}`) {
    return new Error(`the server is not ${expected.memberId} of this network`);
  }
  if (keyIn(presented) !== expected.publicJwk.x) {
    return new Error(`the server has another key than the network file names for ${expected.memberId}`);
  }
  return undefined;
}

function keyIn(certificate: X509Certificate): string | undefined {
  const jwk = certificate.publicKey.export({ format: 'jwk' });
  return jwk.crv === 'Ed25519' ? jwk.x : undefined;
}

function notAMember(): PhtError {
  return new PhtError('forbidden', 'this certificate belongs to no current member of the network', {
    hint: 'ask the network authority whether the member was admitted, rotated its keys or was revoked',
  });
}
