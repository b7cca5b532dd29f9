import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerEntry } from '../../src/model/ledger/entry.ts';
import { arms, freePort, type Journey, makeJourney } from './harness.ts';
import { ok, pht, until } from './processes.ts';
import { slowTrain } from './slow-train.ts';

type Listed = { trains: { trainId: string; state: string; stops: { station: string; state: string }[] }[] };

/** What the authority signs and hands to the dispatcher reaches every process within seconds, and ends what it must. */
describe('a membership that ends', () => {
  let journey: Journey;
  beforeAll(async () => {
    const dispatcherPort = await freePort();
    const stations = ['north', 'south'].map((id) => ({
      ...{ id, ...arms(61, 62) },
      policy: id === 'north' ? ('permit' as const) : ('ask' as const),
    }));
    journey = await makeJourney(stations, { dispatcherPort, witnesses: false });
    await writeFile(
      join(journey.home('net'), 'config.yaml'),
      `dispatchers: [{ id: dispatcher, address: '127.0.0.1:${dispatcherPort}' }]\n`,
    );
    await journey.startDispatcher();
    await Promise.all([journey.startStation('north'), journey.startStation('south')]);
    await journey.online(2);
  }, 180_000);
  afterAll(() => journey.close());

  const entries = (member: string): LedgerEntry[] => {
    const database = new DatabaseSync(join(journey.home(member), 'state.db'), { readOnly: true });
    try {
      const rows = database
        .prepare('SELECT CAST(bytes AS TEXT) AS text FROM ledger_entries ORDER BY idx')
        .all();
      return rows.map((row) => JSON.parse(String(row['text'])) as LedgerEntry);
    } finally {
      database.close();
    }
  };
  const versionsIn = (member: string): unknown[] =>
    entries(member)
      .filter(({ type }) => type === 'network.changed')
      .map(({ body }) => body['version']);
  const receiptIn = (station: string): unknown =>
    entries(station).findLast(({ type }) => type === 'receipt.issued')?.body['code'] ?? null;
  const authority = (...args: string[]): Promise<unknown> =>
    ok(journey.home('net'), ['network', ...args, '--give-out']);
  const versionOf = async (member: string): Promise<number> => {
    const file = JSON.parse(await readFile(join(journey.home(member), 'network.json'), 'utf8')) as {
      members: { payload: string };
    };
    const { predicate } = JSON.parse(Buffer.from(file.members.payload, 'base64').toString()) as {
      predicate: { networkVersion: number };
    };
    return predicate.networkVersion;
  };

  it('a fresh word travels to stations by itself, and is no new list', async () => {
    const before = await readFile(join(journey.home('north'), 'network.json'), 'utf8');
    const lists = versionsIn('north').length;
    await authority('freshen');
    await until('the word at north', async () => {
      const now = await readFile(join(journey.home('north'), 'network.json'), 'utf8');
      return now !== before;
    });
    expect(versionsIn('north')).toHaveLength(lists);
  }, 60_000);

  it('leaves trains, tracks and audits as they were while station and dispatcher renew their keys', async () => {
    for (const member of ['north', 'dispatcher'])
      await ok(journey.home(member), ['network', 'rotate', 'keys']);
    const renewals = ['north', 'dispatcher'].map((member) => join(journey.home(member), 'renewal.json'));
    const version = await versionOf('net');
    await authority('admit', ...renewals);
    await until('the list at both stations', async () => {
      const versions = await Promise.all(['north', 'south'].map(versionOf));
      return versions.every((each) => each === version + 1);
    });
    await journey.online(2);
    const { trainId } = await ok<{ trainId: string }>(journey.home('lee'), [
      ...['train', 'submit', 'trains/hello', '--stop', 'north', '--wait'],
    ]);
    const { stations } = await ok<{ stations: { state: string }[] }>(journey.home('lee'), [
      ...['train', 'result', trainId],
    ]);
    expect(stations).toMatchObject([{ station: 'north', state: 'released' }]);
    // Without a restart the logs go on with their new keys, behind the list that names them.
    for (const member of ['north', 'dispatcher']) {
      const types = entries(member).map(({ type }) => type);
      expect(types.filter((type) => type === 'log.rotated')).toHaveLength(1);
      expect(types.indexOf('log.rotated')).toBeGreaterThan(types.lastIndexOf('network.changed'));
      const told = (): string => journey.servers.get(member)?.log() ?? '';
      await until(`a new witness key of ${member}`, async () =>
        told().includes('a new witness key is in use'),
      );
    }
    const audit = await ok<{ findings: { severity: string }[] }>(journey.home('dpo'), ['audit', 'verify']);
    expect(audit.findings.filter(({ severity }) => severity !== 'warning')).toEqual([]);
  }, 120_000);

  it('ends a run, a wait, the journey and the connections of a researcher', async () => {
    const train = await slowTrain(journey.dir);
    const { trainId } = await ok<{ trainId: string }>(journey.home('lee'), [
      ...['train', 'submit', train, '--stop', 'north', '--stop', 'south'],
    ]);
    await until('a run at north and a wait at south', async () => {
      const { trains } = await ok<Listed>(journey.home('lee'), ['train', 'list']);
      const stops = trains.find((each) => each.trainId === trainId)?.stops ?? [];
      const states = Object.fromEntries(stops.map(({ station, state }) => [station, state]));
      return states['north'] === 'running' && states['south'] === 'awaiting-clearance';
    });
    const version = await versionOf('net');
    await authority('revoke', 'lee', '--reason', 'left the university');
    for (const station of ['north', 'south']) {
      await until(`the receipt of ${station}`, async () => receiptIn(station) === 'signer.revoked', 15_000);
      expect(versionsIn(station).at(-1)).toBe(version + 1);
      const ofTrain = entries(station).filter((entry) => entry.trainId === trainId);
      expect(ofTrain.map(({ type }) => type)).not.toContain('result.released');
    }
    await until('no container', async () => (await journey.containers()).length === 0, 10_000);
    expect(versionsIn('dispatcher').at(-1)).toBe(version + 1);
    const taken = entries('dispatcher').filter(({ type }) => type === 'train.cancelled');
    expect(taken.map(({ body }) => body['code'])).toEqual(['signer.revoked']);
    const refused = await pht(journey.home('lee'), ['train', 'list']);
    expect(refused.status).not.toBe(0);
    expect(refused.stdout + refused.stderr).toContain('forbidden');
  }, 120_000);

  it('of a station: the dispatcher cuts it off, and the others stay', async () => {
    await authority('revoke', 'south', '--reason', 'closed');
    await until('south to be cut off', async () => {
      const { connected } = await ok<{ connected: boolean }>(journey.home('south'), ['station', 'inbox']);
      return !connected;
    });
    const { stations } = await ok<{ stations: { station: string; online: boolean }[] }>(journey.home('dpo'), [
      ...['network', 'datasets'],
    ]);
    expect(stations.filter(({ online }) => online).map(({ station }) => station)).toEqual(['north']);
    const audit = await ok<{ findings: { severity: string }[] }>(journey.home('dpo'), ['audit', 'verify']);
    expect(audit.findings.filter(({ severity }) => severity !== 'warning')).toEqual([]);
  }, 60_000);
});
