import { type KeyObject, X509Certificate } from 'node:crypto';
import { PhtError } from '../../model/error.ts';
import { keyIn, memberUri } from '../../model/member-certificate.ts';
import type { Member, Network } from '../../model/network.ts';
import type { Ed25519PublicJwk } from '../../model/schema.ts';

/**
 * Who stands behind a certificate. TLS has already checked chain, dates and possession of the key; here the name and
 * the key are held against the network file, so that an authority's certificate alone opens nothing.
 */

/** PEM, as TLS wants it; the authorities are the network's own and no others are trusted. */
export type TlsFiles = { authorityPem: string; certificatePem: string; privateKeyPem: string };

/** Certificates are short, so whoever runs longer than one asks anew for each connection. */
export type TlsSource = TlsFiles | (() => Promise<TlsFiles>);

export async function filesOf(source: TlsSource): Promise<TlsFiles> {
  return typeof source === 'function' ? source() : source;
}

const URI_PREFIX = 'URI:pht://';

/** What a certificate says of its holder. */
export type Presented = {
  readonly certificate: X509Certificate;
  readonly networkId: string | undefined;
  readonly memberId: string | undefined;
  /** Of an Ed25519 key. */
  readonly x: string | undefined;
  readonly notAfterMs: number;
};

/** @param der verified by TLS */
export function presentedIn(der: Uint8Array): Presented {
  const certificate = new X509Certificate(der);
  const name = certificate.subjectAltName ?? '';
  const [networkId, memberId, ...rest] = name.startsWith(URI_PREFIX)
    ? name.slice(URI_PREFIX.length).split('/')
    : [];
  return {
    certificate,
    networkId,
    memberId: rest.length > 0 ? undefined : memberId,
    x: keyIn(certificate),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/**
 * @param certificate DER, verified by TLS
 * @throws PhtError `forbidden` for whoever is not a member of this network file, with this key
 */
export function memberBehind(certificate: Uint8Array, network: Network, nowMs: number): Member {
  return memberPresented(presentedIn(certificate), network, nowMs);
}

/** @throws PhtError `forbidden` */
export function memberPresented(
  { networkId, memberId, x, notAfterMs }: Presented,
  network: Network,
  nowMs: number,
  { formerKeys = false } = {},
): Member {
  // A connection may outlive its certificate.
  if (nowMs > notAfterMs) throw new PhtError('forbidden', 'the certificate has expired');
  const member = memberId === undefined ? undefined : network.members.get(memberId);
  if (networkId !== network.id || member === undefined) throw notAMember();
  const keys = tlsKeysOf(member, network, formerKeys);
  if (x === undefined || !keys.some((key) => key.x === x)) throw notAMember();
  return member;
}

/** @param former with those that were replaced since, and are not known to be in other hands */
export function tlsKeysOf({ id, keys }: Member, network: Network, former: boolean): Ed25519PublicJwk[] {
  const own = former ? network.spans.filter((span) => span.id === id) : [];
  const revoked = own.findLastIndex(({ ended }) => ended?.why === 'revoked');
  const before = own.slice(revoked + 1).filter(({ ended }) => ended?.why === 'renewed');
  const stolen = new Set(
    before.filter(({ ended }) => ended?.invalidAfterMs !== undefined).map((span) => span.keys.tls?.x),
  );
  // An earlier entry may name the same key, and end for another reason.
  const all = [keys.tls, ...before.map((span) => span.keys.tls).filter((key) => !stolen.has(key?.x))];
  return all.filter((key) => key !== undefined);
}

const authorities = new WeakMap<Network, readonly KeyObject[]>();

/**
 * Whether an authority that the root still names has issued it: TLS asked that of the root when the connection began.
 *
 * @throws PhtError `forbidden`
 */
export function assertIssued({ certificate }: Presented, network: Network): void {
  const keys =
    authorities.get(network) ??
    network.tlsAuthorities.map((der) => new X509Certificate(Buffer.from(der, 'base64')).publicKey);
  authorities.set(network, keys);
  if (keys.some((key) => certificate.verify(key))) return;
  throw new PhtError('forbidden', 'the certificate is of an authority that the network names no more');
}

/** The one server that a client accepts. */
export type ServerMember = {
  networkId: string;
  memberId: string;
  publicJwk: Ed25519PublicJwk;
  /** Replaced by renewals, and not known to be in other hands. */
  formerJwks?: readonly Ed25519PublicJwk[];
};

/** @returns what is wrong with the server's certificate, or undefined */
export function mismatchOf(certificate: Uint8Array, expected: ServerMember): Error | undefined {
  const presented = new X509Certificate(certificate);
  if (presented.subjectAltName !== `URI:${memberUri(expected.networkId, expected.memberId)}`) {
    return new Error(`the server is not ${expected.memberId} of this network`);
  }
  const keys = [expected.publicJwk, ...(expected.formerJwks ?? [])];
  if (!keys.some(({ x }) => x === keyIn(presented))) {
    return new Error(`the server has another key than the network file names for ${expected.memberId}`);
  }
  return undefined;
}

function notAMember(): PhtError {
  return new PhtError('forbidden', 'this certificate belongs to no current member of the network', {
    hint: 'ask the network authority whether the member was admitted, rotated its keys or was revoked',
  });
}
