import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { standingClearances } from '../../src/journey/station/standing.ts';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { type Digest, digestOf } from '../../src/model/id.ts';
import { type StandingPredicate, termsDigestOf } from '../../src/model/standing.ts';
import { signStatement } from '../../src/model/statement.ts';
import {
  approved,
  decideOn,
  digestIn,
  endOf,
  lastCounted,
  standingListed,
  standingOf,
  stateOf,
  tookHop,
  typesOf,
  type Wanted,
  waitingHop,
  withdrawalOf,
  withdrawWith,
} from '../fakes/approvals.ts';
import { type FakeNetwork, makeNetwork, memberIn, signerOf } from '../fakes/network.ts';
import { ASK, makeStation, type Process, type Rig } from '../fakes/station.ts';
import { makeImage, makeOrder, makeTrain } from '../fakes/trains.ts';

/** A person's word for trains to come: for what it says, as often as it says, and for nothing else. */

const NOW = Date.UTC(2026, 5, 1, 12);
const DAY_MS = 86_400_000;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeEach(async () => {
  fake = await makeNetwork({
    admins: { nora: 'north', nils: 'north', sven: 'south' },
    researchers: ['rosa', 'rolf'],
    auditors: ['carla'],
    nowMs: NOW,
  });
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
});
afterEach(() => rig.close());

const NONCE = (at: number): string => at.toString(16).padStart(32, '0');
let trains = 0;
/** Another train with the same everything. */
const another = (wanted: Wanted = {}): Wanted => ({ nonce: NONCE(++trains), ...wanted });

async function stood(runs = 2, scope: 'image' | 'code' = 'image'): Promise<Digest> {
  const first = await waitingHop(rig, station, another());
  const standing = await standingOf(rig, station, first, { runs, scope });
  await decideOn(station, first, standing);
  expect(await endOf(rig, station, first)).toBe('released released');
  return digestIn(standing);
}

test('it covers the hop that was looked at and the next, as often as it says', async () => {
  await stood(2);
  expect(await standingListed(station)).toEqual(['in-force 1']);
  const second = await tookHop(rig, station, another());
  expect(stateOf(station, second)).toBe('sealed');
  expect(await standingListed(station)).toEqual(['used-up 2']);
  const third = await waitingHop(rig, station, another());
  expect(await station.visit(third)).toEqual({ is: 'waiting' });
  expect(rig.executor.runs).toHaveLength(2);
  await approved(rig, station, third);
  expect(await endOf(rig, station, third)).toBe('released released');
});

test('the ledger says that a person cleared each, and neither who nor by what', async () => {
  const digest = await stood(2);
  await tookHop(rig, station, another());
  const entries = station.entries();
  const [standing] = entries.filter(({ type }) => type === 'clearance.standing');
  const cleared = entries.filter(({ type }) => type === 'clearance.recorded');
  expect(cleared.map(({ body }) => [body['by'], body['standing']])).toEqual([
    ['person', true],
    ['person', true],
  ]);
  for (const { body } of [standing ?? { body: {} }, ...cleared]) {
    expect(JSON.stringify(body)).not.toMatch(/nora|rosa/);
    expect(Object.values(body)).not.toContain(digest);
    const { clearanceCommitment, byCommitment } = body as Record<string, string>;
    expect(station.store.archive.opening(clearanceCommitment ?? '')?.value).toBe(digest);
    expect(station.store.archive.opening(byCommitment ?? '')?.value).toBe('nora');
  }
});

