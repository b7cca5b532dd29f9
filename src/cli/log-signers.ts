import { loadFormerKeys } from '../adapters/home/key-rotation.ts';
import type { Home } from '../adapters/home/member.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import type { Network } from '../model/network.ts';
import type { Signer } from '../ports/signer.ts';
import { passphrase, signerOf } from './frame.ts';

/** What a ledger signs with, and the keys that it signed with before, newest first. */
export type LogSigners = { signer: Signer; former: Signer[] };

/** The key that the network lists signs, be it an earlier one of this home: nobody else believes another. */
export async function logSignersOf(home: Home, network: Network): Promise<LogSigners> {
  const former = (await loadFormerKeys(home, 'log', passphrase)).map(createSigner);
  const all = [await signerOf(home, 'log'), ...former];
  const listed = network.members.get(home.member.id)?.keys.log?.x;
  const [first] = all;
  const signer = all.find(({ publicJwk }) => publicJwk.x === listed) ?? first;
  if (signer === undefined) throw new Error('a home without a log key was opened');
  // A key that came later is none to go back to.
  return { signer, former: all.slice(all.indexOf(signer) + 1) };
}
