import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { createAppend } from '../../src/adapters/store/ledger-rows.ts';
import { createGatherer } from '../../src/journey/witness/gather.ts';
import { createStartCheck } from '../../src/journey/witness/start.ts';
import { createWitness } from '../../src/journey/witness/witness.ts';
import { formatAddCheckpoint } from '../../src/model/ledger/add-checkpoint.ts';
import { openCheckpoint, signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { decodeEntry } from '../../src/model/ledger/entry.ts';
import { leafHash } from '../../src/model/ledger/merkle.ts';
import { misconductOf } from '../../src/model/ledger/misconduct.ts';
import { type NoteSigner, parseNote } from '../../src/model/ledger/note.ts';
import { logKey } from '../../src/model/ledger/origin.ts';
import { readRotation } from '../../src/model/ledger/rotation.ts';
import type { Network } from '../../src/model/network.ts';
import { logKeysOf } from '../../src/model/past-keys.ts';
import { ed25519, memberIn, publicOf, signerOf } from '../fakes/network.ts';
import { type Home, logSignerOf, makeRig, NOW_MS, originOf, type Rig } from './rig.ts';

/** Witnesses go along with a ledger from its old key to the new one, and not back. */

let rig: Rig;
beforeEach(async () => {
  rig = await makeRig();
});
afterEach(() => rig.close());

const never = new AbortController().signal;
const next = ed25519();

function renewed(
  id: string,
  keys: Partial<Record<'log' | 'witness', ReturnType<typeof ed25519>>>,
  more = {},
): Network {
  const member = rig.network.members.get(id);
  if (member === undefined) throw new Error(`no member ${id}`);
  const own = Object.fromEntries(Object.entries(keys).map(([use, jwk]) => [use, publicOf(jwk)]));
  const { network } = rig.fake.next({
    renewed: [{ member: { ...member, keys: { ...member.keys, ...own } }, ...more }],
  });
  rig.list(network);
  return network;
}

const gather = (home: Home): Promise<void> =>
  createGatherer({
    ...{ member: home.id, network: () => rig.network, ledger: home.ledger, relay: rig.relay(home.id) },
    note: () => undefined,
  }).round(never);

/** Dispatcher's home opened again with the new key, as after a restart. */
function restarted(dir: string): Home {
  const append = (entry: Parameters<ReturnType<typeof createAppend>>[0][number]): void => {
    const { database } = home;
    database.transaction(() => createAppend(database, 'dispatcher')([entry], NOW_MS));
  };
  const former = [createSigner(memberIn(rig.fake, 'dispatcher').keys.log)];
  const now = { signer: createSigner(next), former };
  const signer = { signers: async () => now, append };
  const home: Home = rig.open('dispatcher', { copyOf: dir, ledger: { signer } });
  return home;
}

const signer = (): NoteSigner => {
  const { sign, publicJwk } = signerOf(next);
  return { key: logKey(originOf(rig.fake, 'dispatcher'), publicJwk), sign };
};
const ask = (sizeBefore: number, checkpoint: string, hashes: readonly Uint8Array[] = []) =>
  rig.home('north').witness.addCheckpoint(formatAddCheckpoint({ sizeBefore, hashes, checkpoint }));
const head = (size: number, text: string, by: NoteSigner): string => {
  const root = leafHash(Buffer.from(text));
  return signCheckpoint({ origin: by.key.name, size, root, extensions: [] }, by);
};

describe('a ledger that rotates its key', () => {
  test('is cosigned before and after by the same witnesses, without a break', async () => {
    const before = rig.home('dispatcher');
    await before.grow(3);
    await gather(before);
    renewed('dispatcher', { log: next });
    // Without the new key at hand it goes on with the old one.
    await before.grow(1);
    await gather(before);
    const after = restarted(rig.copy(before));
    await after.ledger.open();
    await after.ledger.covered(after.rows.size());
    await gather(after);
    const keys = logKeysOf(rig.network, 'dispatcher').map(({ key }) => key);
    const trust = { origin: originOf(rig.fake, 'dispatcher'), logKeys: keys, witnessKeys: [] };
    const published = openCheckpoint(after.ledger.published()?.text ?? '', trust);
    expect([published.checkpoint.size, published.signedBy]).toEqual([5, [keys[1]]]);
    const { type, body } = decodeEntry(after.rows.read(4, 5)[0] ?? new Uint8Array());
    expect([type, readRotation(body, 4, keys)]).toEqual([
      'log.rotated',
      { index: 4, from: keys[0], to: keys[1] },
    ]);
  });

  test('passes the start-up rule with a head that was signed with the old key', async () => {
    const before = rig.home('dispatcher');
    await before.grow(3);
    await gather(before);
    renewed('dispatcher', { log: next });
    const check = createStartCheck({
      ...{ member: 'dispatcher', network: () => rig.network, relay: rig.relay('dispatcher') },
      ...{ publicJwk: publicOf(next), signal: never, note: () => undefined },
    });
    await check({ ...before.ledger.tree, size: 3 });
    // What was cosigned with the old key is as much its own.
    await expect(check({ ...before.ledger.tree, size: 2 })).rejects.toMatchObject({
      code: 'ledger.inconsistent',
    });
  });

  test('is not cosigned with the old key once a head with the new one was seen', async () => {
    renewed('dispatcher', { log: next });
    const { tree } = rig.home('dispatcher').ledger;
    await rig.home('dispatcher').grow(5);
    const old = logSignerOf(rig.fake, 'dispatcher');
    const of = async (size: number, { key, sign }: NoteSigner): Promise<string> =>
      signCheckpoint(
        { origin: key.name, size, root: await tree.rootAt(size), extensions: [] },
        { key, sign },
      );
    const further = await tree.consistency(3, 5);
    expect(ask(0, await of(3, signer())).status).toBe(200);
    for (const [size, hashes] of [
      [3, []],
      [5, further],
    ] as const) {
      const { status, body } = ask(3, await of(size, old), hashes);
      expect([status, Buffer.from(body).toString()]).toEqual([403, 'the ledger has another key by now\n']);
    }
    expect(ask(3, await of(5, signer()), further).status).toBe(200);
  });

  test('signs two roots for one size with two keys: a conflict like any other', () => {
    renewed('dispatcher', { log: next });
    const old = logSignerOf(rig.fake, 'dispatcher');
    expect(ask(0, head(3, 'a', old)).status).toBe(200);
    expect(ask(3, head(3, 'b', signer())).status).toBe(422);
    const [conflict] = rig.home('north').conflicts;
    if (conflict === undefined) throw new Error('no conflict');
    expect(misconductOf(rig.network, conflict)).toMatchObject({ member: 'dispatcher', size: 3 });
  });

  test('whose old key is in other hands is not cosigned with it at all', () => {
    renewed('dispatcher', { log: next }, { invalidAfterMs: NOW_MS - 1 });
    expect(ask(0, head(3, 'a', logSignerOf(rig.fake, 'dispatcher'))).status).toBe(403);
    expect(ask(0, head(3, 'a', signer())).status).toBe(200);
  });
});

describe('a witness that rotates its key', () => {
  test('is counted with either, before it took up the new one and after', async () => {
    const own = rig.home('dispatcher');
    await own.grow(2);
    await gather(own);
    renewed('north', { witness: next });
    await own.grow(1);
    await gather(own);
    const { store } = rig.home('north');
    const witness = createWitness({
      ...{ id: 'north', network: () => rig.network, store, nowMs: () => NOW_MS },
      signer: createSigner(next),
    });
    rig.home('north').witness = witness;
    await own.grow(1);
    await gather(own);
    await expect.poll(() => parseNote(own.ledger.published()?.text ?? '').signatures.length).toBe(6);
  });

  test('still says at a start what it cosigned with the key before', async () => {
    const own = rig.home('dispatcher');
    await own.grow(2);
    await gather(own);
    await expect.poll(() => parseNote(own.ledger.published()?.text ?? '').signatures.length).toBe(6);
    renewed('north', { witness: next });
    const { store } = rig.home('north');
    rig.home('north').witness = createWitness({
      ...{ id: 'north', network: () => rig.network, store, nowMs: () => NOW_MS },
      signer: createSigner(next),
    });
    const relay = rig.relay('dispatcher');
    const silent: string[] = [];
    const check = createStartCheck({
      ...{ member: 'dispatcher', network: () => rig.network, relay },
      publicJwk: signerOf(memberIn(rig.fake, 'dispatcher').keys.log).publicJwk,
      ...{ signal: never, note: (text: string) => void silent.push(text) },
    });
    await check({ ...own.ledger.tree, size: 2 });
    expect(silent).toEqual([]);
  });
});
