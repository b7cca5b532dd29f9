import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { signErasure } from '../../src/journey/admin/word.ts';
import { commitmentsIn } from '../../src/model/commitment.ts';
import { decisionsIn, openCommitments } from '../../src/model/disclosure.ts';
import { parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import { digestOf } from '../../src/model/id.ts';
import { openCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { leafHash, rootOfLeaves } from '../../src/model/ledger/merkle.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import {
  clearanceOf,
  decideOn,
  digestIn,
  endOf,
  standingOf,
  tookHop,
  waitingHop,
  withdrawalOf,
  withdrawWith,
} from '../fakes/approvals.ts';
import { type FakeNetwork, makeNetwork, memberIn, publicOf } from '../fakes/network.ts';
import { ASK, makeStation, type Process, type Rig, receiptsOf } from '../fakes/station.ts';
import {
  adminIn,
  approve,
  disclose,
  forget,
  forgetWith,
  ranTrain,
  readDisclosure,
  tookTrain,
} from '../fakes/words.ts';

/** A person can be forgotten, and the ledger verifies as before. */

const NOW = Date.UTC(2026, 5, 1, 12);
const CONTEXT = {} as never;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({
    admins: { nora: 'north', nils: 'north', sven: 'south' },
    auditors: ['carla'],
    nowMs: NOW,
  });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
});
afterEach(() => rig.close());

/** What an auditor recomputes from entries and public keys alone. @returns the size that the signed checkpoint has */
function verifiedSize(): number {
  const rows = station.store.ledgerRows;
  const origin = ledgerOrigin(fake.network.id, 'north');
  const key = logKey(origin, publicOf(memberIn(fake, 'north').keys.log));
  const text = readFileSync(join(rig.dir, 'ledger', 'checkpoint'));
  const { checkpoint } = openCheckpoint(text, { origin, logKeys: [key], witnessKeys: [] });
  const root = rootOfLeaves(rows.read(0, checkpoint.size).map(leafHash));
  expect(Buffer.from(root).equals(Buffer.from(checkpoint.root))).toBe(true);
  return checkpoint.size;
}

function diskText(): Buffer {
  const paths = ['state.db', 'state.db-wal'].map((name) => join(rig.dir, name));
  return Buffer.concat(paths.filter((path) => existsSync(path)).map((path) => readFileSync(path)));
}

/** The salts that open the commitments of one kind of entry. */
function saltsOf(type: string): { salt: Uint8Array; value: string }[] {
  const entries = station.entries().filter((entry) => entry.type === type);
  return entries.flatMap(commitmentsIn).flatMap(({ commitment }) => {
    const opening = station.store.archive.opening(commitment);
    return opening === null ? [] : [opening];
  });
}

