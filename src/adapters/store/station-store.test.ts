import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type FakeNetwork, makeNetwork } from '../../../test/fakes/network.ts';
import { makeImage, makeOrder, makeTrain } from '../../../test/fakes/trains.ts';
import { PhtError } from '../../model/error.ts';
import { hopEntryHead } from '../../model/hop.ts';
import { digestOf } from '../../model/id.ts';
import { decodeEntry } from '../../model/ledger/entry.ts';
import { verifyOrder } from '../../model/order.ts';
import type { Consumption, HopRecord } from '../../ports/station-store.ts';
import { openStationStore, type StationStore } from './station-store.ts';

const NOW = Date.UTC(2026, 5, 1, 12);
const CONFLICT = expect.objectContaining({ code: 'conflict' });

let fake: FakeNetwork;
let dir: string;
let store: StationStore;

beforeAll(async () => {
  fake = await makeNetwork({ nowMs: NOW });
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'station-store-'));
  store = openStationStore(join(dir, 'state.db'), 'north');
});
afterEach(() => {
  store.close();
  rmSync(dir, { recursive: true, force: true });
});

function accept(attempt = 1, epoch = attempt, title = 'Hello'): HopRecord {
  const train = makeTrain(fake, makeImage().image, NOW, { title });
  const { envelope } = makeOrder(fake, train.digest, NOW, { attempt, epoch });
  const order = verifyOrder(envelope, fake.network, 'north');
  return store.hops.accept(order, train.manifest, null, NOW);
}

const entry = (hop: HopRecord, type: 'policy.decided' | 'receipt.issued' = 'policy.decided') => ({
  type,
  ...hopEntryHead(hop),
  body: {},
});
const move = (hop: HopRecord, to: HopRecord['state'], consume: Consumption | null = null): HopRecord =>
  store.hops.move(hop, to, { nowMs: NOW, entries: [entry(hop)], consume });
const cleared = (hop: HopRecord): HopRecord => move(move(move(hop, 'inspected'), 'decided'), 'cleared');

function seal(
  hop: HopRecord,
  outcome: 'released' | 'failed' = 'released',
  guard: () => void = () => {},
): HopRecord {
  const receipt = Buffer.from(`receipt of ${hop.hopId}`);
  const code = outcome === 'released' ? 'released' : 'run.failed';
  const sealed = { outcome, code, receipt, receiptDigest: digestOf(receipt), jwe: Buffer.from('jwe') };
  return store.hops.seal(hop, sealed, [entry(hop, 'receipt.issued')], NOW, guard);
}

const types = (): string[] =>
  store.ledgerRows.read(0, store.ledgerRows.size()).map((bytes) => decodeEntry(bytes).type);

describe('taking orders on', () => {
  test('is one row, one entry and one message, however often the order comes', () => {
    const hop = accept();
    expect(accept()).toEqual(hop);
    expect(hop).toMatchObject({
      state: 'received',
      attempt: 1,
      epoch: 1,
      dispatcher: 'dispatcher',
      sealed: null,
    });
    expect(types()).toEqual(['order.received']);
    expect(store.outbox.waiting(9)).toMatchObject([
      { kind: 'progress', progress: 'received', ledgerSize: 1 },
    ]);
  });

  test('posts the receipt again when the hop has one, under its old key and once', () => {
    const hop = seal(cleared(accept()));
    const [receipt] = store.outbox.waiting(9).filter(({ kind }) => kind === 'receipt');
    for (const { key } of store.outbox.waiting(9)) store.outbox.done(key, NOW);
    expect(store.hops.find(hop.hopId)?.state).toBe('delivered');
    accept();
    accept();
    expect(store.outbox.waiting(9)).toEqual([receipt]);
    store.outbox.done(receipt?.key ?? '', NOW);
    expect(store.hops.find(hop.hopId)?.state).toBe('delivered');
  });
});