describe('a train that keeps one term not waits for a person', () => {
  const image = makeImage(['/other']);
  const limits = { memoryBytesMax: 65 * 1024 * 1024, cpuMillis: 1000, pidsMax: 16, wallMsMax: 30_000 };
  const rest = { outputBytesMax: 16 * 1024, scratchBytesMax: 1024 * 1024 };
  const cases: [string, Wanted][] = [
    ['another researcher', { signedBy: 'rolf', recipients: [{ member: 'rolf' }] }],
    ['another image', { image: image.image }],
    ['another reader', { recipients: [{ member: 'rosa' }, { member: 'carla' }] }],
    ['another use', { purpose: { text: 'Count the rows of a dataset.', duo: ['DUO:0000042'] } }],
    ['no use at all', { purpose: { text: 'Count the rows of a dataset.', duo: [] } }],
    ['another kind of output', { outputs: { schema: 'pht-result/v1', kinds: ['LinearAggregations'] } }],
    [
      'a further kind of output',
      { outputs: { schema: 'pht-result/v1', kinds: ['Frequencies', 'LinearAggregations'] } },
    ],
    ['more memory', { limits: { ...limits, ...rest } }],
    [
      'another smallest count',
      { outputs: { schema: 'pht-result/v1', kinds: ['Frequencies'], minCellCount: 6 } },
    ],
  ];
  test.each(cases)('%s', async (_name, wanted) => {
    for (const [digest, bytes] of image.blobs) rig.blobs.set(digest, bytes);
    await stood(5);
    const other = await waitingHop(rig, station, another(wanted));
    expect(await station.visit(other)).toEqual({ is: 'waiting' });
    expect(rig.executor.runs).toHaveLength(1);
  });

  test('another dataset', async () => {
    rig.datasets.contents.set('copd', 'status\n1\n');
    await stood(5);
    await waitingHop(rig, station, another({ dataset: 'copd' }));
  });

  test('less of everything needs nobody', async () => {
    await stood(5);
    const less = { ...limits, ...rest, memoryBytesMax: 32 * 1024 * 1024, wallMsMax: 10_000 };
    const hopId = await tookHop(rig, station, another({ limits: less, title: 'Smaller', parameters: {} }));
    expect(stateOf(station, hopId)).toBe('sealed');
  });

  test('a changed policy, then changed disclosure settings', async () => {
    await stood(5);
    rig.policy(`${ASK}\n// edited`);
    await waitingHop(rig, station, another());
    rig.policy(ASK);
    expect(stateOf(station, await tookHop(rig, station, another()))).toBe('sealed');
    rig.settings.disclosure = { ...rig.settings.disclosure, threshold: 20 };
    await waitingHop(rig, station, another());
  });

  test('after its end', async () => {
    const first = await waitingHop(rig, station, another());
    await decideOn(station, first, await standingOf(rig, station, first, { days: 2 }));
    expect(await endOf(rig, station, first)).toBe('released released');
    rig.clock.ms = NOW - (NOW % DAY_MS) + 2 * DAY_MS;
    await waitingHop(rig, station, another());
    expect(await standingListed(station)).toEqual(['expired 1']);
  });

  test('of an admin who has left', async () => {
    await stood(5);
    rig.settings.network = fake.without('nora').network;
    await waitingHop(rig, station, another());
    expect(await standingListed(station)).toEqual(['not-valid 1']);
  });

  test('once it was withdrawn, and also when it is shown again', async () => {
    const first = await waitingHop(rig, station, another());
    const standing = await standingOf(rig, station, first, { runs: 5 });
    await decideOn(station, first, standing);
    expect(await endOf(rig, station, first)).toBe('released released');
    expect(await withdrawWith(station, withdrawalOf(rig, digestIn(standing), 'nils'))).toEqual({ hops: 0 });
    const second = await waitingHop(rig, station, another());
    expect(await standingListed(station)).toEqual(['withdrawn 1']);
    await expect(decideOn(station, second, standing)).rejects.toMatchObject({ code: 'clearance.withdrawn' });
    expect(await station.visit(second)).toEqual({ is: 'waiting' });
  });
});

