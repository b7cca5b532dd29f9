import { rmSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { storeNextKeys } from '../adapters/home/key-rotation.ts';
import { type Ed25519PrivateJwk, type KeyUse, loadKey } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { importNetwork, networkPath } from '../adapters/home/network-file.ts';
import { draftPath, type RootDraft, readRootDraft, writeRootDraft } from '../adapters/home/root-draft.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { nextList } from '../journey/authority/list.ts';
import { nextRoot, type RootChange, rootWords } from '../journey/authority/root.ts';
import { signMembers, signRoot } from '../journey/authority/sign.ts';
import { keyIdOf, payloadOf } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import { digestOf } from '../model/id.ts';
import type { Network } from '../model/network.ts';
import { type NetworkFiles, RootPredicate } from '../model/network-statements.ts';
import { openNextRoot, openRoots } from '../model/open-network.ts';
import { cosignStatement, readStatement } from '../model/statement.ts';
import type { Signer } from '../ports/signer.ts';
import { confirm } from './confirm.ts';
import { type Frame, passphrase } from './frame.ts';
import { certify } from './network-certify.ts';
import {
  type Authority,
  authorityIn,
  BACKDATE_MS,
  DAY_MS,
  freshnessFor,
  listExpiryMs,
  nextMs,
  placeRoleKeys,
  roleSigner,
} from './network-desk.ts';
import { CERTIFICATE_DAYS, isFounded, resumeFounding } from './network-found.ts';

/** The next root: drafted, signed by as many holders as the old and the new one ask for, taken over. */

export type NewRoot = {
  readonly change: RootChange;
  /** Private halves that the new root names. */
  readonly keys: Partial<Record<KeyUse, Ed25519PrivateJwk>>;
  /** The own root key of before is lost, and the other holders reach the threshold without it. */
  readonly withoutOld?: true;
  readonly expiresDays: number;
};

/** @returns the network of the new root, or the draft where further holders have to sign it first */
export async function proposeRoot(
  frame: Frame,
  authority: Authority,
  { change, keys, expiresDays, withoutOld }: NewRoot,
): Promise<{ network: Network } | { draft: string }> {
  const { home, files, network, root } = authority;
  const issuedAtMs = nextMs(frame, network);
  const times = { issuedAtMs, expiresMs: issuedAtMs + expiresDays * DAY_MS };
  const predicate = nextRoot(root, network.id, change, times);
  const added = keys.root === undefined ? [] : [createSigner(keys.root)];
  const old = withoutOld === true ? [] : [await ownRootSigner(home, root.predicate)];
  const [first, ...more] = [...old, ...added];
  if (first === undefined) throw new Error('a root is proposed without any key');
  const { envelope } = signRoot(predicate, [first, ...more]);
  // The keys first: a root that names keys which nobody has would end the network.
  if (Object.keys(keys).length > 0) await storeNextKeys(home, keys, passphrase);
  const draft = { roots: files.roots, root: envelope };
  writeRootDraft(draftPath(home), draft);
  if (!isSigned(draft, authority)) return { draft: draftPath(home) };
  return { network: await takeOver(frame, authority, draft) };
}

export async function ownRootSigner(home: Home, root: RootPredicate): Promise<Signer> {
  try {
    return await roleSigner(home, 'root', root);
  } catch (thrown) {
    if (!(thrown instanceof PhtError) || thrown.code !== 'config.missing') throw thrown;
    throw new PhtError('config.missing', 'the root key is not in this home, and a new root needs it', {
      cause: thrown,
      hint: `bring it back for a moment: copy root.jwe into ${home.dir}/keys, and take it away afterwards`,
    });
  }
}

function isSigned({ root }: RootDraft, { root: before, network }: Authority): boolean {
  try {
    openNextRoot(root, before, network.id);
    return true;
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'signature.invalid') return false;
    throw thrown;
  }
}

/**
 * A root that enough holders have signed by now: in force, with a list and a word of freshness that its keys have signed.
 *
 * @throws PhtError `signature.invalid` while too few have, `network.mismatch`, `network.rollback`
 */
export async function importRoot(frame: Frame, file: string): Promise<Network> {
  try {
    return await importDraft(frame, file);
  } catch (thrown) {
    if (!(thrown instanceof PhtError) || thrown.code !== 'signature.invalid') throw thrown;
    throw new PhtError('signature.invalid', thrown.message, {
      cause: thrown,
      hint: 'a holder who has not signed yet runs: pht --home HIS network sign root-draft.json',
    });
  }
}