describe('moves', () => {
  test('compare and set: the second of two from one state finds a conflict and leaves nothing', () => {
    const hop = accept();
    move(hop, 'inspected');
    const before = store.ledgerRows.size();
    expect(() => move(hop, 'inspected')).toThrowError(CONFLICT);
    expect(() => seal(hop)).toThrowError(CONFLICT);
    expect(store.ledgerRows.size()).toBe(before);
    expect(store.hops.find(hop.hopId)?.state).toBe('inspected');
  });

  test('that are not in the table are refused', () => {
    const hop = accept();
    expect(() => move(hop, 'cleared')).toThrowError(CONFLICT);
    expect(() => move(hop, 'delivered')).toThrowError(CONFLICT);
  });

  test('with another epoch than the stored one are refused', () => {
    expect(() => move({ ...accept(), epoch: 2 }, 'inspected')).toThrowError(CONFLICT);
  });

  test('roll back whole when an entry cannot be written', () => {
    const hop = accept();
    const bad = { ...entry(hop), body: { text: 'line\nbreak' } };
    expect(() =>
      store.hops.move(hop, 'inspected', { nowMs: NOW, entries: [bad], progress: 'cleared' }),
    ).toThrowError(expect.objectContaining({ code: 'ledger.invalid' }));
    expect(store.hops.find(hop.hopId)?.state).toBe('received');
    expect(store.outbox.waiting(9)).toHaveLength(1);
  });

  test('keep earlier notes', () => {
    const hop = store.hops.move(accept(), 'inspected', {
      nowMs: NOW,
      entries: [],
      notes: { title: 'Hello' },
    });
    expect(
      store.hops.move(hop, 'decided', { nowMs: NOW, entries: [], notes: { verdict: 'ask' } }).notes,
    ).toEqual({
      title: 'Hello',
      verdict: 'ask',
    });
  });
});

describe('sealing', () => {
  test('a guard that throws rolls everything back', () => {
    const hop = cleared(accept());
    const size = store.ledgerRows.size();
    const late = new PhtError('deadline.passed', 'late');
    const guard = (): never => {
      throw late;
    };
    expect(() => seal(hop, 'released', guard)).toThrowError(late);
    expect(store.ledgerRows.size()).toBe(size);
    expect(store.hops.find(hop.hopId)).toMatchObject({ state: 'cleared', sealed: null });
    expect(seal(hop).sealed).toMatchObject({ outcome: 'released', ledgerSize: size + 1 });
  });

  test('one visit releases once, whatever the attempt', () => {
    const [first, second] = [cleared(accept(1)), cleared(accept(2))];
    seal(first);
    expect(() => seal(second)).toThrowError(expect.objectContaining({ code: 'replayed' }));
    expect(seal(second, 'failed').sealed?.outcome).toBe('failed');
    expect(seal(cleared(accept(1, 1, 'Another train'))).sealed?.outcome).toBe('released');
  });

  test('the open ones are told without what they carry', () => {
    const [sealed, waiting] = [seal(cleared(accept(1))), accept(1, 1, 'Another train')];
    const told = ({ hopId, trainId, manifestDigest, epoch, dispatcher, state, notes }: HopRecord) => {
      return { hopId, trainId, manifestDigest, epoch, dispatcher, state, notes };
    };
    const byId = (a: { hopId: string }, b: { hopId: string }) => a.hopId.localeCompare(b.hopId);
    expect(store.hops.open().sort(byId)).toEqual([sealed, waiting].map(told).sort(byId));
  });

  test('the receipt waits behind what was posted before it, and its acknowledgement delivers the hop', () => {
    const hop = seal(cleared(accept()));
    const waiting = store.outbox.waiting(9);
    expect(waiting.map(({ kind }) => kind)).toEqual(['progress', 'receipt']);
    expect(store.outbox.waiting(1)).toEqual(waiting.slice(0, 1));
    expect(waiting[1]).toMatchObject({ hopId: hop.hopId, ledgerSize: store.ledgerRows.size() });
    store.outbox.done(waiting[1]?.key ?? '', NOW);
    store.outbox.done('no such key', NOW);
    expect(store.hops.find(hop.hopId)?.state).toBe('delivered');
    expect(store.hops.open()).toEqual([]);
    expect(store.hops.list({ newest: 5 })).toHaveLength(1);
  });
});

describe('what stands in the way of a visit', () => {
  test('an open hop that came before, not one that comes after', () => {
    const [first, second] = [accept(1), accept(2)];
    expect(store.hops.rival(first)).toBeNull();
    expect(store.hops.rival(second)?.hopId).toBe(first.hopId);
    expect(store.hops.rival(accept(1, 1, 'Another train'))).toBeNull();
  });

  test('nothing once the earlier one ended without a release, unless its epoch is not passed', () => {
    const first = seal(cleared(accept(2)), 'failed');
    expect(store.hops.rival(accept(3))).toBeNull();
    expect(store.hops.rival(accept(1))?.hopId).toBe(first.hopId);
  });

  test('the release before anything else', () => {
    const first = cleared(accept(1));
    accept(2);
    seal(first);
    expect(store.hops.rival(accept(3))?.hopId).toBe(first.hopId);
  });
});

