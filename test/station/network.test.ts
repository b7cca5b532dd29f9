import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Home } from '../../src/adapters/home/member.ts';
import { createNetworkCopy } from '../../src/adapters/home/network-copy.ts';
import {
  currentNetwork,
  encodeNetworkFile,
  importNetwork,
  storeNetwork,
} from '../../src/adapters/home/network-file.ts';
import { createNetworkFollower, type NetworkFollower } from '../../src/journey/station/follow-network.ts';
import { acceptOrder } from '../../src/journey/station/intake.ts';
import { createRejects } from '../../src/journey/station/rejects.ts';
import { createVisits, type Visits } from '../../src/journey/station/visits.ts';
import { PhtError } from '../../src/model/error.ts';
import { openEntryProof } from '../../src/model/ledger/entry-proof.ts';
import { ledgerOrigin } from '../../src/model/ledger/origin.ts';
import type { Member, Witnessing } from '../../src/model/network.ts';
import { heldVersions, NETWORK_BYTES_MAX, piecesOf } from '../../src/model/network-news.ts';
import type { NetworkFiles } from '../../src/model/network-statements.ts';
import type { Order } from '../../src/model/order.ts';
import { trustIn } from '../../src/model/proven.ts';
import { verifyExplanation } from '../../src/model/receipt.ts';
import type { Manifest } from '../../src/model/train.ts';
import { memoryLog } from '../fakes/dispatcher-log.ts';
import {
  ed25519,
  type FakeNetwork,
  type FakePlan,
  makeNetwork,
  memberIn,
  publicOf,
  signerOf,
} from '../fakes/network.ts';
import {
  ASK,
  makeStation,
  openSealed,
  PERMIT,
  type Process,
  type Rig,
  receiptsOf,
} from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/** A station that follows the network file, whatever its dispatcher passes on, and acts on what it says. */

const NOW = Date.UTC(2026, 5, 1, 12);
const DAY_MS = 86_400_000;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;
let home: Home;
let visits: Visits;
let follower: NetworkFollower;
let stop: AbortController;
let living: Promise<void>;
/** What the dispatcher passes on, whatever it is asked for. */
let offered: Uint8Array;
let fetches: number;
let renewals: number;

async function begin(plan: FakePlan = {}): Promise<void> {
  fake = await makeNetwork({ researchers: ['rosa', 'rita'], dispatchers: ['hub'], nowMs: NOW, ...plan });
  rig = makeStation(fake, NOW);
  storeNetwork(rig.dir, fake.files, fake.network);
  const member = {
    v: 1,
    id: 'north',
    role: 'station',
    title: 'n',
    organisation: 'o',
    networkId: fake.network.id,
  };
  home = { dir: rig.dir, member: member as Home['member'] };
  offered = new Uint8Array();
  [fetches, renewals] = [0, 0];
  live();
}

function live(): void {
  station = rig.start();
  rig.settings.network = currentNetwork(home);
  const { hops, outbox, log, ledgerRows } = station.store;
  visits = createVisits(station.station, { hops, outbox, steps: station.steps, runsAtOnceMax: 1 });
  visits.open();
  const copy = createNetworkCopy(home);
  follower = createNetworkFollower(station.station, {
    client: {
      fetch: async function* () {
        fetches++;
        for (const piece of piecesOf(offered)) yield { $typeName: 'pht.v1.FetchResponse', piece };
      },
    },
    copy: {
      take: (file) => {
        const taken = copy.take(file);
        rig.settings.network = taken.network;
        return taken;
      },
    },
    prepare: async () => undefined,
    ...{ hops, visits, log, ledgerRows },
    rejects: createRejects(station.station, log),
    renewed: () => void renewals++,
    times: { againMs: 20, againMsMax: 50 },
  });
  stop = new AbortController();
  living = follower.keep(stop.signal);
}

async function end(): Promise<void> {
  stop.abort(new Error('the station is stopping'));
  await living;
  await visits.stop();
}

