import { join } from 'node:path';
import { writeAtomic } from '../adapters/home/files.ts';
import {
  loadNextKey,
  nextKeys,
  placeListedKeys,
  rotatedKeys,
  storeNextKeys,
} from '../adapters/home/key-rotation.ts';
import { type Ed25519PrivateJwk, generateKey, type KeyUse } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { createRequest } from '../adapters/wire/certificates.ts';
import { type Envelope, encodeEnvelope } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import { type Member, MemberKeys, type Network } from '../model/network.ts';
import { Renewal } from '../model/network-statements.ts';
import { check } from '../model/schema.ts';
import { cosignStatement, signStatement } from '../model/statement.ts';
import { type Frame, passphrase, signerOf } from './frame.ts';
import { keyIds } from './network-view.ts';

/** `pht network rotate keys`: a member's next keys, and what it asks of the authority to have them listed. */

/** @throws PhtError `signer.unknown` for who is no member yet, `usage.invalid`, `passphrase.required` */
export async function rotateKeys(frame: Frame, { use }: { use?: string }): Promise<void> {
  const home = frame.openHome();
  const network = currentNetwork(home);
  const member = network.members.get(home.member.id);
  if (member === undefined)
    throw new PhtError('signer.unknown', `${home.member.id} is no member of this network`, {
      hint: 'only a member has keys to replace; send enrolment.json to the authority first',
    });
  // Those that are listed already wait no more, and must not be replaced where they lie.
  placeListedKeys(home, network);
  const uses = use === undefined ? rotatedKeys(home) : usesIn(use, member);
  const waiting = Object.keys(nextKeys(home));
  // Once listed, keys that are gone would lock this member out.
  if (uses.some((each) => waiting.includes(each)))
    frame.output.warn(
      'the keys that waited are replaced: a renewal.json of before must not be admitted any more, tell the authority',
    );
  // Before the renewal: keys that nobody has must not be listed.
  await storeNextKeys(home, Object.fromEntries(uses.map((each) => [each, generateKey(each)])), passphrase);
  const keys = check(MemberKeys, { ...member.keys, ...nextKeys(home) }, 'the new keys', 'config.invalid');
  const envelope = await renewalOf(frame, network, home, keys);
  const file = join(home.dir, 'renewal.json');
  writeAtomic(file, `${Buffer.from(encodeEnvelope(envelope)).toString('utf8')}\n`);
  const ids = keyIds(nextKeys(home));
  frame.output.result({ member: member.id, renewal: file, keyIds: ids }, [
    `new keys of ${member.id} wait in ${join(home.dir, 'keys', 'next')}`,
    ...Object.entries(ids).map(([each, keyId]) => `  ${each.padEnd(10)} ${keyId}`),
    '',
    'The keys of now stay in use until the network file names the new ones.',
    `Next: send ${file} to the authority and read out the fingerprints;`,
    'the authority then runs: pht network admit renewal.json',
  ]);
}

/** @throws PhtError `usage.invalid` */
function usesIn(text: string, { role, keys }: Member): KeyUse[] {
  const held = Object.keys(keys);
  const uses = text.split(',').map((each) => each.trim());
  for (const each of uses) {
    if (!held.includes(each) || uses.filter((other) => other === each).length > 1)
      throw new PhtError('usage.invalid', `--use takes some of ${held.join(',')} in this home (${role})`);
  }
  return uses as KeyUse[];
}

/** Signed by the statement key of now, and by the new one where there is one. */
async function renewalOf(frame: Frame, network: Network, home: Home, keys: MemberKeys): Promise<Envelope> {
  const { id } = home.member;
  const waiting = nextKeys(home);
  const next = async (use: 'statement' | 'tls'): Promise<Ed25519PrivateJwk | null> =>
    waiting[use] === undefined ? null : loadNextKey(home, use, passphrase);
  const [statement, tls] = [await next('statement'), await next('tls')];
  const predicate = check(
    Renewal,
    {
      ...{ networkId: network.id, networkVersion: network.version, issuer: id, keys },
      ...(tls === null ? {} : { tlsRequest: await createRequest(network.id, id, tls) }),
      issuedAtMs: frame.nowMs(),
    },
    'the renewal',
    'network.invalid',
  );
  const subject = { name: 'network', digest: network.id };
  const { envelope } = signStatement('renewal', subject, predicate, await signerOf(home, 'statement'));
  return statement === null ? envelope : cosignStatement(envelope, createSigner(statement));
}