async function importDraft(frame: Frame, file: string): Promise<Network> {
  const home = frame.openHome(['authority']);
  const draft = readRootDraft(file);
  if (!isFounded(home)) return resumeFounding(home, draft, frame.nowMs());
  const authority = authorityIn(home);
  const { root } = openRoots([...draft.roots, draft.root], authority.network.id);
  if (root.digest === authority.root.digest) return authority.network;
  if (root.predicate.version <= authority.root.predicate.version)
    throw new PhtError(
      'network.rollback',
      `root ${root.predicate.version} is not newer than the one in force`,
    );
  return takeOver(frame, authority, draft);
}

async function takeOver(frame: Frame, authority: Authority, draft: RootDraft): Promise<Network> {
  const { home, files, network } = authority;
  const root = openNextRoot(draft.root, authority.root, network.id);
  const next = { ...authority, root };
  const issuedAtMs = nextMs(frame, network);
  const list = await listUnder(next, authority.root.predicate, issuedAtMs);
  const freshness = await freshnessFor(next, list.newest, issuedAtMs);
  const validity = {
    notBeforeMs: issuedAtMs - BACKDATE_MS,
    notAfterMs: issuedAtMs + CERTIFICATE_DAYS * DAY_MS,
  };
  const members = [...network.members.values()];
  const { certificates } = await certify({ ...next, members }, validity, issuedAtMs);
  const roots = [...files.roots, draft.root];
  const imported = importNetwork(home, { roots, members: list.envelope, freshness, certificates }).network;
  placeRoleKeys(home, root.predicate);
  rmSync(draftPath(home), { force: true });
  return imported;
}

/** A new members key signs a new version: the same one with another signature would reach nobody who has it. */
async function listUnder(
  { home, files, network, root }: Authority,
  before: RootPredicate,
  issuedAtMs: number,
): Promise<{ envelope: NetworkFiles['members']; newest: { version: number; digest: Network['digest'] } }> {
  const { version, digest } = network;
  if (isDeepStrictEqual(before.roles.members, root.predicate.roles.members))
    return { envelope: files.members, newest: { version, digest } };
  const list = nextList(network, {}, issuedAtMs);
  const issue = { networkId: network.id, rootVersion: root.predicate.version, issuer: home.member.id };
  const expiresMs = Math.max(listExpiryMs(files), issuedAtMs + DAY_MS);
  const signed = signMembers(list, { ...issue, issuedAtMs, expiresMs, previousDigest: digest }, [
    await roleSigner(home, 'members', root.predicate),
  ]);
  return { envelope: signed.envelope, newest: { version: list.version, digest: signed.digest } };
}

/** `pht network sign`: one holder's signature under a draft. Works in any folder that has a root key. */
export async function signDraft(frame: Frame, file: string, { yes }: { yes?: true }): Promise<void> {
  const draft = readRootDraft(file);
  const { predicate } = readStatement('root', RootPredicate, payloadOf(draft.root));
  const before = draft.roots.length === 0 ? null : openRoots(draft.roots, predicate.networkId);
  const id = before?.id ?? digestOf(payloadOf(draft.root));
  const words = rootWords(predicate, before?.root.predicate ?? null, id);
  if (yes !== true) await confirm(frame, [...words, ''], 'Sign it?');
  const signer = createSigner(await loadKey(frame.homeDir(), 'root', passphrase));
  const holders = [...predicate.roles.root.keys, ...(before?.root.predicate.roles.root.keys ?? [])];
  if (!holders.some(({ x }) => x === signer.publicJwk.x))
    throw new PhtError('signer.unknown', 'this key is none of those that sign this root');
  const keyId = keyIdOf(signer.publicJwk);
  if (!draft.root.signatures.some(({ keyid }) => keyid === keyId))
    writeRootDraft(file, { ...draft, root: cosignStatement(draft.root, signer) });
  frame.output.result({ networkId: id, rootVersion: predicate.version, keyId, file }, [
    ...(yes === true ? [...words, ''] : []),
    `signed root ${predicate.version} of ${predicate.title}`,
    `Next: send ${file} to the next holder, or back to`,
    `the authority: pht network import ${file}`,
  ]);
}

/** What a caller tells when a root is, or is not yet, in force. */
export function rootTold(home: Home, outcome: { network: Network } | { draft: string }): string[] {
  if ('network' in outcome) {
    const { rootVersion, version } = outcome.network;
    return [
      `root ${rootVersion} is in force, with version ${version} of the list of members`,
      `Next: give ${networkPath(home)} to every member: pht network import FILE`,
    ];
  }
  return [
    `${outcome.draft} needs further signatures`,
    'Next: each holder of a root key runs this and sends the draft on:',
    '  pht --home HIS network sign root-draft.json',
    `then here: pht --home ${home.dir} network import root-draft.json`,
  ];
}