describe('clearances', () => {
  const envelope = Buffer.from('signed');
  const one: Consumption = { clearances: ['one'], terms: null };
  const INVALID = expect.objectContaining({ code: 'clearance.invalid' });
  const decided = (attempt: number, title?: string): HopRecord =>
    move(move(accept(attempt, attempt, title), 'inspected'), 'decided');

  test('are found for their case, in the order in which they came', () => {
    store.clearances.record('case', 'one', Buffer.from('first'), NOW);
    store.clearances.record('case', 'two', envelope, NOW);
    const found = store.clearances.find('case', 'hop');
    expect(found.map(({ digest }) => digest)).toEqual(['one', 'two']);
    expect(found[1]?.envelope).toEqual(new Uint8Array(envelope));
    expect(store.clearances.find('other', 'hop')).toEqual([]);
  });

  test('give one run, to one hop; that hop keeps it', () => {
    const [first, second] = [decided(1), decided(2)];
    store.clearances.record('case', 'one', envelope, NOW);
    const running = move(first, 'cleared', one);
    expect(store.clearances.find('case', first.hopId)).toHaveLength(1);
    expect(store.clearances.find('case', second.hopId)).toEqual([]);
    expect(store.clearances.isSpent('one', second.hopId)).toBe(true);
    expect(() => move(second, 'cleared', one)).toThrowError(INVALID);
    expect(store.hops.find(second.hopId)?.state).toBe('decided');
    expect(move(move(running, 'decided'), 'cleared', one).state).toBe('cleared');
  });

  test('of two persons are used up together, or neither is', () => {
    const [first, second] = [decided(1), decided(2)];
    for (const digest of ['one', 'two']) store.clearances.record('case', digest, envelope, NOW);
    move(first, 'cleared', { clearances: ['two'], terms: null });
    expect(() => move(second, 'cleared', { clearances: ['one', 'two'], terms: null })).toThrowError(INVALID);
    expect(store.clearances.isSpent('one', 'any')).toBe(false);
  });

  test('that were withdrawn are found no more and used no more', () => {
    const hop = decided(1);
    store.clearances.record('case', 'one', envelope, NOW);
    const size = store.ledgerRows.size();
    const entries = () => [entry(hop)];
    expect(store.clearances.withdraw('one', Buffer.from('word'), entries, NOW)).toBe(true);
    expect(store.clearances.withdraw('one', Buffer.from('again'), entries, NOW)).toBe(false);
    expect(store.ledgerRows.size()).toBe(size + 1);
    expect(store.clearances.find('case', hop.hopId)).toEqual([]);
    expect(store.clearances.statement('one')).toMatchObject({
      kind: 'clearance',
      withdrawal: new Uint8Array(Buffer.from('word')),
    });
    expect(store.clearances.statement('two')).toBeNull();
    expect(() => move(hop, 'cleared', one)).toThrowError(INVALID);
  });

  describe('that stand', () => {
    const terms = (runsMax: number): Consumption => ({
      clearances: ['one'],
      terms: { digest: 'terms', runsMax },
    });
    const standing = (digest = 'one') => ({
      ...{ digest, termsDigest: 'terms', researcher: 'rosa', dataset: 'cgd', approvals: 1, envelope },
    });

    test('are recorded once, with their entry', () => {
      const hop = decided(1);
      const size = store.ledgerRows.size();
      expect(store.clearances.recordStanding(standing(), () => [entry(hop)], NOW)).toBe(true);
      expect(store.clearances.recordStanding(standing(), () => [entry(hop)], NOW)).toBe(false);
      expect(store.ledgerRows.size()).toBe(size + 1);
      const about = { researcher: 'rosa', dataset: 'cgd' };
      expect(store.clearances.standing(about)).toMatchObject([
        { digest: 'one', runsUsed: 0, withdrawn: false },
      ]);
      expect(store.clearances.standing({ ...about, dataset: 'copd' })).toEqual([]);
    });

    test('give as many runs as they say, one for a train, whatever its attempts', () => {
      store.clearances.recordStanding(standing(), () => [], NOW);
      const [first, again] = [decided(1), decided(2)];
      const cleared = move(first, 'cleared', terms(2));
      expect(move(again, 'cleared', terms(2)).state).toBe('cleared');
      move(move(cleared, 'decided'), 'cleared', terms(2));
      move(decided(1, 'Second'), 'cleared', terms(2));
      const third = decided(1, 'Third');
      expect(() => move(third, 'cleared', terms(2))).toThrowError(INVALID);
      const left = (hop: HopRecord) => store.clearances.hasRun({ digest: 'terms', runsMax: 2 }, hop);
      expect([first, again, third].map(left)).toEqual([true, true, false]);
      expect(store.clearances.standing('all')).toMatchObject([{ runsUsed: 2 }]);
    });

    test('cover three attempts at a train with one run, and no fourth', () => {
      store.clearances.recordStanding(standing(), () => [], NOW);
      const attempts = [1, 2, 3, 4].map((attempt) => decided(attempt));
      const cleared = attempts.slice(0, 3).map((hop) => move(hop, 'cleared', terms(9)));
      const [, , , fourth] = attempts;
      if (fourth === undefined) throw new Error('no hop');
      expect(() => move(fourth, 'cleared', terms(9))).toThrowError(INVALID);
      // Those that were let go on still are, whatever came after them.
      for (const hop of cleared)
        expect(move(move(hop, 'decided'), 'cleared', terms(9)).state).toBe('cleared');
      const unknown = { manifestDigest: fourth.manifestDigest, round: 1 as const, hopId: '' };
      expect(store.clearances.hasRun({ digest: 'terms', runsMax: 9 }, unknown)).toBe(false);
      expect(store.clearances.standing('all')).toMatchObject([{ runsUsed: 1 }]);
    });

    test('stay with the hop that used them, however many attempts had come before it', () => {
      store.clearances.recordStanding(standing(), () => [], NOW);
      const [, , , , fifth] = [1, 2, 3, 4, 5].map((attempt) => decided(attempt));
      if (fifth === undefined) throw new Error('no hop');
      const cleared = move(fifth, 'cleared', terms(1));
      expect(move(move(cleared, 'decided'), 'cleared', terms(1)).state).toBe('cleared');
    });

    test('are used no more once withdrawn', () => {
      store.clearances.recordStanding(standing(), () => [], NOW);
      store.clearances.withdraw('one', envelope, () => [], NOW);
      expect(store.clearances.standing('all')).toMatchObject([{ withdrawn: true }]);
      const hop = decided(1);
      expect(() => move(hop, 'cleared', terms(9))).toThrowError(INVALID);
    });
  });

  test('tell what became of an image, beside the hop that asks', () => {
    const noted = (attempt: number, title: string, clearances: string[]): HopRecord =>
      store.hops.move(accept(attempt, attempt, title), 'inspected', {
        ...{ nowMs: NOW, entries: [], notes: { image: 'img', clearances, clearedAtMs: NOW + attempt } },
      });
    const first = noted(1, 'a', ['one']);
    noted(2, 'b', []);
    expect(store.clearances.image('img', first.hopId)).toMatchObject({ hops: 1, cleared: [] });
    expect(store.clearances.image('img', 'none')).toEqual({
      ...{ hops: 2, released: 0, refused: 0, firstSeenMs: NOW },
      cleared: [{ clearances: ['one'], clearedAtMs: NOW + 1 }],
    });
    expect(store.clearances.image('other', 'none')).toMatchObject({ hops: 0, firstSeenMs: null });
  });
});

test('the highest time seen never goes back', () => {
  const hop = accept();
  expect(store.log.highestMs()).toBe(NOW);
  store.hops.move(hop, 'inspected', { nowMs: NOW - 60_000, entries: [] });
  expect(store.log.highestMs()).toBe(NOW);
  const head = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
  store.log.append([{ type: 'rejects.counted', ...head, body: {} }], NOW + 1);
  expect(store.log.highestMs()).toBe(NOW + 1);
});

test('everything is there after closing and opening again', () => {
  const hop = seal(cleared(accept()));
  store.close();
  store = openStationStore(join(dir, 'state.db'), 'north');
  expect(store.hops.find(hop.hopId)).toEqual(hop);
});
