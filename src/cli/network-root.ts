import { isDeepStrictEqual } from 'node:util';
import { storeNextKeys } from '../adapters/home/key-rotation.ts';
import type { Ed25519PrivateJwk, KeyUse } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { nextList } from '../journey/authority/list.ts';
import { nextRoot, type RootChange } from '../journey/authority/root.ts';
import { signMembers, signRoot } from '../journey/authority/sign.ts';
import type { Envelope } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import type { RootPredicate } from '../model/network-statements.ts';
import type { Signer } from '../ports/signer.ts';
import { type Frame, passphrase } from './frame.ts';
import { type Authority, DAY_MS, listExpiryMs, nextMs, roleSigner } from './network-desk.ts';
import { CERTIFICATE_DAYS } from './network-found.ts';
import { type Outcome, settle } from './network-take-over.ts';

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
): Promise<Outcome> {
  const { home, files, network, root } = authority;
  const issuedAtMs = nextMs(frame, network);
  const times = { issuedAtMs, expiresMs: issuedAtMs + expiresDays * DAY_MS };
  const predicate = nextRoot(root, network.id, change, times);
  const added = keys.root === undefined ? [] : [createSigner(keys.root)];
  const old = withoutOld === true ? [] : [await ownRootSigner(home, root.predicate)];
  const [first, ...more] = [...old, ...added];
  if (first === undefined) throw new Error('a root is proposed without any key');
  const { envelope } = signRoot(predicate, [first, ...more]);
  const next = listFor(authority, predicate, keys.members, issuedAtMs);
  // The keys first: a root that names keys which nobody has would end the network.
  if (Object.keys(keys).length > 0) await storeNextKeys(home, keys, passphrase);
  const list = next === null ? {} : { list: { before: files.members, next } };
  return settle(frame, authority, { roots: files.roots, root: envelope, ...list }, CERTIFICATE_DAYS);
}

/** Members keys that reach their threshold together sign the list beside the root: under that one no older list counts. */
function listFor(
  { home, files, network, root }: Authority,
  next: RootPredicate,
  key: Ed25519PrivateJwk | undefined,
  issuedAtMs: number,
): Envelope | null {
  const { members } = next.roles;
  if (key === undefined || members.threshold === 1) return null;
  if (isDeepStrictEqual(members, root.predicate.roles.members)) return null;
  const issue = { networkId: network.id, rootVersion: next.version, issuer: home.member.id, issuedAtMs };
  const expiresMs = Math.max(listExpiryMs(files), issuedAtMs + DAY_MS);
  const times = { expiresMs, previousDigest: network.digest };
  return signMembers(nextList(network, {}, issuedAtMs), { ...issue, ...times }, [createSigner(key)]).envelope;
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
