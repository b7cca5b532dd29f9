import { existsSync } from 'node:fs';
import { type Ed25519PrivateJwk, loadKey, publicOf } from '../adapters/home/keys.ts';
import type { Home, MemberFile } from '../adapters/home/member.ts';
import { dropDraft } from '../adapters/home/network-draft.ts';
import { networkPath, storeNetwork } from '../adapters/home/network-file.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { issueCertificate } from '../adapters/wire/certificates.ts';
import { firstList } from '../journey/authority/list.ts';
import { signFreshness, signMembers } from '../journey/authority/sign.ts';
import type { Envelope } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import type { Digest } from '../model/id.ts';
import type { Member, Network } from '../model/network.ts';
import type { NetworkDraft } from '../model/network-draft.ts';
import type { NetworkFiles } from '../model/network-statements.ts';
import { openFirstRoot, openMembers, openNetwork } from '../model/open-network.ts';
import { passphrase } from './frame.ts';
import { certificateOf } from './network-certify.ts';
import { BACKDATE_MS, DAY_MS } from './network-desk.ts';

/** The first network file: what follows from a first root that enough of its keys have signed. */

export const CERTIFICATE_DAYS = 90;
const LIST_DAYS = 365;

/** The first list: the authority alone. */
export function foundingList(
  root: { digest: Digest },
  { id, role, title, organisation }: MemberFile,
  keys: Record<'members' | 'statement' | 'tls', Ed25519PrivateJwk>,
  nowMs: number,
): Envelope {
  const listed: Member = {
    ...{ id, role, title, organisation },
    keys: { statement: publicOf(keys.statement), tls: publicOf(keys.tls) },
  };
  const issue = { networkId: root.digest, rootVersion: 1, issuer: id, issuedAtMs: nowMs };
  const times = { expiresMs: nowMs + LIST_DAYS * DAY_MS, previousDigest: null };
  const list = firstList([listed], { quorum: 'none' });
  return signMembers(list, { ...issue, ...times }, [createSigner(keys.members)]).envelope;
}

/**
 * @throws PhtError `signature.invalid` while too few have signed
 */
export async function foundingFiles(
  { root: first, list: drafted }: NetworkDraft,
  id: string,
  keys: Record<'freshness' | 'tls-authority', Ed25519PrivateJwk>,
  nowMs: number,
): Promise<NetworkFiles> {
  if (first === undefined || drafted === undefined)
    throw new PhtError('network.invalid', 'a network begins with a draft that has a root and a list');
  const root = openFirstRoot(first);
  const list = openMembers(drafted.next, root.digest, root);
  const { freshnessMsMax } = root.predicate;
  const issue = { networkId: root.digest, rootVersion: 1, issuer: id, issuedAtMs: nowMs };
  const newest = { version: 1, digest: list.digest };
  const good = { ...issue, expiresMs: nowMs + freshnessMsMax };
  const freshness = signFreshness(newest, good, [createSigner(keys.freshness)]).envelope;
  const authority = {
    certificate: certificateOf(root.predicate, keys['tls-authority']),
    keys: keys['tls-authority'],
  };
  const certificates: Record<string, string> = {};
  for (const { id: memberId, keys: own } of list.predicate.members)
    if (own.tls !== undefined)
      certificates[memberId] = await issueCertificate({
        ...{ authority, networkId: root.digest, memberId, publicJwk: own.tls },
        notBeforeMs: nowMs - BACKDATE_MS,
        notAfterMs: nowMs + CERTIFICATE_DAYS * DAY_MS,
      });
  return { roots: [first], members: drafted.next, freshness, certificates };
}

/** A first root and list that their other key holders have signed by now. */
export async function resumeFounding(home: Home, draft: NetworkDraft, nowMs: number): Promise<Network> {
  const keys = {
    freshness: await loadKey(home.dir, 'freshness', passphrase),
    'tls-authority': await loadKey(home.dir, 'tls-authority', passphrase),
  };
  const files = await foundingFiles(draft, home.member.id, keys, nowMs);
  const network = openNetwork(files, home.member.networkId);
  storeNetwork(home.dir, files, network);
  dropDraft(home, draft);
  return network;
}

export const isFounded = (home: Home): boolean => existsSync(networkPath(home));
