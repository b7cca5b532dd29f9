import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { openCase } from '../../src/journey/admin/case.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig } from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/** A hop that has ended can still be looked at, whatever became of its manifest, the dataset or the policy. */

const NOW = Date.UTC(2026, 5, 1, 12);
const DAY_MS = 86_400_000;
const CONTEXT = {} as never;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({ admins: { nora: 'north' }, nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

async function ended(policy: string, dataset = 'cgd', laterMs = 0): Promise<string> {
  rig.policy(policy);
  const train = makeTrain(fake, rig.image.image, NOW, { dataset });
  const hopId = station.accept({ ...makeOrder(fake, train.digest, NOW), manifest: train.manifest }) ?? '';
  await station.visit(hopId);
  rig.clock.ms += laterMs;
  await station.visit(hopId);
  expect(station.store.hops.find(hopId)?.state).toBe('sealed');
  return hopId;
}

async function shownOf(hopId: string) {
  const shown = await station.admin.show({ $typeName: 'pht.v1.ShowRequest', hopId, config: false }, CONTEXT);
  const { caseFile = new Uint8Array(), manifest = new Uint8Array() } = shown;
  return openCase({ caseFile, manifest }, { station: 'north', network: rig.settings.network, nowMs: null });
}

test('after its manifest has expired', async () => {
  const hopId = await ended(ASK, 'cgd', 8 * DAY_MS);
  expect((await shownOf(hopId)).file).toMatchObject({
    manifest: { title: 'Hello' },
    researcher: { id: 'rosa' },
  });
});

test('by an admin of another station says whose agent this is', async () => {
  const hopId = await ended(PERMIT);
  const shown = await station.admin.show({ $typeName: 'pht.v1.ShowRequest', hopId, config: false }, CONTEXT);
  const { caseFile = new Uint8Array(), manifest = new Uint8Array() } = shown;
  const at = { station: 'south', network: rig.settings.network, nowMs: null };
  expect(() => openCase({ caseFile, manifest }, at)).toThrow(
    expect.objectContaining({ code: 'clearance.invalid', message: expect.stringContaining('for north') }),
  );
});

test('after its dataset has gone, and the policy with it', async () => {
  const hopId = await ended(PERMIT);
  rig.datasets.contents.delete('cgd');
  rig.policy('no policy');
  const { file } = await shownOf(hopId);
  expect(file.dataset).toEqual({ id: 'cgd', snapshotDigest: '' });
  expect(file.policyDigest).toBe('');
});

test('one that was refused at the door is listed with its researcher, title and dataset', async () => {
  const hopId = await ended(PERMIT, 'nowhere');
  const { entries } = await station.admin.inbox({ $typeName: 'pht.v1.InboxRequest', all: true }, CONTEXT);
  expect(entries).toMatchObject([
    { hopId, title: 'Hello', researcher: 'rosa', dataset: 'nowhere', code: 'dataset.unknown' },
  ]);
  expect((await shownOf(hopId)).file.manifest.dataset).toBe('nowhere');
});
