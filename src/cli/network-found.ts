import { existsSync, rmSync } from 'node:fs';
import { type Ed25519PrivateJwk, loadKey, publicOf } from '../adapters/home/keys.ts';
import type { Home, MemberFile } from '../adapters/home/member.ts';
import { networkPath, storeNetwork } from '../adapters/home/network-file.ts';
import { draftPath, type RootDraft } from '../adapters/home/root-draft.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { issueCertificate } from '../adapters/wire/certificates.ts';
import { firstList } from '../journey/authority/list.ts';
import { signFreshness, signMembers } from '../journey/authority/sign.ts';
import type { Envelope } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import type { Member, Network } from '../model/network.ts';
import type { NetworkFiles } from '../model/network-statements.ts';
import { openFirstRoot, openNetwork } from '../model/open-network.ts';
import { passphrase } from './frame.ts';
import { certificateOf } from './network-certify.ts';
import { BACKDATE_MS, DAY_MS } from './network-desk.ts';

/** The first network file: what follows from a first root that enough of its keys have signed. */

export const CERTIFICATE_DAYS = 90;
const LIST_DAYS = 365;

export type FoundingKeys = Record<
  'members' | 'freshness' | 'tls-authority' | 'statement' | 'tls',
  Ed25519PrivateJwk
>;

/**
 * @throws PhtError `signature.invalid` while too few have signed
 */
export async function foundingFiles(
  envelope: Envelope,
  member: MemberFile,
  keys: FoundingKeys,
  nowMs: number,
): Promise<NetworkFiles> {
  const root = openFirstRoot(envelope);
  const { id, role, title, organisation } = member;
  const listed: Member = {
    ...{ id, role, title, organisation },
    keys: { statement: publicOf(keys.statement), tls: publicOf(keys.tls) },
  };
  const issue = { networkId: root.digest, rootVersion: 1, issuer: id, issuedAtMs: nowMs };
  const list = firstList([listed], { quorum: 'none' });
  const expiresMs = nowMs + LIST_DAYS * DAY_MS;
  const signed = signMembers(list, { ...issue, expiresMs, previousDigest: null }, [
    createSigner(keys.members),
  ]);
  const newest = { version: 1, digest: signed.digest };
  const good = { ...issue, expiresMs: nowMs + root.predicate.freshnessMsMax };
  const freshness = signFreshness(newest, good, [createSigner(keys.freshness)]).envelope;
  const authority = {
    certificate: certificateOf(root.predicate, keys['tls-authority']),
    keys: keys['tls-authority'],
  };
  const certificate = await issueCertificate({
    ...{ authority, networkId: root.digest, memberId: id, publicJwk: publicOf(keys.tls) },
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: nowMs + CERTIFICATE_DAYS * DAY_MS,
  });
  return { roots: [envelope], members: signed.envelope, freshness, certificates: { [id]: certificate } };
}

/** A first root that its other key holders have signed by now. */
export async function resumeFounding(home: Home, draft: RootDraft, nowMs: number): Promise<Network> {
  const root = openFirstRoot(draft.root);
  if (root.digest !== home.member.networkId)
    throw new PhtError('network.mismatch', 'this root is another than the one that was drafted in this home');
  const load = (use: keyof FoundingKeys): Promise<Ed25519PrivateJwk> => loadKey(home.dir, use, passphrase);
  const keys: FoundingKeys = {
    members: await load('members'),
    freshness: await load('freshness'),
    'tls-authority': await load('tls-authority'),
    statement: await load('statement'),
    tls: await load('tls'),
  };
  const files = await foundingFiles(draft.root, home.member, keys, nowMs);
  const network = openNetwork(files, home.member.networkId);
  storeNetwork(home.dir, files, network);
  rmSync(draftPath(home), { force: true });
  return network;
}

export const isFounded = (home: Home): boolean => existsSync(networkPath(home));