afterEach(async () => {
  await end();
  rig.close();
});

const bytesOf = ({ files }: { files: NetworkFiles }): Uint8Array => Buffer.from(encodeNetworkFile(files));

/** As an admin does with `pht network import` beside the running agent. */
function imported({ files }: { files: NetworkFiles }): void {
  rig.settings.network = importNetwork(home, files).network;
  follower.look();
}

function ordered(manifest: Partial<Manifest> = {}, order: Partial<Order> & { signedBy?: string } = {}) {
  const train = makeTrain(fake, rig.image.image, NOW, manifest);
  const { signedBy } = order;
  const signed = makeOrder(
    fake,
    train.digest,
    NOW,
    signedBy === undefined ? order : { ...order, issuer: signedBy },
  );
  return { ...signed, manifest: train.manifest };
}

function accepted(...parameters: Parameters<typeof ordered>): string {
  const hopId = station.accept(ordered(...parameters));
  if (hopId === null) throw new Error('the order was not taken on');
  return hopId;
}

async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 5000;
  while (!(await holds())) {
    if (Date.now() > endMs) throw new Error(`gave up waiting for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const stateOf = (hopId: string) => station.store.hops.find(hopId)?.state;
const isIn = (hopId: string, state: string) => until(state, () => stateOf(hopId) === state);
const entriesOf = (type: string) => station.entries().filter((entry) => entry.type === type);
const versions = () => entriesOf('network.changed').map(({ body }) => body['version']);

async function outcome(hopId: string): Promise<string> {
  await until('a receipt', async () => {
    await station.post();
    return receiptsOf(rig, hopId).length > 0;
  });
  const [receipt] = receiptsOf(rig, hopId);
  return `${receipt?.outcome} ${receipt?.code}`;
}

describe('a newer file', () => {
  beforeEach(() => begin());

  test('is fetched on connecting, put on record once, and not again after a restart', async () => {
    offered = bytesOf(fake.next({ issuedAtMs: NOW + 1 }));
    follower.want();
    await until('version 2', () => station.station.network().version === 2);
    await end();
    live();
    await until('a fetch', () => fetches > 1);
    expect(versions()).toEqual([1, 2]);
    expect(entriesOf('network.changed')[1]?.body).toEqual({
      version: 2,
      digest: rig.settings.network.digest,
      rootVersion: 1,
    });
  });

  test('is fetched at once when the dispatcher says that it has one', async () => {
    await until('the first look', () => fetches > 0);
    offered = bytesOf(fake.next({ issuedAtMs: NOW + 1 }));
    follower.heard({ networkVersion: 2, freshnessIssuedAtMs: BigInt(NOW + 1) });
    await until('version 2', () => station.station.network().version === 2);
  });

  test('is not asked for when the dispatcher has an older one, nor without end when it only says so', async () => {
    await until('the first look', () => fetches > 0);
    const before = fetches;
    follower.heard({ networkVersion: 1, freshnessIssuedAtMs: BigInt(NOW) });
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(fetches).toBe(before);
    for (let times = 0; times < 200; times++) {
      follower.heard({ networkVersion: 999, freshnessIssuedAtMs: BigInt(NOW) });
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(fetches - before).toBeLessThan(20);
  });

  test.each([
    ['half of the word on freshness is over', 4 * DAY_MS],
    ['two thirds of the own certificate are over', 300 * DAY_MS],
  ])('is asked for once %s', async (_what, laterMs) => {
    await until('the first look', () => fetches > 0);
    const before = fetches;
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect(fetches).toBe(before);
    rig.clock.ms = NOW + laterMs;
    await until('another fetch', () => fetches > before);
  });

  test('that renews certificates alone makes connections anew, and only then', async () => {
    await until('the first look', () => fetches > 0);
    offered = bytesOf(fake.fresh(NOW + 1));
    follower.want();
    await until('the fresh word', () => station.station.network().freshness.issuedAtMs === NOW + 1);
    expect(renewals).toBe(0);
    const other = await makeNetwork({ nowMs: NOW + 2 });
    const files = { ...fake.fresh(NOW + 2).files };
    const hub = other.files.certificates['dispatcher'];
    // Another member's certificate is none of ours.
    offered = bytesOf({ files: { ...files, certificates: { ...files.certificates, hub: hub ?? '' } } });
    follower.want();
    await until('the younger word', () => station.station.network().freshness.issuedAtMs === NOW + 2);
    expect(renewals).toBe(0);
    const { keys } = member('dispatcher');
    const renewed = { ...member('dispatcher'), keys: { ...keys, tls: publicOf(ed25519()) } };
    imported(fake.next({ issuedAtMs: NOW + 3, renewed: [{ member: renewed }] }));
    expect(renewals).toBe(1);
  });

  test.each<[string, () => Promise<Uint8Array> | Uint8Array, string]>([
    ['rolled back', () => bytesOf({ files: fake.files }), 'network.rollback'],
    [
      'forked',
      () => bytesOf(fake.fork({ revoked: [{ id: 'rita', reason: 'another story' }] })),
      'network.forked',
    ],
    ['of another network', async () => bytesOf(await makeNetwork()), 'network.mismatch'],
    ['too large', () => Buffer.alloc(NETWORK_BYTES_MAX + 1), 'input.too-large'],
    ['not a file', () => Buffer.from('{"v":2}'), 'input.malformed'],
    [
      'signed by others',
      async () => {
        const others = await makeNetwork();
        others.next({});
        return bytesOf({ files: { ...fake.files, members: others.next({}).files.members } });
      },
      'signature.invalid',
    ],
  ])('that is %s is refused, on record, and the station goes on with its own', async (_what, file, code) => {
    imported(fake.next({ issuedAtMs: NOW + 1 }));
    offered = await file();
    follower.want();
    await until('the refusal', () => entriesOf('rejects.counted').length > 0);
    expect(entriesOf('rejects.counted')[0]?.body).toMatchObject({ what: 'network', code });
    expect(currentNetwork(home).version).toBe(2);
    const hopId = accepted();
    visits.start(hopId);
    expect(await outcome(hopId)).toBe('released released');
  });

  test('that a dispatcher holds back stops new runs once the last word is stale, and lets them go on after', async () => {
    rig.clock.ms = NOW + 7 * DAY_MS;
    const train = { expiresMs: NOW + 20 * DAY_MS };
    const held = accepted({ ...train, title: 'held' }, { expiresMs: NOW + 20 * DAY_MS });
    visits.start(held);
    await until('the wait', () => visits.waitsFor(held) !== '');
    expect(visits.waitsFor(held)).toContain('too old');
    expect(stateOf(held)).toBe('received');
    expect(rig.executor.runs).toEqual([]);
    offered = bytesOf(fake.fresh(rig.clock.ms));
    follower.want();
    expect(await outcome(held)).toBe('released released');
  });

  test('that comes while a train is looked at is what it is verified under', async () => {
    const { open } = rig.datasets;
    rig.datasets.open = async (id) => {
      rig.datasets.open = open;
      await new Promise(setImmediate);
      imported(fake.next({ issuedAtMs: NOW + 1 }));
      return open(id);
    };
    const hopId = accepted();
    visits.start(hopId);
    expect(await outcome(hopId)).toBe('released released');
    expect(versions()).toEqual([1, 2]);
    expect(entriesOf('manifest.verified').map(({ body }) => body['networkVersion'])).toEqual([2]);
  });

  test("is asked for while the word that is here is a thief's, of the future", async () => {
    imported(fake.fresh(NOW + 365 * DAY_MS));
    const before = fetches;
    await until('another question', () => fetches > before + 1);
  });
});

function member(id: string): Member {
  const found = fake.network.members.get(id);
  if (found === undefined) throw new Error(`no ${id}`);
  return found;
}

describe('a train that waits for its turn', () => {
  beforeEach(() => begin());

  test('does not begin to run once the last word is stale, and does when there is a newer one', async () => {
    const late = { expiresMs: NOW + 20 * DAY_MS };
    const { promise, resolve } = Promise.withResolvers<void>();
    const answers = rig.executor.outcome;
    rig.executor.outcome = async (spec, signal) => {
      await promise;
      return answers(spec, signal);
    };
    const route = { pattern: 'parallel' as const, stops: ['north'], minStations: 1, deadlineMs: 20 * DAY_MS };
    const first = accepted({ ...late, route, title: 'first' }, late);
    visits.start(first);
    await until('a run', () => rig.executor.runs.length === 1);
    const second = accepted({ ...late, route, title: 'second' }, late);
    visits.start(second);
    await isIn(second, 'cleared');
    rig.clock.ms = NOW + 7 * DAY_MS;
    resolve();
    await until('the wait', () => visits.waitsFor(second).includes('too old'));
    expect(rig.executor.runs).toHaveLength(1);
    expect(entriesOf('run.started')).toHaveLength(1);
    expect(visits.waitsFor(first)).toContain('too old');
    expect(entriesOf('result.released')).toEqual([]);
    offered = bytesOf(fake.fresh(rig.clock.ms));
    follower.want();
    visits.start(first);
    expect(await outcome(first)).toBe('released released');
    expect(await outcome(second)).toBe('released released');
  });
});

describe('a statement of a later version', () => {
  beforeEach(() => begin());

  test('is neither an order nor a forgery until that version is here', async () => {
    await until('the first look', () => fetches > 0);
    const next = fake.next({ issuedAtMs: NOW + 1 });
    const pulled = ordered({}, { networkVersion: 2 });
    const { hops, log, witness } = station.store;
    const rejects = createRejects(station.station, log);
    const behind = () => follower.behind(true);
    expect(acceptOrder(pulled, station.station, { hops, rejects, witness, behind })).toBeNull();
    expect(entriesOf('rejects.counted')).toEqual([]);
    offered = bytesOf(next);
    await until('version 2', () => station.station.network().version === 2);
    // The dispatcher offers it anew on a new connection.
    expect(renewals).toBe(1);
    const hopId = station.accept(pulled) ?? '';
    visits.start(hopId);
    expect(await outcome(hopId)).toBe('released released');
  });

  test('may be the one that lists the key of the ledger in which an order stands', async () => {
    const next = ed25519();
    const dispatcher = fake.network.members.get('dispatcher');
    if (dispatcher === undefined) throw new Error('no dispatcher');
    const keys = { ...dispatcher.keys, log: publicOf(next) };
    const listed = fake.next({ issuedAtMs: NOW + 1, renewed: [{ member: { ...dispatcher, keys } }] });
    const pulled = ordered({}, { networkVersion: 1 });
    const { entry } = openEntryProof(pulled.proof, trustIn(listed.network, 'dispatcher', 'dispatcher'));
    const origin = ledgerOrigin(listed.network.id, 'dispatcher');
    const rotated = { ...pulled, proof: memoryLog(origin, signerOf(next)).prove(entry) };
    const { hops, witness } = station.store;
    const counted: string[] = [];
    const rejects = { count: (code: string) => void counted.push(code) };
    const accept = (order: typeof pulled, theirVersion: number) =>
      acceptOrder(order, station.station, {
        ...{ hops, witness, rejects, theirVersion },
        behind: () => follower.behind(true),
      });
    expect(accept(rotated, 2)).toBeNull();
    expect(counted).toEqual([]);
    // Of a dispatcher that has no later version either, or whatever else is wrong with it, it is a bad order.
    expect(accept(rotated, 1)).toBeNull();
    expect(accept({ ...pulled, proof: Buffer.from('{}') }, 2)).toBeNull();
    expect(counted).toEqual(['proof.invalid', 'proof.invalid']);
    offered = bytesOf(listed);
    await until('version 2', () => station.station.network().version === 2);
    expect(renewals).toBeGreaterThan(0);
    const hopId = station.accept(rotated) ?? '';
    visits.start(hopId);
    expect(await outcome(hopId)).toBe('released released');
  });

  test('makes its own hop wait, and no other', async () => {
    const late = accepted({ networkVersion: 2, title: 'late' });
    const other = accepted();
    for (const hopId of [late, other]) visits.start(hopId);
    expect(await outcome(other)).toBe('released released');
    await until('the wait', () => visits.waitsFor(late) !== '');
    expect(visits.waitsFor(late)).toContain('version 2');
    offered = bytesOf(fake.next({ issuedAtMs: NOW + 1 }));
    follower.want();
    expect(await outcome(late)).toBe('released released');
  });

  test('that never comes ends its hop with its order', async () => {
    const hopId = accepted({ networkVersion: 999 });
    visits.start(hopId);
    await until('the wait', () => visits.waitsFor(hopId) !== '');
    rig.clock.ms = NOW + 7 * DAY_MS;
    imported(fake.fresh(rig.clock.ms));
    expect(await outcome(hopId)).toBe('expired order.expired');
  });
});

describe('a revoked researcher', () => {
  beforeEach(() => begin());

  test('has his train refused while it waits for a person', async () => {
    rig.policy(ASK);
    const hopId = accepted();
    visits.start(hopId);
    await isIn(hopId, 'awaiting-clearance');
    imported(fake.without('rosa'));
    expect(await outcome(hopId)).toBe('refused signer.revoked');
    expect(rig.executor.runs).toEqual([]);
    const [receipt] = entriesOf('receipt.issued');
    expect(receipt?.body).toMatchObject({ outcome: 'refused', code: 'signer.revoked' });
    expect(versions()).toEqual([1, 2]);
  });

  test('has his container ended while it runs', async () => {
    rig.executor.outcome = (_spec, signal) =>
      new Promise((resolve) => {
        signal.addEventListener('abort', () => resolve({ ended: 'aborted', wallMs: 1, detail: '' }));
      });
    const hopId = accepted();
    visits.start(hopId);
    await until('a run', () => rig.executor.runs.length > 0);
    imported(fake.without('rosa'));
    expect(await outcome(hopId)).toBe('refused signer.revoked');
    expect(entriesOf('result.released')).toEqual([]);
  });

  test('has nothing released that the run has just brought', async () => {
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      imported(fake.without('rosa'));
      return answers(spec, signal);
    };
    const hopId = accepted();
    visits.start(hopId);
    expect(await outcome(hopId)).toBe('refused signer.revoked');
    expect(entriesOf('result.released')).toEqual([]);
  });

  test('does not come back by naming the version in which he still was a member', async () => {
    imported(fake.without('rosa'));
    const hopId = accepted({ networkVersion: 1 });
    visits.start(hopId);
    expect(await outcome(hopId)).toBe('refused signer.revoked');
  });

  test('is told so alone: who was to read the result is not', async () => {
    rig.policy(ASK);
    const hopId = accepted({ recipients: [{ member: 'rosa' }, { member: 'rita' }] });
    visits.start(hopId);
    await isIn(hopId, 'awaiting-clearance');
    imported(fake.without('rosa'));
    expect(await outcome(hopId)).toBe('refused signer.revoked');
    const [{ jwe } = { jwe: new Uint8Array() }] = receiptsOf(rig, hopId);
    const said = verifyExplanation(
      await openSealed(rig, jwe, 'rosa'),
      rig.settings.network,
      'north',
    ).predicate;
    expect(said.code).toBe('signer.revoked');
    await expect(openSealed(rig, jwe, 'rita')).rejects.toMatchObject({ code: 'envelope.invalid' });
  });
});

describe('others that are revoked', () => {
  beforeEach(() => begin());

  test.each<[string, string, Partial<Manifest>, { signedBy?: string }, string]>([
    [
      'a recipient',
      'rita',
      { recipients: [{ member: 'rosa' }, { member: 'rita' }] },
      {},
      'recipient.unknown',
    ],
    ['the dispatcher of its order', 'hub', {}, { signedBy: 'hub' }, 'signer.revoked'],
  ])('%s ends the train', async (_who, id, manifest, order, code) => {
    rig.policy(ASK);
    const hopId = accepted(manifest, order);
    visits.start(hopId);
    await isIn(hopId, 'awaiting-clearance');
    imported(fake.without(id));
    expect(await outcome(hopId)).toBe(`refused ${code}`);
  });

  test('another stop of the route takes nothing from this one', async () => {
    rig.policy(ASK);
    const route = {
      pattern: 'parallel' as const,
      stops: ['north', 'south'],
      minStations: 1,
      deadlineMs: DAY_MS,
    };
    const hopId = accepted({ route });
    visits.start(hopId);
    await isIn(hopId, 'awaiting-clearance');
    imported(fake.without('south'));
    rig.policy(PERMIT);
    visits.start(hopId);
    expect(await outcome(hopId)).toBe('released released');
  });
});

describe('keys that are renewed on the way', () => {
  beforeEach(() => begin());

  const renewed = (id: string): Member => {
    const found = member(id);
    return { ...found, keys: { ...found.keys, statement: publicOf(ed25519()) } };
  };

  test('leave what the former ones signed as good as it was', async () => {
    rig.policy(ASK);
    const hopId = accepted();
    visits.start(hopId);
    await isIn(hopId, 'awaiting-clearance');
    imported(fake.next({ renewed: [{ member: renewed('rosa') }, { member: renewed('dispatcher') }] }));
    rig.policy(PERMIT);
    visits.start(hopId);
    expect(await outcome(hopId)).toBe('released released');
  });

  test.each(['rosa', 'dispatcher'])('end it where the former ones of %s are in other hands', async (id) => {
    rig.policy(ASK);
    const hopId = accepted();
    visits.start(hopId);
    await isIn(hopId, 'awaiting-clearance');
    imported(fake.next({ renewed: [{ member: renewed(id), invalidAfterMs: NOW - 1 }] }));
    expect(await outcome(hopId)).toBe('refused signer.revoked');
  });
});

describe('a result that waits for witnesses', () => {
  const witnessing: Witnessing = { quorum: 2, faulty: 1, witnesses: ['dispatcher', 'north', 'south'] };
  beforeEach(() => begin({ witnessing, dispatchers: [] }));

  test.each([
    ['its researcher', 'rosa', 'signer.revoked'],
    ['a recipient', 'rita', 'recipient.unknown'],
  ])('never leaves once %s is revoked, and that is on record', async (_who, id, code) => {
    rig.cosign = async () => {
      throw new PhtError('witness.unreachable', 'waits for the witnesses');
    };
    const hopId = accepted({ recipients: [{ member: 'rosa' }, { member: 'rita' }] });
    visits.start(hopId);
    await isIn(hopId, 'awaiting-witness');
    imported(fake.without(id));
    expect(await outcome(hopId)).toBe(`refused ${code}`);
    const types = station.entries().map(({ type }) => type);
    expect(types.slice(-3)).toEqual(['network.changed', 'release.withdrawn', 'receipt.issued']);
  });
});

test('what a station says of its file when it asks is what it holds', async () => {
  await begin();
  expect(heldVersions(fake.network, 'north')).toMatchObject({ rootVersion: 1, networkVersion: 1 });
  expect(heldVersions(fake.network, 'nobody').certificateNotAfterMs).toBe(0n);
  expect(memberIn(fake, 'north').role).toBe('station');
});