describe('an admin', () => {
  test('is forgotten: the ledger is what it was, with one entry more, and verifies', async () => {
    await ranTrain(rig, station);
    const before = station.store.ledgerRows.read(0, station.store.ledgerRows.size());
    expect(await forget(rig, station, 'nora')).toMatchObject({ salts: 2, clearances: 1, open: 0 });
    await station.ledger.covered(before.length + 1);
    expect(verifiedSize()).toBe(before.length + 1);
    expect(station.store.ledgerRows.read(0, before.length)).toEqual(before);
    const last = station.entries().at(-1);
    expect(last).toMatchObject({ type: 'salts.erased', trainId: null, body: { count: 2 } });
    expect(JSON.stringify(last)).not.toContain('nora');
  });

  test('is in no disclosure any more: it says erased, and the rest still opens', async () => {
    const { trainId } = await ranTrain(rig, station);
    await forget(rig, station, 'nora');
    const disclosure = await readDisclosure(fake, await disclose(rig, station, { trainId, by: 'nils' }));
    expect(JSON.stringify(disclosure)).not.toContain('nora');
    const openings = disclosure.hops.flatMap((hop) => hop.openings);
    const erased = openings.filter((opening) => 'erased' in opening).map(({ name }) => name);
    expect(erased.sort()).toEqual(['byCommitment', 'clearanceCommitment']);
    expect(disclosure.hops[0]?.clearances).toEqual([]);
    expect(openCommitments(disclosure).size).toBe(openings.length - 2);
    expect(decisionsIn(disclosure)[0]?.request).toContain('"rosa"');
  });

  test('is gone from the disk: neither salt, nor name, nor signed decision, in the free space either', async () => {
    const { hopId } = await ranTrain(rig, station);
    const salts = saltsOf('clearance.recorded');
    const caseDigest = station.store.hops.find(hopId)?.notes.caseDigest ?? '';
    const signed = Buffer.from(station.store.clearances.find(caseDigest, hopId)[0]?.envelope ?? '');
    const traces = [
      ...salts.map(({ salt }) => Buffer.from(salt)),
      Buffer.from('nora'),
      signed.subarray(0, 300),
    ];
    expect(traces).toHaveLength(4);
    for (const trace of traces) expect(diskText().includes(trace)).toBe(true);
    await forget(rig, station, 'nora');
    for (const trace of traces) expect(diskText().includes(trace)).toBe(false);
  });

  test('keeps nothing of a later day: what is committed afterwards is new, and can be erased again', async () => {
    await ranTrain(rig, station);
    await forget(rig, station, 'nora');
    await ranTrain(rig, station, { title: 'Another' });
    expect(saltsOf('clearance.recorded').map(({ value }) => value)).toContain('nora');
    expect(await forget(rig, station, 'nora', 'nils')).toMatchObject({ salts: 2 });
    expect(await forget(rig, station, 'nora', 'nils')).toMatchObject({ salts: 0, clearances: 0 });
  });

  test("does not lose the decision on a train under way, and a colleague's stays", async () => {
    await ranTrain(rig, station, { by: 'nils' });
    const { hopId } = tookTrain(rig, station, { title: 'Another' });
    await station.visit(hopId);
    await approve(rig, station, hopId, 'nora');
    expect(await forget(rig, station, 'nora')).toMatchObject({ salts: 0, clearances: 0 });
    await station.visit(hopId);
    await station.post();
    expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'released' }]);
    expect(await forget(rig, station, 'nora')).toMatchObject({ salts: 2, clearances: 1 });
    expect(saltsOf('clearance.recorded').map(({ value }) => value)).toContain('nils');
  });

  test('a decision that was used stays used', async () => {
    rig.executor.outcome = () => ({ ended: 'failed', wallMs: 7 }) as never;
    const first = tookTrain(rig, station);
    await station.visit(first.hopId);
    const clearance = await approve(rig, station, first.hopId, 'nora');
    await station.visit(first.hopId);
    await station.post();
    await forget(rig, station, 'nora');
    const { hopId } = tookTrain(rig, station, { attempt: 2 });
    await station.visit(hopId);
    await expect(
      station.admin.decide({ $typeName: 'pht.v1.DecideRequest', hopId, clearance }, CONTEXT),
    ).rejects.toMatchObject({ code: 'clearance.invalid' });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(rig.executor.runs).toHaveLength(1);
  });
});

describe('a standing clearance', () => {
  async function stood(runs = 3): Promise<Uint8Array> {
    const hopId = await waitingHop(rig, station);
    const standing = await standingOf(rig, station, hopId, { runs });
    await decideOn(station, hopId, standing);
    expect(await endOf(rig, station, hopId)).toBe('released released');
    return standing;
  }
  const nonce = (digit: string) => ({ nonce: digit.repeat(32) });

  test.each(['nora', 'rosa'])('goes with %s, and with it every trace on the disk', async (member) => {
    await stood();
    const { termsDigest } = station.store.clearances.standing('all')[0] ?? {};
    expect(termsDigest).toMatch(/^[0-9a-f]{64}$/);
    await forget(rig, station, member, 'nils');
    expect(station.store.clearances.standing('all')).toEqual([]);
    expect(diskText().includes(member)).toBe(false);
    await waitingHop(rig, station, nonce('a'));
  });

  test('stays with a train that it cleared and that is under way', async () => {
    await stood();
    rig.lease = async () => {
      throw new PhtError('engine.unreachable', 'the engine is gone');
    };
    const hopId = await tookHop(rig, station, nonce('a'));
    await forget(rig, station, 'nora', 'nils');
    expect(station.store.clearances.standing('all')).toHaveLength(1);
    rig.lease = async () => undefined;
    expect(await endOf(rig, station, hopId)).toBe('released released');
    expect(await forget(rig, station, 'nora', 'nils')).toMatchObject({ clearances: 1 });
    expect(station.store.clearances.standing('all')).toEqual([]);
  });

  test('that comes again after it was erased has no run more than before', async () => {
    const standing = await stood(1);
    await forget(rig, station, 'nora', 'nils');
    const hopId = await waitingHop(rig, station, nonce('a'));
    await expect(decideOn(station, hopId, standing)).rejects.toMatchObject({ code: 'clearance.invalid' });
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(rig.executor.runs).toHaveLength(1);
  });
});

