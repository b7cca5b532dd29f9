import { loadKey } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { pemOf, privateKeyPem } from '../adapters/wire/certificates.ts';
import { type Channel, connect } from '../adapters/wire/client.ts';
import type { TlsFiles } from '../adapters/wire/identity.ts';
import { PhtError } from '../model/error.ts';
import { type Member, membersOf, type Network } from '../model/network.ts';
import { passphrase } from './frame.ts';

/** This member's own certificate, as the network file has it, and its private key. */
export async function tlsOf(home: Home, network: Network): Promise<TlsFiles> {
  const certificate = network.certificates.get(home.member.id);
  if (certificate === undefined || !network.members.has(home.member.id)) {
    throw new PhtError('signer.unknown', `the network file does not list ${home.member.id} yet`, {
      hint: 'send enrolment.json to the network authority, then: pht network import FILE',
    });
  }
  const key = await loadKey(home.dir, 'tls', passphrase);
  return {
    authorityPem: network.tlsAuthorities.map(pemOf).join(''),
    certificatePem: pemOf(certificate),
    privateKeyPem: privateKeyPem(key),
  };
}

/** The address is the member's own configuration, never taken from a message (promise 3). */
export async function dialDispatcher(
  home: Home,
  config: { dispatcher: { address: string; id?: string | undefined }; proxy?: string | undefined },
): Promise<{ channel: Channel; dispatcher: Member }> {
  const network = currentNetwork(home);
  const dispatcher = dispatcherOf(network, config.dispatcher.id);
  const publicJwk = dispatcher.keys.tls;
  if (publicJwk === undefined) throw new PhtError('network.invalid', `${dispatcher.id} has no TLS key`);
  const channel = connect({
    address: config.dispatcher.address,
    tls: await tlsOf(home, network),
    serverMember: { networkId: network.id, memberId: dispatcher.id, publicJwk },
    ...(config.proxy === undefined ? {} : { proxy: config.proxy }),
  });
  return { channel, dispatcher };
}

function dispatcherOf(network: Network, id: string | undefined): Member {
  const dispatchers = membersOf(network, 'dispatcher');
  const chosen = id === undefined ? dispatchers : dispatchers.filter((member) => member.id === id);
  if (chosen.length === 1 && chosen[0] !== undefined) return chosen[0];
  throw new PhtError(
    'network.invalid',
    `the network has ${chosen.length} dispatchers that fit; it must be one`,
    {
      hint: 'name one with dispatcher.id in config.yaml',
    },
  );
}
