import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { replayDecision } from '../../src/adapters/policy/replay.ts';
import { type DisclosedLog, judgeDisclosure } from '../../src/journey/auditor/disclosed.ts';
import { traceStation } from '../../src/journey/auditor/trace-station.ts';
import { verifyDisclosure } from '../../src/model/disclosure.ts';
import { leafHash } from '../../src/model/ledger/merkle.ts';
import type { Network } from '../../src/model/network.ts';
import {
  ASK_TWO,
  approved,
  asPersons,
  decideOn,
  digestIn,
  endOf,
  standingOf,
  stateOf,
  tookHop,
  waitingHop,
  withdrawalOf,
  withdrawWith,
} from '../fakes/approvals.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { ASK, makeStation, type Process, type Rig } from '../fakes/station.ts';
import { disclose, envelopeFor } from '../fakes/words.ts';

/** What an auditor makes of two persons, of standing clearances and of what was taken back, at a real station. */

const NOW = Date.UTC(2026, 5, 1, 12);

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeEach(async () => {
  fake = await makeNetwork({
    admins: { nora: 'north', nils: 'north' },
    auditors: ['carla'],
    nowMs: NOW,
  });
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
});
afterEach(() => rig.close());

async function judged(hopId: string, network: Network = rig.settings.network, change = unchanged) {
  const hop = station.store.hops.find(hopId);
  if (hop === null) throw new Error('no hop');
  const { trainId } = hop;
  const size = station.store.ledgerRows.size();
  const disclosure = verifyDisclosure(
    await envelopeFor(fake, await disclose(rig, station, { trainId })),
    rig.settings.network,
  );
  const entries = new Map(
    [...station.entries().entries()].filter(([index, entry]) => entry.trainId === trainId && index < size),
  );
  const dated = new Map();
  const log: DisclosedLog = {
    ...{ entries: change(entries), size, whole: true, network, replay: replayDecision, dated },
  };
  const { findings, checked, persons } = judgeDisclosure(disclosure, log);
  return {
    codes: findings.map(({ code }) => code),
    checked: checked.size,
    persons: [...persons.values()].map((person) => (person.is === 'named' ? person.id : person.is)),
  };
}
const unchanged = (entries: DisclosedLog['entries']): DisclosedLog['entries'] => entries;

const nothingWrong = (): string[] => {
  const trace = traceStation('north');
  for (const [index, entry] of station.entries().entries())
    trace.take(index, entry, () => leafHash(Buffer.from(String(index))) as never);
  return trace.findings().map(({ code, text }) => `${code} ${text}`);
};

describe('two persons', () => {
  async function byTwo(): Promise<string> {
    rig.policy(ASK_TWO);
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    await station.visit(hopId);
    await approved(rig, station, hopId, { by: 'nils' });
    expect(await endOf(rig, station, hopId)).toBe('released released');
    return hopId;
  }

  test('are both named and checked', async () => {
    const hopId = await byTwo();
    expect(await judged(hopId)).toEqual({ codes: [], checked: 1, persons: ['nora and nils'] });
    expect(nothingWrong()).toEqual([]);
  });

  test('who are one are found out', async () => {
    const hopId = await byTwo();
    const network = asPersons(rig.settings.network, { nils: 'nora' });
    expect(await judged(hopId, network)).toMatchObject({ codes: ['release.without-clearance'], checked: 0 });
  });

  test('of whom the station shows one are found out', async () => {
    const hopId = await byTwo();
    const without: typeof unchanged = (entries) =>
      new Map(
        [...entries].map(([index, entry]) => {
          const { secondByCommitment: _by, secondClearanceCommitment: _clearance, ...body } = entry.body;
          return [index, { ...entry, body }];
        }),
      );
    const { codes, checked } = await judged(hopId, rig.settings.network, without);
    expect(codes).toContain('release.without-clearance');
    expect(checked).toBe(0);
  });
});

describe('a standing clearance', () => {
  test('is checked for each train that it cleared, also after its admin has left', async () => {
    const first = await waitingHop(rig, station);
    const standing = await standingOf(rig, station, first);
    await decideOn(station, first, standing);
    expect(await endOf(rig, station, first)).toBe('released released');
    rig.clock.ms += 60_000;
    const second = await tookHop(rig, station, { nonce: 'f'.repeat(32) });
    expect(stateOf(station, second)).toBe('sealed');
    for (const hopId of [first, second])
      expect(await judged(hopId)).toEqual({ codes: [], checked: 1, persons: ['nora'] });
    // Without witnesses only the log's own date says that she was an admin then.
    const left = fake.next({
      issuedAtMs: NOW + 3_600_000,
      revoked: [{ id: 'nora', reason: 'left' }],
    }).network;
    expect(await judged(second, left)).toMatchObject({ codes: ['revocation.unproven'], checked: 1 });
    expect(nothingWrong()).toEqual([]);
  });

  test('that the entry does not speak of is contradicted', async () => {
    const first = await waitingHop(rig, station);
    await decideOn(station, first, await standingOf(rig, station, first));
    expect(await endOf(rig, station, first)).toBe('released released');
    const silent: typeof unchanged = (entries) =>
      new Map(
        [...entries].map(([index, entry]) => {
          const { standing: _, ...body } = entry.body;
          return [index, { ...entry, body }];
        }),
      );
    const { codes } = await judged(first, rig.settings.network, silent);
    expect(codes).toEqual(['clearance.contradicted']);
  });
});

test('what was taken back leaves a sound log', async () => {
  const hopId = await waitingHop(rig, station);
  const standing = await standingOf(rig, station, hopId);
  await decideOn(station, hopId, standing);
  rig.executor.outcome = async () => {
    await withdrawWith(station, withdrawalOf(rig, digestIn(standing), 'nils'));
    return { ended: 'aborted', wallMs: 1, detail: '' };
  };
  expect(await endOf(rig, station, hopId)).toBe('refused clearance.withdrawn');
  expect(await judged(hopId)).toMatchObject({ codes: [], checked: 1 });
  expect(nothingWrong()).toEqual([]);
});