test('what was taken back stays so when whoever took it back is forgotten', async () => {
  const hopId = await waitingHop(rig, station);
  const clearance = await clearanceOf(rig, station, hopId);
  await decideOn(station, hopId, clearance);
  await withdrawWith(station, withdrawalOf(rig, digestIn(clearance), 'nils'));
  expect(diskText().includes('nils')).toBe(true);
  expect(await forget(rig, station, 'nils')).toMatchObject({ clearances: 1, salts: 3 });
  expect(diskText().includes('nils')).toBe(false);
  await expect(decideOn(station, hopId, clearance)).rejects.toMatchObject({ code: 'clearance.withdrawn' });
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
});

describe('a researcher', () => {
  test('is forgotten: request, answer, manifest and notes go', async () => {
    const { hopId, trainId } = await ranTrain(rig, station);
    expect(await forget(rig, station, 'rosa')).toMatchObject({ salts: 2, redacted: 1, open: 0 });
    const hop = station.store.hops.find(hopId);
    expect(hop?.manifest.byteLength).toBe(0);
    expect(JSON.stringify(hop?.notes)).not.toMatch(/rosa|Hello/);
    expect(diskText().includes('rosa')).toBe(false);
    const disclosure = await readDisclosure(fake, await disclose(rig, station, { trainId }));
    const [decision] = decisionsIn(disclosure);
    expect(decision).toMatchObject({ request: null, answer: null, policy: ASK });
    expect(disclosure.hops[0]?.clearances).toHaveLength(1);
    const { entries } = await station.admin.inbox({ $typeName: 'pht.v1.InboxRequest', all: true }, CONTEXT);
    expect(entries).toMatchObject([{ hopId, researcher: '', title: '(erased)' }]);
    await expect(
      station.admin.show({ $typeName: 'pht.v1.ShowRequest', hopId, config: false }, CONTEXT),
    ).rejects.toThrow(expect.objectContaining({ code: 'not-found' }));
  });

  test('the same order still gets the same receipt and runs nothing', async () => {
    const { hopId, pulled } = await ranTrain(rig, station);
    const [before] = receiptsOf(rig, hopId);
    await forget(rig, station, 'rosa');
    rig.handed.clear();
    expect(station.accept(pulled)).toBe(hopId);
    await station.visit(hopId);
    await station.post();
    expect(receiptsOf(rig, hopId)).toEqual([before]);
    expect(rig.executor.runs).toHaveLength(1);
  });

  test('a train under way runs on, and is forgotten after its end', async () => {
    const { hopId } = tookTrain(rig, station);
    await station.visit(hopId);
    expect(await forget(rig, station, 'rosa')).toMatchObject({ salts: 2, redacted: 0, open: 1 });
    await approve(rig, station, hopId, 'nora');
    await station.visit(hopId);
    await station.post();
    expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'released' }]);
    expect(await forget(rig, station, 'rosa')).toMatchObject({ redacted: 1, open: 0 });
  });

  test('one who has left the network is forgotten all the same', async () => {
    await ranTrain(rig, station);
    rig.settings.network = fake.without('rosa').network;
    expect(await forget(rig, station, 'rosa')).toMatchObject({ salts: 2, redacted: 1 });
  });
});

test('an auditor and who asked for the disclosure are forgotten, too', async () => {
  const { trainId } = await ranTrain(rig, station, { by: 'nils' });
  await disclose(rig, station, { trainId });
  expect(saltsOf('disclosure.made').map(({ value }) => value)).toEqual(['nora', 'carla']);
  expect(await forget(rig, station, 'carla')).toMatchObject({ salts: 1 });
  expect(await forget(rig, station, 'nora')).toMatchObject({ salts: 1 });
  expect(saltsOf('disclosure.made')).toEqual([]);
});

