import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { replayDecision } from '../../src/adapters/policy/replay.ts';
import { type DisclosedLog, judgeDisclosure, type Opened } from '../../src/journey/auditor/disclosed.ts';
import { overspentTerms } from '../../src/journey/auditor/disclosed-terms.ts';
import { judgeWithdrawals } from '../../src/journey/auditor/disclosed-withdrawals.ts';
import { traceStation } from '../../src/journey/auditor/trace-station.ts';
import { commitmentOf } from '../../src/model/commitment.ts';
import { type Opening, verifyDisclosure } from '../../src/model/disclosure.ts';
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

async function shownOf(hopId: string, change = unchanged, network: Network = rig.settings.network) {
  const hop = station.store.hops.find(hopId);
  if (hop === null) throw new Error('no hop');
  const { trainId } = hop;
  const size = station.store.ledgerRows.size();
  const disclosure = verifyDisclosure(
    await envelopeFor(fake, await disclose(rig, station, { trainId })),
    rig.settings.network,
  );
  const entries = new Map(
    [...station.entries().entries()].filter(
      ([index, { trainId: of, type }]) => (of === trainId || type === 'clearance.withdrawn') && index < size,
    ),
  );
  const dated = new Map();
  const log: DisclosedLog = {
    ...{ entries: change(entries), size, whole: true, network, replay: replayDecision, dated },
  };
  return { disclosure, log };
}

