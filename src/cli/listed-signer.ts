import { loadNextKey, nextKeys } from '../adapters/home/key-rotation.ts';
import { loadKey } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { PhtError } from '../model/error.ts';
import type { Network } from '../model/network.ts';
import type { Signer } from '../ports/signer.ts';
import { passphrase } from './frame.ts';

export type ListedSigner = Signer & {
  /** Loads a key that waits to be listed, and the present one when it took its place unseen. */
  prepare(): Promise<void>;
};

/**
 * Signs with the key that the network file names now, so that a process lives through the renewal of its keys. The next
 * one is at hand before a file that names it is in force.
 */
export async function listedSigner(
  home: Home,
  use: 'statement',
  network: () => Network,
): Promise<ListedSigner> {
  const known = new Map<string, Signer>();
  const add = (signer: Signer): Signer => {
    known.set(signer.publicJwk.x, signer);
    return signer;
  };
  let latest = add(createSigner(await loadKey(home.dir, use, passphrase)));
  const listed = (): Signer => {
    const x = network().members.get(home.member.id)?.keys[use]?.x;
    // Who is not listed signs what nobody believes.
    if (x === undefined) return latest;
    const signer = known.get(x);
    if (signer !== undefined) return signer;
    throw new PhtError('conflict', `the network file names another ${use} key than the one that is loaded`);
  };
  const prepare = async (): Promise<void> => {
    const next = nextKeys(home)[use];
    if (next !== undefined && !known.has(next.x)) add(createSigner(await loadNextKey(home, use, passphrase)));
    const x = network().members.get(home.member.id)?.keys[use]?.x;
    if (x !== undefined && !known.has(x))
      latest = add(createSigner(await loadKey(home.dir, use, passphrase)));
  };
  await prepare();
  return {
    get publicJwk() {
      return listed().publicJwk;
    },
    sign: (message) => listed().sign(message),
    prepare,
  };
}
