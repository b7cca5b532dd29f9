import { ownCertificate } from '../adapters/home/certificate.ts';
import { loadKey } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { pemOf, privateKeyPem } from '../adapters/wire/certificates.ts';
import { type Channel, connect } from '../adapters/wire/client.ts';
import { type ServerMember, type TlsFiles, tlsKeysOf } from '../adapters/wire/identity.ts';
import { PhtError } from '../model/error.ts';
import { type Member, memberOf, membersOf, type Network } from '../model/network.ts';
import { passphrase } from './frame.ts';

/**
 * This member's own certificate, as the network file has it, and its private key: of now, since both are renewed while a
 * process runs.
 *
 * @throws PhtError `signer.unknown`, `certificate.invalid`
 */
export async function tlsOf(home: Home, network: Network): Promise<TlsFiles> {
  const { text } = ownCertificate(home, network, Date.now());
  const key = await loadKey(home.dir, 'tls', passphrase);
  if (key.x !== network.members.get(home.member.id)?.keys.tls?.x)
    throw new PhtError(
      'certificate.invalid',
      `the certificate of ${home.member.id} is for another key than keys/tls.jwk`,
      {
        hint: 'restore the folder keys of this home from a backup, or enrol with a new home',
      },
    );
  return {
    authorityPem: network.tlsAuthorities.map(pemOf).join(''),
    certificatePem: pemOf(text),
    privateKeyPem: privateKeyPem(key),
  };
}

/** The address is the member's own configuration, never taken from a message (promise 3). */
export type Dispatched = {
  dispatcher: { address: string; id?: string | undefined };
  proxy?: string | undefined;
};

/**
 * Every connection takes certificates and keys from the network file of its own moment.
 *
 * @param network the file in force
 */
export async function dialDispatcher(
  home: Home,
  config: Dispatched,
  network: () => Network = () => currentNetwork(home),
): Promise<{ channel: Channel; dispatcher: Member }> {
  const dispatcher = dispatcherOf(network(), config.dispatcher.id);
  // What is wrong in this home is told now, and not as a dispatcher that cannot be reached.
  serverMemberOf(network(), dispatcher.id);
  await tlsOf(home, network());
  const channel = connect({
    address: config.dispatcher.address,
    tls: () => tlsOf(home, network()),
    serverMember: () => serverMemberOf(network(), dispatcher.id),
    ...(config.proxy === undefined ? {} : { proxy: config.proxy }),
  });
  return { channel, dispatcher };
}

/** With the keys that a renewal has replaced: who runs it may not have begun to use the new one. */
export function serverMemberOf(network: Network, id: string): ServerMember {
  const [publicJwk, ...formerJwks] = tlsKeysOf(memberOf(network, id, 'dispatcher'), network, true);
  if (publicJwk === undefined) throw new PhtError('network.invalid', `${id} has no TLS key`);
  return { networkId: network.id, memberId: id, publicJwk, formerJwks };
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