async function judged(hopId: string, network: Network = rig.settings.network, change = unchanged) {
  const { disclosure, log } = await shownOf(hopId, change, network);
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

describe('the terms of a standing clearance', () => {
  async function standing(runs = 2): Promise<{ hopId: string; digest: string }> {
    const hopId = await waitingHop(rig, station);
    const signed = await standingOf(rig, station, hopId, { runs });
    await decideOn(station, hopId, signed);
    expect(await endOf(rig, station, hopId)).toBe('released released');
    return { hopId, digest: digestIn(signed) };
  }

  /** The log and the word of a station that had asked its policy about something else. */
  async function askedOtherwise(hopId: string, from: string, to: string) {
    const { disclosure, log } = await shownOf(hopId);
    const { predicate } = structuredClone({ predicate: disclosure.predicate });
    const entries = new Map(log.entries);
    for (const { decisions, openings } of predicate.hops) {
      for (const opening of openings) {
        if (opening.name !== 'requestCommitment' || 'erased' in opening) continue;
        expect(opening.value).toContain(from);
        opening.value = opening.value.replace(from, to);
        opening.commitment = commitmentOf(Buffer.from(opening.salt, 'hex'), opening.value);
        const entry = entries.get(opening.index);
        if (entry === undefined) throw new Error('no entry');
        entries.set(opening.index, {
          ...entry,
          body: { ...entry.body, requestCommitment: opening.commitment },
        });
        for (const decision of decisions)
          if (decision.index === opening.index) decision.requestCommitment = opening.commitment;
      }
    }
    return judgeDisclosure({ ...disclosure, predicate }, { ...log, entries }).findings;
  }

  test.each([
    ['image', (image: string) => [image, 'f'.repeat(64)], 'another image'],
    ['dataset', () => ['"dataset":"cgd"', '"dataset":"other"'], 'another dataset'],
    ['researcher', () => ['"id":"rosa"', '"id":"lee"'], 'another researcher'],
    ['recipients', () => ['"recipients":["rosa"]', '"recipients":["lee"]'], 'other recipients'],
    ['limits', () => ['"pidsMax":', '"pidsMax":4'], 'pidsMax'],
  ] as const)('that were not kept are found out: %s', async (_, swap, words) => {
    const { hopId } = await standing();
    const [from = '', to = ''] = swap(rig.image.image.configDigest);
    const found = (await askedOtherwise(hopId, from, to)).filter(
      ({ code }) => code === 'clearance.contradicted',
    );
    expect(found).toMatchObject([{ severity: 'misconduct', text: expect.stringContaining(words) }]);
  });

  test('of which nothing can be told convict nobody', async () => {
    const { hopId } = await standing();
    const found = await askedOtherwise(hopId, '"dataset":', '"data":');
    expect(found.map(({ code }) => code)).not.toContain('clearance.contradicted');
  });

  test('that allowed fewer runs than the disclosed trains used are found out', async () => {
    const { hopId } = await standing();
    const opened = async (each: string): Promise<Opened> => {
      const { disclosure, log } = await shownOf(each);
      return judgeDisclosure(disclosure, log);
    };
    const one = await opened(hopId);
    expect(one.standing).toMatchObject([{ runsMax: 2 }]);
    rig.clock.ms += 60_000;
    const two = await opened(await tookHop(rig, station, { nonce: 'f'.repeat(32) }));
    expect(overspentTerms([one, two, two])).toEqual([]);
    const three = { ...one, trainId: 'trn_333333333333333333333333' };
    expect(overspentTerms([one, two, three])).toMatchObject([
      {
        severity: 'misconduct',
        code: 'clearance.overspent',
        text: expect.stringContaining('3 of the disclosed'),
      },
    ]);
    expect(overspentTerms([one, two, { ...three, station: 'south' }])).toEqual([]);
    // Signed once more, as after a restore, the word has runs of its own.
    const [use] = three.standing;
    if (use === undefined) throw new Error('no standing clearance was used');
    expect(
      overspentTerms([one, two, { ...three, standing: [{ ...use, clearance: '0'.repeat(64) }] }]),
    ).toEqual([]);
  });

  test('of one that the station does not open are not passed over in silence', async () => {
    const { hopId } = await standing();
    const { disclosure, log } = await shownOf(hopId);
    const { predicate } = structuredClone({ predicate: disclosure.predicate });
    for (const hop of predicate.hops)
      hop.openings = hop.openings.filter(({ name }) => name !== 'clearanceCommitment');
    const { findings, checked } = judgeDisclosure({ ...disclosure, predicate }, log);
    expect(findings).toMatchObject([{ severity: 'warning', code: 'disclosure.incomplete' }]);
    expect(checked.size).toBe(0);
  });

  test('of one that was taken back later are shown with it, and nothing is wrong', async () => {
    const { hopId, digest } = await standing();
    await withdrawWith(station, withdrawalOf(rig, digest, 'nils'));
    const { disclosure, log } = await shownOf(hopId);
    const openings = disclosure.predicate.hops.flatMap((hop) => hop.openings);
    expect(openings).toContainEqual(expect.objectContaining({ name: 'withdrawnCommitment', value: digest }));
    expect(await judged(hopId)).toMatchObject({ codes: [], checked: 1 });
    // A bundle holds this train's entries alone.
    const own = new Map([...log.entries].filter(([, { trainId }]) => trainId !== null));
    expect(judgeDisclosure(disclosure, { ...log, entries: own, whole: false }).findings).toEqual([]);
    expect(judgeDisclosure(disclosure, { ...log, entries: own }).findings).toMatchObject([
      { code: 'disclosure.contradicted' },
    ]);
  });

  test('of one that had been taken back before it was used, or what ran by it left, are found out', async () => {
    const { hopId, digest } = await standing();
    await withdrawWith(station, withdrawalOf(rig, digest, 'nils'));
    const { disclosure, log } = await shownOf(hopId);
    const at = [...log.entries].findIndex(([, { type }]) => type === 'result.released');
    const found = (before: number) => {
      const order = [...log.entries];
      const [, gone] =
        order.splice(
          order.findIndex(([, { type }]) => type === 'clearance.withdrawn'),
          1,
        )[0] ?? [];
      if (gone === undefined) throw new Error('nothing was taken back');
      const index = (order[before]?.[0] ?? 0) - 0.5;
      const entries = new Map([...order, [index, gone] as const]);
      const { predicate } = structuredClone({ predicate: disclosure.predicate });
      for (const { openings } of predicate.hops)
        for (const opening of openings) if (opening.name === 'withdrawnCommitment') opening.index = index;
      return judgeDisclosure({ ...disclosure, predicate }, { ...log, entries }).findings;
    };
    const wrong = { severity: 'misconduct', code: 'clearance.contradicted' };
    expect(found(at)).toMatchObject([{ ...wrong, text: expect.stringContaining('released by it after') }]);
    expect(found(0)).toMatchObject([{ ...wrong, text: expect.stringContaining('was used after') }, wrong]);
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

test('a second word that takes a clearance back does not hide the first', () => {
  const entry = (type: string) => ({ type, hopId: type === 'clearance.withdrawn' ? null : 'hop' }) as never;
  const types = ['clearance.recorded', 'clearance.withdrawn', 'result.released', 'clearance.withdrawn'];
  const entries = new Map(types.map((type, index) => [index, entry(type)]));
  const opening = (index: number, name: string) => ({ index, name, value: 'c' }) as unknown as Opening;
  const shown = [
    opening(0, 'clearanceCommitment'),
    opening(1, 'withdrawnCommitment'),
    opening(3, 'withdrawnCommitment'),
  ];
  const wrong: number[] = [];
  const openings = new Map(shown.map((each) => [`${each.index} ${each.name}`, each]));
  judgeWithdrawals(openings, entries, (_severity, _code, index) => void wrong.push(index));
  expect(wrong).toEqual([2]);
});
