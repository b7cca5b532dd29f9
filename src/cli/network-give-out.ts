import { readAuthorityConfig } from '../adapters/home/config.ts';
import { readBounded } from '../adapters/home/files.ts';
import { currentNetwork, networkPath } from '../adapters/home/network-file.ts';
import { connect } from '../adapters/wire/client.ts';
import { NetworkService } from '../gen/pht/v1/network_pb.ts';
import { asPhtError, PhtError } from '../model/error.ts';
import type { Network } from '../model/network.ts';
import { NETWORK_BYTES_MAX, piecesOf } from '../model/network-news.ts';
import { serverMemberOf, tlsOf } from './dial.ts';
import type { Authority } from './network-desk.ts';

/** Hands the network file of now to the dispatchers in the authority's config.yaml; they pass it on over the tracks. */

const GIVE_OUT_MS_MAX = 60_000;

export type GivenOut = { readonly dispatcher: string; readonly version: number; readonly changed: boolean };
type Place = { id: string; address: string };

/**
 * Every dispatcher is tried, whatever became of the one before.
 *
 * @throws PhtError `config.missing`, `config.invalid` when none is named, `unreachable` when one did not take the file
 */
export async function giveOut({ home }: Pick<Authority, 'home'>): Promise<GivenOut[]> {
  const { dispatchers, proxy } = readAuthorityConfig(home.dir);
  if (dispatchers.length === 0)
    throw new PhtError('config.invalid', `${home.dir}/config.yaml names no dispatchers to give the file to`, {
      hint: 'name them there as dispatchers: [{ id, address }]',
    });
  const network = currentNetwork(home);
  const tls = await tlsOf(home, network);
  const bytes = readBounded(networkPath(home), NETWORK_BYTES_MAX, 'the network file');
  const taken: GivenOut[] = [];
  const problems: string[] = [];
  for (const place of dispatchers) {
    try {
      taken.push(await giveTo(place, { network, tls, bytes, proxy }));
    } catch (thrown) {
      problems.push(`${place.id}: ${asPhtError(thrown).message}`);
    }
  }
  if (problems.length === 0) return taken;
  throw new PhtError(
    'unreachable',
    `the network file (version ${network.version}) is made, and was not taken by ${problems.join('; ')}`,
    { hint: `try again with: pht --home ${home.dir} network freshen --give-out` },
  );
}

async function giveTo(
  { id, address }: Place,
  given: {
    network: Network;
    tls: Awaited<ReturnType<typeof tlsOf>>;
    bytes: Uint8Array;
    proxy: string | undefined;
  },
): Promise<GivenOut> {
  const { network, tls, bytes, proxy } = given;
  const serverMember = serverMemberOf(network, id);
  const channel = connect({ address, tls, serverMember, ...(proxy === undefined ? {} : { proxy }) });
  try {
    const pieces = (async function* () {
      for (const piece of piecesOf(bytes)) yield { piece };
    })();
    const options = { deadlineMs: GIVE_OUT_MS_MAX };
    const { networkVersion, changed } = await channel.client(NetworkService).giveOut(pieces, options);
    return { dispatcher: id, version: networkVersion, changed };
  } finally {
    channel.close();
  }
}

export function givenOutLines(given: readonly GivenOut[]): string[] {
  return given.map(({ dispatcher, version, changed }) => {
    return changed ? `${dispatcher} took version ${version}` : `${dispatcher} has version ${version} already`;
  });
}