describe('its runs', () => {
  test('are never more than it says, also when two trains come at once', async () => {
    await stood(2);
    const hops = [1, 2, 3].map(() => tookHop(rig, station, another()));
    const states = (await Promise.all(hops)).map((hopId) => stateOf(station, hopId));
    expect(states.filter((state) => state === 'sealed')).toHaveLength(1);
    expect(rig.executor.runs).toHaveLength(2);
    expect(await standingListed(station)).toEqual(['used-up 2']);
  });

  test('of two hops that were both told yes before either was cleared: one', async () => {
    await stood(2);
    const [a, b] = await Promise.all([1, 2].map(() => decidedHop()));
    if (a === undefined || b === undefined) throw new Error('no hops');
    const outcomes = await Promise.allSettled([station.steps.clear(a), station.steps.clear(b)]);
    expect(outcomes.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    const refused = outcomes.find(({ status }) => status === 'rejected');
    expect(refused).toMatchObject({ reason: { code: 'clearance.invalid' } });
    expect(await standingListed(station)).toEqual(['used-up 2']);
  });

  async function decidedHop() {
    const hop = station.store.hops.find(accepted());
    if (hop === null) throw new Error('no hop');
    return station.steps.decide(await station.steps.inspect(hop));
  }

  function accepted(): string {
    const train = makeTrain(fake, rig.image.image, NOW, another());
    const order = makeOrder(fake, train.digest, NOW);
    return station.accept({ ...order, manifest: train.manifest }) ?? '';
  }

  test('are one for a train, however often its station starts anew', async () => {
    await stood(3);
    const stop = new AbortController();
    const answers = rig.executor.outcome;
    rig.executor.outcome = () => {
      stop.abort(new Error('stopping'));
      return { ended: 'aborted', wallMs: 1, detail: '' };
    };
    const hopId = accepted();
    await expect(station.visit(hopId, stop.signal)).rejects.toThrow();
    rig.executor.outcome = answers;
    station = rig.start();
    expect(await endOf(rig, station, hopId)).toBe('released released');
    expect(await standingListed(station)).toEqual(['in-force 2']);
  });

  test('are one for a train that failed and its further attempts, the third being the last', async () => {
    await stood(3);
    const answers = rig.executor.outcome;
    rig.executor.outcome = () => ({ ended: 'exit', wallMs: 1, detail: '1' });
    const wanted = another();
    for (const attempt of [1, 2, 3]) {
      const failed = await tookHop(rig, station, { ...wanted, attempt });
      expect(station.store.hops.find(failed)?.sealed?.code).toBe('run.failed');
    }
    expect(await standingListed(station)).toEqual(['in-force 2']);
    await waitingHop(rig, station, { ...wanted, attempt: 4 });
    rig.executor.outcome = answers;
    expect(stateOf(station, await tookHop(rig, station, another()))).toBe('sealed');
    expect(await standingListed(station)).toEqual(['used-up 3']);
  });

  test('of a used up clearance still cover another attempt at the train that used the last', async () => {
    await stood(2);
    const answers = rig.executor.outcome;
    rig.executor.outcome = () => ({ ended: 'exit', wallMs: 1, detail: '1' });
    const wanted = another();
    await tookHop(rig, station, wanted);
    expect(await standingListed(station)).toEqual(['used-up 2']);
    rig.executor.outcome = answers;
    const again = await tookHop(rig, station, { ...wanted, attempt: 2 });
    expect(await endOf(rig, station, again)).toBe('released released');
    expect(await standingListed(station)).toEqual(['used-up 2']);
    await waitingHop(rig, station, another());
  });

  test('cover no further attempt once the clearance was taken back or has ended', async () => {
    const digest = await stood(3);
    rig.executor.outcome = () => ({ ended: 'exit', wallMs: 1, detail: '1' });
    const wanted = another();
    await tookHop(rig, station, wanted);
    await withdrawWith(station, withdrawalOf(rig, digest));
    await waitingHop(rig, station, { ...wanted, attempt: 2 });
  });

  test('that are used up let nothing more be decided by the same statement', async () => {
    const first = await waitingHop(rig, station, another());
    const standing = await standingOf(rig, station, first, { runs: 1 });
    await decideOn(station, first, standing);
    expect(await endOf(rig, station, first)).toBe('released released');
    const second = await waitingHop(rig, station, another());
    await expect(decideOn(station, second, standing)).rejects.toMatchObject({ code: 'clearance.invalid' });
    expect(lastCounted(station)).toBe('clearance clearance.invalid');
  });
});

test('the same statement twice is one, with one entry', async () => {
  const first = await waitingHop(rig, station, another());
  const standing = await standingOf(rig, station, first);
  await decideOn(station, first, standing);
  await decideOn(station, first, standing);
  expect(typesOf(station).filter((type) => type === 'clearance.standing')).toHaveLength(1);
});

test('a list of them always fits in one answer, with those that count in it', async () => {
  await stood(5);
  const [record] = station.store.clearances.standing('all');
  if (record === undefined) throw new Error('no record');
  const spent = { ...record, withdrawn: true };
  const many = [...Array.from({ length: 5000 }, () => spent), record];
  const listed = standingClearances(station.station, { standing: () => many });
  expect(listed[0]?.state).toBe('in-force');
  expect(listed.length).toBeLessThan(many.length);
  const bytes = listed.reduce((sum, { statement }) => sum + statement.byteLength, 0);
  expect(bytes).toBeLessThan(4 * 1024 * 1024 - 64 * listed.length);
});

describe('over the code of an image', () => {
  /** The same layers and start, another config: built again on another day. */
  function rebuilt(changes: object) {
    const { image, blobs } = rig.image;
    const config = JSON.parse(Buffer.from(blobs.get(image.configDigest) ?? '').toString()) as object;
    return withConfig({ ...config, created: '2026-05-01T00:00:00Z', ...changes });
  }

  function withConfig(config: object) {
    const bytes = Buffer.from(JSON.stringify(config));
    const configDigest = digestOf(bytes);
    rig.blobs.set(configDigest, bytes);
    return { ...rig.image.image, configDigest, configBytes: bytes.byteLength };
  }

  test('an image that differs in nothing that runs needs nobody, one that starts otherwise does', async () => {
    await stood(5, 'code');
    const same = await tookHop(rig, station, another({ image: rebuilt({}) }));
    expect(stateOf(station, same)).toBe('sealed');
    const config = { Entrypoint: ['/evil'], Env: ['PATH=/bin'], WorkingDir: '/' };
    await waitingHop(rig, station, another({ image: rebuilt({ config }) }));
  });

  test('other layers below the same top one need a person', async () => {
    await stood(5, 'code');
    const under = Buffer.from('another libc');
    const diffId = digestOf(under);
    rig.blobs.set(diffId, under);
    const { layers } = rig.image.image;
    const diffIds = [diffId, ...layers.map((layer) => layer.diffId)];
    const image = rebuilt({ rootfs: { type: 'layers', diff_ids: diffIds.map((each) => `sha256:${each}`) } });
    const wide = { ...image, layers: [{ diffId, bytes: under.byteLength }, ...layers] };
    await waitingHop(rig, station, another({ image: wide }));
  });

  test('a layer below that is left out needs a person: it may have hidden what stands below it', async () => {
    const hiding = Buffer.from('a layer that removes what the one below brought');
    const diffId = digestOf(hiding);
    rig.blobs.set(diffId, hiding);
    const { layers } = rig.image.image;
    const rootfs = (all: typeof layers) => ({
      rootfs: { type: 'layers', diff_ids: all.map((each) => `sha256:${each.diffId}`) },
    });
    const [top] = layers.slice(-1);
    if (top === undefined) throw new Error('no layer');
    const whole = [...layers, { diffId, bytes: hiding.byteLength }, top];
    const first = await waitingHop(
      rig,
      station,
      another({ image: { ...rebuilt(rootfs(whole)), layers: whole } }),
    );
    await decideOn(station, first, await standingOf(rig, station, first, { runs: 5, scope: 'code' }));
    const left = [...layers, top];
    await waitingHop(rig, station, another({ image: { ...rebuilt(rootfs(left)), layers: left } }));
    const again = { created: '2026-05-02T00:00:00Z', ...rootfs(whole) };
    const same = await tookHop(rig, station, another({ image: { ...rebuilt(again), layers: whole } }));
    expect(stateOf(station, same)).not.toBe('awaiting-clearance');
  });

  test('without its config a person is asked, and the person alone', async () => {
    await stood(5, 'code');
    const image = rebuilt({});
    rig.blobs.delete(image.configDigest);
    const hopId = await waitingHop(rig, station, another({ image }));
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  });

  test('and its word for a code is none for a config that is another one', async () => {
    await stood(5, 'code');
    const image = rebuilt({});
    rig.blobs.set(image.configDigest, rig.image.blobs.get(rig.image.image.configDigest) ?? new Uint8Array());
    await waitingHop(rig, station, another({ image }));
  });
});

describe('a statement that is none', () => {
  async function forged(changes: object, by = 'nora', signer = memberIn(fake, by).signer) {
    const hopId = await waitingHop(rig, station, another());
    const good = JSON.parse(Buffer.from(await standingOf(rig, station, hopId)).toString()) as {
      payload: string;
    };
    const { predicate } = JSON.parse(Buffer.from(good.payload, 'base64').toString()) as {
      predicate: StandingPredicate;
    };
    const said = { ...predicate, issuer: by, ...changes };
    const subject = {
      name: 'terms',
      digest: (changes as { subject?: Digest }).subject ?? termsDigestOf(said),
    };
    const { subject: _, ...members } = said as StandingPredicate & { subject?: Digest };
    const bytes = encodeEnvelope(signStatement('standing', subject, members, signer).envelope);
    return { hopId, bytes };
  }

  const cases: [string, string, object, string?][] = [
    ["another station's admin", 'signer.unknown', {}, 'sven'],
    ['a researcher', 'signer.unknown', {}, 'rosa'],
    ['the station itself', 'signer.unknown', {}, 'north'],
    ['for another station', 'clearance.invalid', { station: 'south' }],
    ['in another network', 'network.mismatch', { networkId: 'f'.repeat(64) }],
    ['of tomorrow', 'clearance.invalid', { issuedAtMs: NOW + 10 * 60_000 }],
    ['of long ago', 'clearance.expired', { issuedAtMs: NOW - 9 * DAY_MS, expiresMs: NOW }],
    ['for longer than a year', 'clearance.invalid', { expiresMs: NOW + 367 * DAY_MS }],
    ['with other words than its subject', 'clearance.invalid', { subject: 'e'.repeat(64) }],
    ['for another researcher', 'clearance.invalid', { researcher: 'rolf' }],
    ['for another dataset', 'clearance.invalid', { dataset: 'copd' }],
    ['for less', 'clearance.invalid', { minCellCount: 3 }],
    ['for no runs', 'statement.malformed', { runsMax: 0 }],
    ['for too many runs', 'statement.malformed', { runsMax: 1001 }],
    ['readers out of order', 'statement.malformed', { recipients: ['rosa', 'carla'] }],
    ['a reader twice', 'statement.malformed', { recipients: ['rosa', 'rosa'] }],
    [
      'two scopes',
      'statement.malformed',
      { scope: { image: 'a'.repeat(64), code: 'b'.repeat(64), layers: [] } },
    ],
    ['a member nobody knows', 'statement.malformed', { also: 1 }],
    ['for another image', 'clearance.invalid', { scope: { image: 'a'.repeat(64) } }],
    ['for another code', 'clearance.invalid', { scope: { code: 'a'.repeat(64), layers: ['b'.repeat(64)] } }],
  ];
  test.each(cases)('%s: %s', async (_name, code, changes, by) => {
    const { hopId, bytes } = await forged(changes, by);
    await expect(decideOn(station, hopId, bytes)).rejects.toMatchObject({ code });
    expect(lastCounted(station)).toBe(`clearance ${code}`);
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(await standingListed(station)).toEqual([]);
  });

  test("with the right member's key for another use", async () => {
    const { hopId, bytes } = await forged({}, 'nora', signerOf(memberIn(fake, 'nora').keys.log));
    await expect(decideOn(station, hopId, bytes)).rejects.toMatchObject({ code: 'signature.invalid' });
    expect(lastCounted(station)).toBe('clearance signature.invalid');
  });
});

test('an attempt that has the run keeps it, and those after it count against none before', async () => {
  const train = another();
  const attempts: string[] = [];
  for (const attempt of [1, 2, 3]) {
    rig.policy('// nothing');
    attempts.push(await tookHop(rig, station, { ...train, attempt }));
  }
  rig.policy(ASK);
  const hopId = await waitingHop(rig, station, { ...train, attempt: 4 });
  await decideOn(station, hopId, await standingOf(rig, station, hopId, { runs: 1 }));
  await station.visit(hopId);
  expect(stateOf(station, hopId)).toBe('sealed');
  const [record] = station.store.clearances.standing('all');
  const terms = { digest: record?.termsDigest ?? '', runsMax: 1 };
  const { manifestDigest = '' as Digest } = station.store.hops.find(hopId) ?? {};
  const hasRun = (of: string): boolean =>
    station.store.clearances.hasRun(terms, { manifestDigest, round: 1, hopId: of });
  expect([...attempts, hopId].map(hasRun)).toEqual([true, true, true, true]);
  expect(hasRun('')).toBe(false);
});
