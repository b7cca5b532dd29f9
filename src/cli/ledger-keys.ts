import { loadFormerKeys, placeListedKeys } from '../adapters/home/key-rotation.ts';
import { loadKey } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { asPhtError, PhtError } from '../model/error.ts';
import type { Network } from '../model/network.ts';
import type { LogSigners } from '../ports/ledger.ts';
import type { Signer } from '../ports/signer.ts';
import { passphrase } from './frame.ts';

/** The keys of a ledger or of a witness, at a start and while their process lives through renewals of them alike. */
export type LedgerKeys = {
  /** Over the key of now. */
  readonly signer: Signer;
  /**
   * Takes up the key that the network lists by now. While that is not in this home, the one before goes on: what it
   * signs counts until its holder has taken up the next.
   */
  look(): Promise<LogSigners>;
};

type Use = 'log' | 'witness';

/** @throws PhtError as `loadKey` */
export async function openLedgerKeys(
  home: Home,
  use: Use,
  network: () => Network,
  note: (text: string, details: Readonly<Record<string, unknown>>) => void,
): Promise<LedgerKeys> {
  let held = await keysOf(home, use, network());
  let trouble = '';
  return {
    signer: {
      get publicJwk() {
        return held.signer.publicJwk;
      },
      sign: (message) => held.signer.sign(message),
    },
    look: async () => {
      try {
        const now = network();
        const listed = listedIn(now, home, use);
        if (listed === undefined || listed === held.signer.publicJwk.x) return held;
        const found = await keysOf(home, use, now);
        if (found.signer.publicJwk.x !== listed)
          throw new PhtError(
            'config.missing',
            `the ${use} key that the network file lists is not in this home`,
          );
        held = found;
        trouble = '';
        note(`a new ${use} key is in use`, { version: now.version });
      } catch (thrown) {
        const { code, message } = asPhtError(thrown);
        // Once of each, not at every head.
        if (code !== trouble) note(`a new ${use} key cannot be used yet`, { code, message, err: thrown });
        trouble = code;
      }
      return held;
    },
  };
}

/** The key that the network lists signs, be it an earlier one of this home: nobody else believes another. */
async function keysOf(home: Home, use: Use, network: Network): Promise<LogSigners> {
  // A kill may have come between the file and its keys. Only what is in its place is sure to be there at the next start.
  placeListedKeys(home, network);
  const latest = createSigner(await loadKey(home.dir, use, passphrase));
  const former = (await loadFormerKeys(home, use, passphrase)).map(createSigner);
  const listed = listedIn(network, home, use);
  const all = [latest, ...former];
  const at = all.findIndex(({ publicJwk }) => publicJwk.x === listed);
  // A key that came later is none to go back to.
  return at < 1 ? { signer: latest, former } : { signer: all[at] ?? latest, former: all.slice(at + 1) };
}

function listedIn({ members }: Network, { member }: Home, use: Use): string | undefined {
  return members.get(member.id)?.keys[use]?.x;
}
