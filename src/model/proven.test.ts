import { expect, test } from 'vitest';
import { ed25519, makeNetwork, publicOf } from '../../test/fakes/network.ts';
import { makeImage, makeOrder, makeTrain } from '../../test/fakes/trains.ts';
import { PhtError } from './error.ts';
import { memberOf, type Network } from './network.ts';
import { verifyOrder } from './order.ts';
import { provenOrder } from './proven.ts';

const NOW = Date.UTC(2026, 5, 1, 12);

test('a proof under a log key that is in other hands counts no more, and under a retired one it does', async () => {
  const judged = async (invalidAfterMs?: number): Promise<string> => {
    const fake = await makeNetwork({ nowMs: NOW });
    const { digest } = makeTrain(fake, makeImage().image, NOW);
    const { envelope, proof } = makeOrder(fake, digest, NOW);
    const member = memberOf(fake.network, 'dispatcher', 'dispatcher');
    const renewed = { ...member, keys: { ...member.keys, log: publicOf(ed25519()) } };
    const at = (network: Network): string => {
      try {
        provenOrder(proof, verifyOrder(envelope, fake.network, 'north'), network);
        return 'accepted';
      } catch (thrown) {
        return thrown instanceof PhtError ? `${thrown.code} ${thrown.message}` : 'not ours';
      }
    };
    expect(at(fake.network)).toBe('accepted');
    const end = invalidAfterMs === undefined ? {} : { invalidAfterMs };
    return at(fake.next({ renewed: [{ member: renewed, ...end }] }).network);
  };
  expect(await judged()).toBe('accepted');
  expect(await judged(NOW)).toContain(
    'proof.invalid a ledger proof does not fit: its head is signed with a key',
  );
});
