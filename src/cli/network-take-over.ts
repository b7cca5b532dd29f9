import { existsSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import type { Home } from '../adapters/home/member.ts';
import {
  draftPath,
  dropDraft,
  readDraft,
  rootDraftPath,
  writeDraft,
} from '../adapters/home/network-draft.ts';
import { importNetwork, networkPath } from '../adapters/home/network-file.ts';
import { nextList } from '../journey/authority/list.ts';
import { signMembers } from '../journey/authority/sign.ts';
import type { Envelope } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import type { Member, Network } from '../model/network.ts';
import { type NetworkDraft, openDraft, signaturesOf } from '../model/network-draft.ts';
import type { MembersPredicate, RootPredicate } from '../model/network-statements.ts';
import { openMembers, openNextRoot } from '../model/open-network.ts';
import type { Verified } from '../model/statement.ts';
import type { Frame } from './frame.ts';
import { certify } from './network-certify.ts';
import {
  type Authority,
  BACKDATE_MS,
  DAY_MS,
  freshnessFor,
  listExpiryMs,
  nextMs,
  placeRoleKeys,
  roleSigner,
} from './network-desk.ts';

/** A drafted root or list of members: in force when enough of its keys have signed, waiting for them before. */

export type Outcome = { readonly network: Network } | { readonly draft: string };

/** @param certificateDays for how long new TLS certificates are good */
export async function settle(
  frame: Frame,
  authority: Authority,
  draft: NetworkDraft,
  certificateDays: number,
): Promise<Outcome> {
  const { parts } = openDraft(draft);
  const isSigned = parts.every((part) => signaturesOf(part).isEnough);
  const path = draftPath(authority.home, draft);
  warnOfBase(frame, authority.home, draft);
  if (!isSigned) {
    warnOfOther(frame, path, draft);
    writeDraft(path, draft);
    return { draft: path };
  }
  // A crash before a root is in force would lose what its holders signed.
  if (draft.root !== undefined) writeDraft(path, draft);
  return { network: await takeOver(frame, authority, draft, certificateDays) };
}

/** Two drafts of one version could both be signed: that is what a fork is made of. */
function warnOfOther(frame: Frame, path: string, draft: NetworkDraft): void {
  if (!existsSync(path) || isDeepStrictEqual(payloads(readDraft(path)), payloads(draft))) return;
  frame.output.warn(
    `the draft that waited in ${path} is given up, with all that it changed: no holder should sign it any more`,
  );
}

/** A list and a root wait in files of their own, and each list that is drafted follows the one in force. */
function warnOfBase(frame: Frame, home: Home, draft: NetworkDraft): void {
  const mine = draftPath(home, draft);
  const other = [draftPath(home, {}), rootDraftPath(home)].find((path) => path !== mine) ?? mine;
  if (draft.list === undefined || !existsSync(other) || readDraft(other).list === undefined) return;
  frame.output.warn(
    `a list waits in ${other} too: as soon as one of them is in force, the other has to be drafted anew`,
  );
}

const payloads = ({ root, list }: NetworkDraft): unknown[] => [root?.payload, list?.next.payload];

/**
 * A draft that enough holders have signed by now: in force, with a word of freshness and certificates.
 *
 * @throws PhtError `signature.invalid` while too few have, and as `importNetwork`
 */
export async function takeOver(
  frame: Frame,
  authority: Authority,
  draft: NetworkDraft,
  certificateDays: number,
): Promise<Network> {
  const { home, files, network } = authority;
  const root =
    draft.root === undefined ? authority.root : openNextRoot(draft.root, authority.root, network.id);
  const next = { ...authority, root };
  const issuedAtMs = nextMs(frame, network);
  const envelope = draft.list?.next ?? (await listUnder(next, authority.root.predicate, issuedAtMs));
  const list = openMembers(envelope, network.id, root);
  const newest = { version: list.predicate.networkVersion, digest: list.digest };
  const freshness = await freshnessFor(next, newest, issuedAtMs);
  const validity = {
    notBeforeMs: issuedAtMs - BACKDATE_MS,
    notAfterMs: issuedAtMs + certificateDays * DAY_MS,
  };
  const { certificates } = await certify({ ...next, members: membersIn(list) }, validity, issuedAtMs);
  const roots = draft.root === undefined ? files.roots : [...files.roots, draft.root];
  // The authority takes its own file over like everybody else: what it could not import it does not give out.
  const imported = importNetwork(home, { roots, members: envelope, freshness, certificates }).network;
  placeRoleKeys(home, root.predicate);
  dropDraft(home, draft);
  return imported;
}

const membersIn = ({ predicate }: Verified<MembersPredicate>): Member[] =>
  predicate.members.filter(({ ended }) => ended === undefined);

/** A new members key signs a new version: the same one with another signature would reach nobody who has it. */
async function listUnder(
  { home, files, network, root }: Authority,
  before: RootPredicate,
  issuedAtMs: number,
): Promise<Envelope> {
  const { members } = root.predicate.roles;
  if (isDeepStrictEqual(before.roles.members, members)) return files.members;
  if (members.threshold > 1)
    throw new PhtError(
      'network.invalid',
      'this root needs a list that its holders of members keys have signed',
      {
        hint: 'draft both anew: pht network rotate members',
      },
    );
  const list = nextList(network, {}, issuedAtMs);
  const issue = { networkId: network.id, rootVersion: root.predicate.version, issuer: home.member.id };
  const expiresMs = Math.max(listExpiryMs(files), issuedAtMs + DAY_MS);
  const signer = await roleSigner(home, 'members', root.predicate);
  return signMembers(list, { ...issue, issuedAtMs, expiresMs, previousDigest: network.digest }, [signer])
    .envelope;
}

/** What a caller tells when a draft is, or is not yet, in force. */
export function outcomeLines(home: Home, outcome: Outcome): string[] {
  if ('network' in outcome) {
    const { rootVersion, version } = outcome.network;
    return [
      `root ${rootVersion} is in force, with version ${version} of the list of members`,
      `Next: give ${networkPath(home)} to every member: pht network import FILE`,
    ];
  }
  return waitingLines(home, outcome.draft);
}

export function waitingLines({ dir }: Pick<Home, 'dir'>, draft: string): string[] {
  return [
    `${draft} needs further signatures; nothing is in force before`,
    'Next: each holder of a key that signs it runs this and sends the draft on:',
    '  pht --home HIS network sign DRAFT',
    `then here: pht --home ${dir} network import DRAFT`,
  ];
}
