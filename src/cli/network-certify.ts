import type { X509Certificate } from 'node:crypto';
import { loadNextKey, nextKeys, placeKeys } from '../adapters/home/key-rotation.ts';
import { type Ed25519PrivateJwk, loadKey } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { issueCertificate } from '../adapters/wire/certificates.ts';
import { PhtError } from '../model/error.ts';
import {
  datesOf,
  faultOf,
  inLastThird,
  isIssuedBy,
  keyIn,
  readCertificate,
} from '../model/member-certificate.ts';
import type { Member, Network } from '../model/network.ts';
import type { NetworkFiles, RootPredicate } from '../model/network-statements.ts';
import type { Verified } from '../model/statement.ts';
import { passphrase } from './frame.ts';

/** TLS certificates of the members, and the change from one TLS authority to the next. */

/** What an authority has given out, and where it keeps its keys. */
export type Issuing = {
  readonly home: Home;
  readonly files: NetworkFiles;
  readonly network: Network;
  readonly root: Verified<RootPredicate>;
};

/** The certificate of the TLS authority whose key is in use here, DER in base64. @throws PhtError as `loadKey` */
export async function issuingAuthority(home: Home, root: RootPredicate): Promise<string> {
  return certificateOf(root, await tlsAuthorityKeys(home, root));
}

type Validity = { notBeforeMs: number; notAfterMs: number };

/** Certificates of these members, anew where one is missing, unsound or in the last third of its life. */
export async function certify(
  { home, files, network, root, members }: Issuing & { members: readonly Member[] },
  validity: Validity,
  nowMs: number,
): Promise<{ certificates: Record<string, string>; renewed: string[] }> {
  const keys = await tlsAuthorityKeys(home, root.predicate);
  const authority = { certificate: certificateOf(root.predicate, keys), keys };
  const byId = new Map(members.map((member) => [member.id, member]));
  const judge = { id: network.id, tlsAuthorities: [authority.certificate], members: byId };
  const certificates: Record<string, string> = {};
  const renewed: string[] = [];
  for (const { id, keys: own } of members) {
    if (own.tls === undefined) continue;
    const held = files.certificates[id];
    const read = held === undefined ? null : readCertificate(held);
    if (held !== undefined && read !== null && !isDue(read, judge, id, nowMs)) {
      certificates[id] = held;
      continue;
    }
    const request = { authority, networkId: network.id, memberId: id, publicJwk: own.tls };
    certificates[id] = await issueCertificate({ ...request, ...validity });
    renewed.push(id);
  }
  return { certificates, renewed };
}

function isDue(
  certificate: X509Certificate,
  judge: Parameters<typeof faultOf>[1],
  id: string,
  nowMs: number,
): boolean {
  return inLastThird(datesOf(certificate), nowMs) || faultOf(certificate, judge, id) !== null;
}

/** @throws PhtError `config.invalid` for a key whose certificate the root does not name */
export function certificateOf({ tlsAuthorities }: RootPredicate, keys: Ed25519PrivateJwk): string {
  const found = tlsAuthorities.find((text) => {
    const certificate = readCertificate(text);
    return certificate !== null && keyIn(certificate) === keys.x && isIssuedBy(certificate, text);
  });
  if (found !== undefined) return found;
  throw new PhtError('config.invalid', 'the TLS authority of this home is not one that the root names', {
    hint: 'restore the folder keys of this home from a backup',
  });
}

/** @throws PhtError as `loadKey` */
async function tlsAuthorityKeys(home: Home, { tlsAuthorities }: RootPredicate): Promise<Ed25519PrivateJwk> {
  const only = tlsAuthorities.length === 1 ? keyOf(tlsAuthorities[0] ?? '') : undefined;
  const isNext = only !== undefined && nextKeys(home)['tls-authority']?.x === only;
  return isNext
    ? loadNextKey(home, 'tls-authority', passphrase)
    : loadKey(home.dir, 'tls-authority', passphrase);
}

/**
 * The new TLS authority takes over once every member whose file is fresh has a root that names both: a word of freshness
 * that is younger than the root names that root, and an older one has ended.
 *
 * @returns whether it took over now
 */
export function switchTlsAuthority({ home, root }: Issuing, nowMs: number): boolean {
  const { issuedAtMs, freshnessMsMax, tlsAuthorities, version } = root.predicate;
  if (nowMs < issuedAtMs + freshnessMsMax) return false;
  const named = new Set(tlsAuthorities.map(keyOf));
  const placed = placeKeys(home, (use, x) => use === 'tls-authority' && named.has(x), String(version));
  return placed.length > 0;
}

export function keyOf(certificate: string): string | undefined {
  const read = readCertificate(certificate);
  return read === null ? undefined : keyIn(read);
}
