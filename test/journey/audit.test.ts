import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { arms, type Journey, makeJourney } from './harness.ts';
import { ok, pht, until } from './processes.ts';

/** What an auditor proves about a train that a person approved, and what anybody checks of it without any network. */

type Report = {
  verdict: string;
  findings: { code: string }[];
  openHops: unknown[];
  decisions: { recorded: number; replayed: number };
  clearancesByPersons: { recorded: number; checked: number };
};

describe('an auditor', () => {
  let journey: Journey;
  let trainId: string;
  beforeAll(async () => {
    journey = await makeJourney([{ id: 'north', policy: 'ask', ...arms(61, 62) }]);
    await journey.startDispatcher();
    await journey.startStation('north');
    await journey.online(1);
    const submit = ['train', 'submit', 'trains/hello', '--stop', 'north'];
    ({ trainId } = await ok<{ trainId: string }>(journey.home('lee'), submit));
    const socket = ['--socket', join(journey.home('north'), 'admin.sock')];
    const admin = journey.home('north-admin');
    const hopId = await until('a train to approve', async () => {
      const { hops } = await ok<{ hops: { hopId: string; state: string }[] }>(admin, [
        'station',
        'inbox',
        ...socket,
      ]);
      return hops.find(({ state }) => state === 'awaiting-clearance')?.hopId ?? null;
    });
    const shown = await ok<{ caseDigest: string }>(admin, ['station', 'show', hopId, ...socket]);
    const approve = [
      'station',
      'approve',
      hopId,
      '--reason',
      'fine',
      '--case',
      shown.caseDigest.slice(0, 32),
    ];
    await ok(admin, [...approve, ...socket]);
    await ok(journey.home('lee'), ['train', 'watch', trainId]);
    await until('all entries', async () => (await verify()).openHops.length === 0);
    await ok(admin, ['station', 'disclose', trainId, '--to', 'dpo', '--out', disclosure(), ...socket]);
  }, 180_000);
  afterAll(() => journey.close());

  const dpo = (): string => journey.home('dpo');
  const disclosure = (): string => join(dpo(), 'north.disclosure');
  const verify = async (...options: string[]): Promise<Report> =>
    (await pht<Report>(dpo(), ['audit', 'verify', ...options])).value;

  it('has decisions made again, and clearances checked, once the station has opened them', async () => {
    expect(await verify()).toMatchObject({
      decisions: { recorded: 1, replayed: 0 },
      clearancesByPersons: { recorded: 1, checked: 0 },
    });
    const report = await verify('--disclosure', disclosure());
    expect(report.findings.filter(({ code }) => code !== 'quorum.none')).toEqual([]);
    expect(report).toMatchObject({
      decisions: { recorded: 1, replayed: 1 },
      clearancesByPersons: { recorded: 1, checked: 1 },
    });
    const show = ['audit', 'show', trainId, '--disclosure', disclosure()];
    const { events } = await ok<{ events: { text: string }[] }>(dpo(), show);
    expect(events.map(({ text }) => text)).toContain('cleared in person by north-admin, signature checked');
  }, 60_000);

  it('goes on from the last audit', async () => {
    expect((await verify('--new')).findings.filter(({ code }) => code !== 'quorum.none')).toEqual([]);
  }, 60_000);

  it('hands out proofs and one archive that verify without any home', async () => {
    const out = join(dpo(), 'proofs');
    await ok(dpo(), ['audit', 'proof', trainId, '--out', out]);
    const files = readdirSync(out);
    expect(files.length).toBeGreaterThan(10);
    for (const file of files.slice(0, 3)) await ok(dpo(), ['audit', 'proof', '--check', join(out, file)]);
    const bundle = join(dpo(), 'train.tar');
    const made = ['audit', 'bundle', trainId, '--out', bundle, '--disclosure', disclosure()];
    const { networkId } = await ok<{ networkId: string }>(dpo(), made);
    const nowhere = join(dpo(), 'nowhere');
    const checked = ['audit', 'verify', '--bundle', bundle, '--network-id', networkId];
    const report = (await pht<Report>(nowhere, checked)).value;
    expect(report.findings.filter(({ code }) => code !== 'quorum.none')).toEqual([]);
    expect(report).toMatchObject({ decisions: { replayed: 1 }, clearancesByPersons: { checked: 1 } });
  }, 60_000);
});