describe('refused, and nothing is erased', () => {
  const word = { station: 'north', member: 'nora', reason: 'out of spite' };
  const cases: [string, string, () => Uint8Array][] = [
    ["by another station's admin", 'signer.unknown', () => signErasure(word, adminIn(rig, 'sven'))],
    ['by the researcher', 'signer.unknown', () => signErasure(word, adminIn(rig, 'rosa'))],
    ['by the station itself', 'signer.unknown', () => signErasure(word, adminIn(rig, 'north'))],
    [
      "under an admin's name with another key",
      'signature.invalid',
      () => signErasure(word, { ...adminIn(rig, 'nils'), signer: memberIn(fake, 'sven').signer }),
    ],
    [
      'addressed to another station',
      'forbidden',
      () => signErasure({ ...word, station: 'south' }, adminIn(rig, 'nils')),
    ],
    [
      'of an hour ago',
      'conflict',
      () => signErasure(word, { ...adminIn(rig, 'nils'), nowMs: NOW - 3_600_000 }),
    ],
    ['that is no statement', 'input.malformed', () => Buffer.from('forget nora')],
  ];
  test.each(cases)('%s', async (_name, code, erasure) => {
    await ranTrain(rig, station);
    const salts = saltsOf('clearance.recorded');
    expect(salts).toHaveLength(2);
    await expect(forgetWith(station, erasure())).rejects.toThrow(expect.objectContaining({ code }));
    expect(saltsOf('clearance.recorded')).toEqual(salts);
    expect(station.entries().some(({ type }) => type === 'salts.erased')).toBe(false);
  });
});

test('nothing in the ledger lets a name or a small count be guessed', async () => {
  const { trainId, hopId } = await ranTrain(rig, station);
  const caseDigest = station.store.hops.find(hopId)?.notes.caseDigest ?? '';
  const signed = station.store.clearances.find(caseDigest, hopId)[0]?.envelope ?? new Uint8Array();
  rig.executor.outcome = () => ({ ended: 'failed', wallMs: 4711 }) as never;
  await ranTrain(rig, station, { title: 'Another', by: 'nils' });
  await disclose(rig, station, { trainId });
  await forget(rig, station, 'nils');

  const archived = station.entries().flatMap(commitmentsIn);
  const values = archived.flatMap(({ commitment }) => station.store.archive.opening(commitment)?.value ?? []);
  const guesses = [...fake.network.members.keys()].flatMap((id) => spellings(id, `"${id}"`));
  for (let count = 0; count <= 10_000; count++) {
    const exit = JSON.stringify({ ended: 'output', wallMs: count });
    guesses.push(...spellings(count, `"${count}"`, `[${count}]`, exit, `{"n":${count}}`));
  }
  // Whoever knows every word of a statement has not more than a guess either.
  guesses.push(
    ...values.flatMap((value) => spellings(value)),
    digestOf(payloadOf(parseEnvelope(signed, 'it'))),
  );
  const ledger = station
    .entries()
    .map((entry) => JSON.stringify(entry))
    .join('\n');
  const found = new Set(ledger.match(/[0-9a-f]{64}/g));
  expect(found.size).toBeGreaterThan(20);
  expect(values.length).toBeGreaterThan(8);
  expect(guesses.filter((guess) => found.has(guess))).toEqual([]);
  // The search itself finds what is there without salt.
  const [entry] = station.entries();
  expect(found.has(String(entry?.body['orderDigest']))).toBe(true);
  for (const id of ['rosa', 'nora', 'nils', 'carla']) expect(ledger).not.toContain(id);
});

/** Digests of a guess, also under salts that are none. */
function spellings(...values: (string | number)[]): string[] {
  return values.flatMap((value) => {
    const text = Buffer.from(String(value));
    return [text, Buffer.concat([Buffer.alloc(16), text]), Buffer.concat([text, Buffer.from('\n')])].map(
      digestOf,
    );
  });
}
