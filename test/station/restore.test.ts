import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import fc from 'fast-check';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openCase, signClearance } from '../../src/journey/admin/case.ts';
import { traceStation } from '../../src/journey/auditor/trace-station.ts';
import { type Prepared, prepareRestoration, type RestoreOptions } from '../../src/journey/station/restore.ts';
import { assertAnswered, seenHeads } from '../../src/journey/witness/seen.ts';
import { createStartCheck } from '../../src/journey/witness/start.ts';
import { PhtError } from '../../src/model/error.ts';
import { cosignCheckpoint, signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { decodeEntry, encodeEntry, type LedgerEntry } from '../../src/model/ledger/entry.ts';
import { leafHash, rootOfLeaves } from '../../src/model/ledger/merkle.ts';
import { addSignatures, formatNote, parseNote } from '../../src/model/ledger/note.ts';
import { ledgerOrigin, logKey, witnessKey } from '../../src/model/ledger/origin.ts';
import type { SeenAnswer } from '../../src/model/ledger/seen.ts';
import { ownLogKeys } from '../../src/model/past-keys.ts';
import { quorumRule } from '../../src/model/witnessing.ts';
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
import { type FakeNetwork, makeNetwork, memberIn, signerOf } from '../fakes/network.ts';
import { saysSeen } from '../fakes/seen.ts';
import {
  ASK,
  cosignedBy,
  makeStation,
  PERMIT,
  type Process,
  type Rig,
  receiptsOf,
} from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/** A station whose home came back from an old backup: it signs nothing, and gets its ledger back (protocol, section 7). */

const NOW = Date.UTC(2026, 5, 1, 12);
const WITNESSES = ['dispatcher', 'south'];
const never = new AbortController().signal;

/** What the world outside has seen of the ledger of `north`. */
type World = { text: Uint8Array; entries: Uint8Array[]; seen: Record<string, Uint8Array | PhtError> };

let fake: FakeNetwork;
let rig: Rig;
let station: Process;
let backup: string;
let world: World;

beforeAll(async () => {
  fake = await makeNetwork({
    nowMs: NOW,
    admins: { nora: 'north' },
    witnessing: { quorum: 2, faulty: 1, witnesses: ['dispatcher', 'north', 'south'] },
  });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  rig.cosign = cosignedBy(() => rig, ...WITNESSES);
  backup = mkdtempSync(join(tmpdir(), 'backup-'));
  station = rig.start();
});
afterEach(() => {
  rig.close();
  rmSync(backup, { recursive: true, force: true });
});

function ordered(title: string, overrides: Parameters<typeof makeOrder>[3] = {}) {
  const { digest, manifest } = makeTrain(fake, rig.image.image, NOW, { title });
  return { ...makeOrder(fake, digest, NOW, overrides), manifest };
}
type Ordered = ReturnType<typeof ordered>;

async function took({ order, manifest, proof }: Ordered): Promise<string> {
  const hopId = station.accept({ order, manifest, proof }) ?? '';
  await station.visit(hopId);
  return hopId;
}

async function showWorld(): Promise<void> {
  await station.witnessing.covered(station.store.ledgerRows.size(), never);
  const { size = 0, text = new Uint8Array() } = station.ledger.published() ?? {};
  const entries = station.store.ledgerRows.read(0, size);
  world = { text, entries, seen: Object.fromEntries(WITNESSES.map((id) => [id, text])) };
}

function backUp(): void {
  station.stop();
  cpSync(rig.dir, backup, { recursive: true });
  station = rig.start();
}

/** The old copy in place of the home, under the start-up rule. */
function restart(): void {
  station.stop();
  rmSync(rig.dir, { recursive: true });
  cpSync(backup, rig.dir, { recursive: true });
  rig.beforeSigning = startCheck;
  station = rig.start();
}

const relay = {
  seen: async (id: string, nonce: Uint8Array): Promise<SeenAnswer> => {
    const answer = world.seen[id] ?? new PhtError('witness.unreachable', 'x');
    if (answer instanceof PhtError) throw answer;
    return saysSeen(fake, id, 'north', nonce, answer);
  },
};
const note = (): void => undefined;

const logSigner = () => signerOf(memberIn(fake, 'north').keys.log);
const startCheck: Rig['beforeSigning'] = (tree) =>
  createStartCheck({
    member: 'north',
    network: () => fake.network,
    relay,
    publicJwk: logSigner().publicJwk,
    mirror: async () => world.text,
    signal: never,
    note,
  })(tree);

function prepare(more: Partial<RestoreOptions> = {}): Promise<Prepared | null> {
  const { publicJwk } = logSigner();
  const rule = quorumRule(fake.network, 'north');
  return prepareRestoration({
    member: 'north',
    network: fake.network,
    publicJwk,
    rows: station.store.ledgerRows,
    mirror: {
      checkpoint: async () => world.text,
      entries: async function* (_, first, end) {
        for (let at = first; at < end; at += 5) yield world.entries.slice(at, Math.min(end, at + 5));
      },
    },
    seen: async () => {
      if (rule === null) return [];
      const keys = ownLogKeys(fake.network, 'north', publicJwk);
      const { heads, silent } = await seenHeads(rule, keys, { relay, signal: never, note });
      assertAnswered(rule, silent);
      return heads;
    },
    inFolder: checkpointFile(),
    nowMs: rig.clock.ms,
    progress: () => undefined,
    ...more,
  });
}

function checkpointFile(): Uint8Array | null {
  const path = join(rig.dir, 'ledger', 'checkpoint');
  return existsSync(path) ? readFileSync(path) : null;
}

async function restored(): Promise<Prepared> {
  const prepared = await prepare();
  if (prepared === null) throw new Error('there was nothing to restore');
  expect(station.store.restoration.apply(prepared.restoration)).toBe(station.store.ledgerRows.size());
  station = rig.start();
  return prepared;
}

/** Every row of every table. */
function contents(): string {
  const database = new DatabaseSync(join(rig.dir, 'state.db'), { readOnly: true });
  try {
    const tables = database
      .prepare(`SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name`)
      .all();
    const rows = tables.map(({ name }) => [name, database.prepare(`SELECT * FROM ${String(name)}`).all()]);
    return JSON.stringify(rows, (_, value: unknown) =>
      value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value,
    );
  } finally {
    database.close();
  }
}

async function failure(work: Promise<unknown>): Promise<PhtError> {
  const thrown: unknown = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(thrown instanceof PhtError)) throw new Error(`no PhtError but ${String(thrown)}`);
  return thrown;
}

const stateOf = (hopId: string) => station.store.hops.find(hopId);
const typesOf = (hopId: string): string[] =>
  station.entries().flatMap((entry) => (entry.hopId === hopId ? [entry.type] : []));

/** One release before the backup, and after it: another, one of a hop that had come before, and a refusal. */
async function life() {
  const early = ordered('Early');
  await took(early);
  const waiting = ordered('Waiting');
  const waitingId = station.accept(waiting) ?? '';
  await showWorld();
  await station.post();
  backUp();
  rig.clock.ms += 60_000;
  const late = ordered('Late');
  const lateId = await took(late);
  await station.visit(waitingId);
  rig.policy('// nothing\n');
  const refused = ordered('Refused');
  const refusedId = await took(refused);
  rig.policy(PERMIT);
  await station.post();
  await showWorld();
  return { early, waiting, waitingId, late, lateId, refused, refusedId };
}

test('an old copy signs nothing; restored, it signs on from what the witnesses have seen', async () => {
  await life();
  const seen = world;
  rig.clock.ms += 60_000;
  restart();
  const before = station.store.ledgerRows.checkpoint()?.size ?? 0;
  const hopId = await took(ordered('After the backup'));
  expect((await failure(station.ledger.covered(station.store.ledgerRows.size()))).code).toBe(
    'ledger.inconsistent',
  );
  expect(station.store.ledgerRows.checkpoint()?.size).toBe(before);

  const { from, to } = await restored();
  expect([from, to]).toEqual([before, seen.entries.length]);
  await showWorld();
  expect(world.entries.slice(0, to)).toEqual(seen.entries);
  expect(await station.ledger.tree.rootAt(to)).toEqual(rootOfLeaves(seen.entries.map(leafHash)));
  const [, ...rest] = station.entries().slice(to);
  expect(rest.map(({ type, body }) => ({ type, ...body }))).toEqual([{ type: 'log.restored', from, to }]);
  // What had been taken on meanwhile was not lost, and starts over.
  expect(typesOf(hopId)).toEqual(['order.received']);
  await station.visit(hopId);
  await station.post();
  expect(receiptsOf(rig, hopId)).toMatchObject([{ outcome: 'released' }]);
  await showWorld();
  expect(await prepare(), 'and nothing is left to restore').toBeNull();
  expect(misconduct()).toEqual([]);
});

function misconduct(): unknown[] {
  const trace = traceStation('north');
  for (const [index, entry] of station.entries().entries()) {
    trace.take(index, entry, () => Buffer.from(leafHash(encodeEntry(entry))).toString('hex') as never);
  }
  return trace.findings();
}

describe('what happened after the backup', () => {
  test('is not released again, neither by the same order nor by another one', async () => {
    const { late, lateId, waiting, waitingId } = await life();
    const [first] = receiptsOf(rig, lateId);
    const runs = rig.executor.runs.length;
    restart();
    const { restoration } = await restored();
    expect(restoration.releases).toHaveLength(2);
    const refusals = rig.notes.length;
    for (const pulled of [late, waiting]) expect(station.accept(pulled)).toBeNull();
    expect(rig.notes.slice(refusals).map(({ detail }) => detail['code'])).toEqual(['replayed', 'replayed']);
    expect(station.entries().at(-1)).toMatchObject({ type: 'rejects.counted', body: { code: 'replayed' } });
    const again = await took(ordered('Late', { attempt: 2, epoch: 2 }));
    const waitingAgain = await took(ordered('Waiting', { attempt: 2, epoch: 2 }));
    await station.post();
    expect(receiptsOf(rig, again)).toMatchObject([{ outcome: 'refused', code: 'replayed' }]);
    expect(receiptsOf(rig, waitingAgain)).toMatchObject([{ outcome: 'refused', code: 'replayed' }]);
    expect(first?.outcome).toBe('released');
    expect(receiptsOf(rig, again)[0]?.quotes).toBe(stateOf(lateId)?.sealed?.receiptDigest);
    expect(rig.executor.runs, 'nothing ran for it').toHaveLength(runs);
    expect(stateOf(waitingId)).toMatchObject({ state: 'delivered', sealed: { outcome: 'released' } });
  });

  test('cannot be released even where nothing but the table of releases is left', async () => {
    const { lateId } = await life();
    restart();
    await restored();
    const database = new DatabaseSync(join(rig.dir, 'state.db'));
    database.exec(`DELETE FROM hops WHERE hop_id = '${lateId}'`);
    database.close();
    const again = await took(ordered('Late', { attempt: 2, epoch: 2 }));
    expect(stateOf(again)?.sealed).toMatchObject({ outcome: 'refused', code: 'replayed' });
  });

  test('a refusal stays one, and a newer order may try again', async () => {
    const { refused, refusedId } = await life();
    restart();
    await restored();
    expect(stateOf(refusedId)?.sealed).toMatchObject({ outcome: 'refused', code: 'policy.denied' });
    expect(station.accept(refused)).toBeNull();
    const again = await took(ordered('Refused', { attempt: 2, epoch: 2 }));
    expect(stateOf(again)?.sealed?.outcome).toBe('released');
    expect(misconduct()).toEqual([]);
  });

  test('its receipts are lost and never posted, and cannot be shown', async () => {
    const { lateId, waitingId } = await life();
    restart();
    await restored();
    rig.handed.clear();
    await station.post();
    const posted = [...rig.handed.values()].filter(({ receipt }) => receipt !== undefined);
    expect(posted.map(({ hopId }) => hopId)).not.toEqual(expect.arrayContaining([lateId]));
    expect(posted.map(({ hopId }) => hopId)).not.toEqual(expect.arrayContaining([waitingId]));
    const shown = station.admin.show(
      { $typeName: 'pht.v1.ShowRequest', hopId: lateId, config: false },
      {} as never,
    );
    expect(await failure(Promise.resolve(shown))).toMatchObject({
      code: 'not-found',
      message: expect.stringContaining('lost'),
    });
  });

  test('a release that waited for witnesses is withdrawn on record, and may be tried again', async () => {
    await showWorldAfterBackup();
    const cosign = rig.cosign;
    rig.cosign = async (ledger, signal) => {
      await cosign(ledger, signal);
      throw new PhtError('witness.unreachable', 'the answer was lost');
    };
    const order = ordered('Waits');
    const hopId = await took(order);
    rig.cosign = cosign;
    expect(stateOf(hopId)?.state).toBe('awaiting-witness');
    await showWorld();
    restart();
    const { restoration } = await restored();
    expect(restoration.releases).toEqual([]);
    expect(typesOf(hopId).at(-1)).toBe('release.withdrawn');
    expect(await took(order)).toBe(hopId);
    expect(stateOf(hopId)?.sealed?.outcome).toBe('released');
    expect(misconduct()).toEqual([]);
  });

  test('the clock does not go back behind it', async () => {
    await life();
    const highest = rig.clock.ms;
    restart();
    rig.clock.ms = NOW;
    await restored();
    expect(station.store.log.highestMs()).toBe(highest);
    restart();
    expect((await failure(prepare({ nowMs: highest - 400_000 }))).code).toBe('clock.untrusted');
  });

  test('a held result that nothing happened to is kept', async () => {
    const cosign = rig.cosign;
    rig.cosign = async () => {
      throw new PhtError('witness.unreachable', 'x');
    };
    const hopId = await took(ordered('Held'));
    rig.cosign = cosign;
    await showWorld();
    backUp();
    await took(ordered('Late'));
    await showWorld();
    restart();
    await restored();
    expect(stateOf(hopId)?.state).toBe('awaiting-witness');
    await station.visit(hopId);
    expect(stateOf(hopId)?.sealed?.outcome).toBe('released');
    expect(rig.executor.runs).toHaveLength(2);
  });

  async function showWorldAfterBackup(): Promise<void> {
    await took(ordered('Early'));
    await showWorld();
    backUp();
  }
});

test('what the old copy did with an ended hop, before it was restored, is forgotten', async () => {
  const { late, lateId, waitingId } = await life();
  restart();
  rig.policy('// nothing\n');
  // Nothing of this can be signed, so nothing of it has left.
  expect(await took(late)).toBe(lateId);
  rig.policy(PERMIT);
  await station.visit(waitingId);
  expect(stateOf(lateId)?.sealed).not.toBeNull();
  await expect(station.post()).rejects.toMatchObject({ code: 'ledger.inconsistent' });
  await restored();
  expect(typesOf(lateId).filter((type) => type === 'receipt.issued')).toHaveLength(1);
  expect(stateOf(lateId)?.sealed).toMatchObject({ outcome: 'released', jwe: null });
  expect(stateOf(waitingId)?.sealed).toMatchObject({ outcome: 'released', jwe: null });
  await showWorld();
  expect(misconduct()).toEqual([]);
});

test('what the old copy holds for its witnesses waits for the restoration, and is forgotten then', async () => {
  const { late, lateId } = await life();
  restart();
  expect(await took(late)).toBe(lateId);
  expect(stateOf(lateId)).toMatchObject({ state: 'awaiting-witness', sealed: null });
  await restored();
  expect(stateOf(lateId)?.sealed).toMatchObject({ outcome: 'released', jwe: null });
  await showWorld();
  expect(misconduct()).toEqual([]);
});

test('a home that lost everything but its keys gets all of it back', async () => {
  const { early, late } = await life();
  station.stop();
  for (const name of ['state.db', 'state.db-wal', 'state.db-shm', 'ledger']) {
    rmSync(join(rig.dir, name), { recursive: true, force: true });
  }
  rig.beforeSigning = startCheck;
  station = rig.start();
  expect((await restored()).from).toBe(0);
  for (const pulled of [early, late]) expect(station.accept(pulled)).toBeNull();
  await showWorld();
  expect(misconduct()).toEqual([]);
});

test('files that are ahead of the store do not keep it from being restored', async () => {
  await life();
  const files = mkdtempSync(join(tmpdir(), 'files-'));
  cpSync(join(rig.dir, 'ledger'), files, { recursive: true });
  restart();
  cpSync(files, join(rig.dir, 'ledger'), { recursive: true });
  rmSync(files, { recursive: true });
  expect((await failure(station.ledger.open())).code).toBe('ledger.inconsistent');
  await restored();
  await showWorld();
});

test('an approval that was used after the backup allows no second run', async () => {
  rig.policy(ASK);
  const first = ordered('Asks');
  const hopId = await took(first);
  await approve(hopId);
  await showWorld();
  backUp();
  rig.executor.outcome = () => ({ ended: 'exit', detail: 'x', wallMs: 1 });
  await station.visit(hopId);
  expect(stateOf(hopId)?.sealed?.outcome).toBe('failed');
  await showWorld();
  restart();
  const { restoration } = await restored();
  expect(restoration.runs).toHaveLength(1);
  const runs = rig.executor.runs.length;
  const again = await took(ordered('Asks', { attempt: 2, epoch: 2 }));
  expect(stateOf(again)?.state).toBe('awaiting-clearance');
  expect(rig.executor.runs).toHaveLength(runs);
});

async function approve(hopId: string): Promise<void> {
  const shown = await station.admin.show(
    { $typeName: 'pht.v1.ShowRequest', hopId, config: false },
    {} as never,
  );
  const { caseFile = new Uint8Array(), manifest = new Uint8Array() } = shown;
  const at = { station: 'north', network: fake.network, nowMs: rig.clock.ms };
  const admin = { id: 'nora', ...at, signer: memberIn(fake, 'nora').signer };
  const decision = { verdict: 'approve', reason: 'ethics 2026-17' } as const;
  const clearance = signClearance(openCase({ caseFile, manifest }, at), decision, admin);
  await station.admin.decide({ $typeName: 'pht.v1.DecideRequest', hopId, clearance }, {} as never);
}

test('an erasure, or a conflict, since the backup is told: what it was about cannot be restored', async () => {
  await took(ordered('Early'));
  await showWorld();
  backUp();
  const nothing = {
    trainId: null,
    hopId: null,
    attempt: null,
    epoch: null,
    manifestDigest: null,
    prev: null,
  };
  station.store.log.append([{ type: 'salts.erased', ...nothing, body: { count: 3 } }], rig.clock.ms);
  await showWorld();
  restart();
  expect((await restored()).since).toEqual({
    ...{ 'salts.erased': 1, 'trust.decided': 0, 'witness.conflict': 0 },
    ...{ 'clearance.standing': 0, 'clearance.withdrawn': 0 },
  });
});

describe('a standing clearance that is older than the backup', () => {
  const nonce = (digit: string) => ({ nonce: digit.repeat(32) });

  async function stood(runs: number): Promise<string> {
    rig.policy(ASK);
    const hopId = await waitingHop(rig, station);
    const standing = await standingOf(rig, station, hopId, { runs });
    await decideOn(station, hopId, standing);
    await station.visit(hopId);
    await showWorld();
    backUp();
    return digestIn(standing);
  }

  test('has lost the runs that were used since', async () => {
    await stood(3);
    expect(stateOf(await tookHop(rig, station, nonce('a')))?.state).toBe('sealed');
    await showWorld();
    restart();
    expect((await restored()).restoration.runs).toMatchObject([{ standing: true }]);
    expect(station.store.clearances.standing('all')).toMatchObject([{ runsUsed: 2 }]);
    expect(stateOf(await tookHop(rig, station, nonce('b')))?.state).toBe('sealed');
    await waitingHop(rig, station, nonce('c'));
  });

  test('allows nothing when anything was taken back since: nobody can tell what', async () => {
    const digest = await stood(3);
    await withdrawWith(station, withdrawalOf(rig, digest));
    await showWorld();
    restart();
    const { since } = await restored();
    expect(since['clearance.withdrawn']).toBe(1);
    expect(station.store.clearances.standing('all')).toMatchObject([{ withdrawn: true }]);
    await waitingHop(rig, station, nonce('b'));
  });
});

describe('what was signed after the backup', () => {
  const back = { code: 'clearance.invalid', message: expect.stringContaining('lost, with its backup') };
  const later = () => {
    rig.clock.ms += 11 * 60_000;
  };

  async function old(): Promise<void> {
    rig.policy(ASK);
    await took(ordered('Early'));
    await showWorld();
    backUp();
  }

  test.each(['clearance', 'standing'] as const)(
    'and taken back allows nothing when it is sent again: %s',
    async (kind) => {
      await old();
      const hopId = await waitingHop(rig, station);
      const sign = (): Promise<Uint8Array> =>
        kind === 'standing' ? standingOf(rig, station, hopId) : clearanceOf(rig, station, hopId);
      const signed = await sign();
      await decideOn(station, hopId, signed);
      await withdrawWith(station, withdrawalOf(rig, digestIn(signed)));
      await showWorld();
      restart();
      expect((await restored()).since['clearance.withdrawn']).toBe(1);
      expect(await waitingHop(rig, station)).toBe(hopId);
      await expect(decideOn(station, hopId, signed)).rejects.toMatchObject(back);
      later();
      await expect(decideOn(station, hopId, signed)).rejects.toMatchObject(back);
      await decideOn(station, hopId, await sign());
      expect(await endOf(rig, station, hopId)).toBe('released released');
    },
  );

  test('and used allows no second run when it is sent again', async () => {
    await old();
    const hopId = await waitingHop(rig, station);
    const signed = await standingOf(rig, station, hopId, { runs: 1 });
    await decideOn(station, hopId, signed);
    expect(await endOf(rig, station, hopId)).toBe('released released');
    await showWorld();
    restart();
    expect((await restored()).restoration).toMatchObject({ runs: [{ hopId }], voided: false });
    const next = await waitingHop(rig, station, { nonce: 'b'.repeat(32) });
    await expect(decideOn(station, next, signed)).rejects.toMatchObject(back);
  });

  test('and neither used nor taken back is taken again', async () => {
    await old();
    const hopId = await waitingHop(rig, station);
    const signed = await clearanceOf(rig, station, hopId);
    await decideOn(station, hopId, signed);
    await showWorld();
    restart();
    await restored();
    expect(await waitingHop(rig, station)).toBe(hopId);
    await decideOn(station, hopId, signed);
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });
});

describe("an admin's no that was lost", () => {
  /** Approved and rejected by the same person; `known`: the approval is older than the backup. */
  async function refused(known: boolean): Promise<Uint8Array> {
    rig.policy(ASK);
    await took(ordered('Early'));
    if (!known) await showWorld();
    if (!known) backUp();
    const hopId = await waitingHop(rig, station);
    const approval = await clearanceOf(rig, station, hopId);
    await decideOn(station, hopId, approval);
    if (known) await showWorld();
    if (known) backUp();
    await decideOn(station, hopId, await clearanceOf(rig, station, hopId, { verdict: 'reject' }));
    expect(await endOf(rig, station, hopId)).toBe('refused clearance.rejected');
    await showWorld();
    restart();
    await restored();
    return approval;
  }

  test('is not outlived by the approval before it', async () => {
    await refused(true);
    await waitingHop(rig, station, { attempt: 2 });
    expect(rig.executor.runs).toEqual([]);
  });

  test('is not undone by the approval before it, sent again', async () => {
    const approval = await refused(false);
    const hopId = await waitingHop(rig, station, { attempt: 2 });
    await expect(decideOn(station, hopId, approval)).rejects.toMatchObject({ code: 'clearance.invalid' });
    // The clocks of both may have been off by the skew.
    rig.clock.ms += 9 * 60_000;
    const early = await clearanceOf(rig, station, hopId);
    await expect(decideOn(station, hopId, early)).rejects.toMatchObject({ code: 'clearance.invalid' });
    rig.clock.ms += 2 * 60_000;
    await decideOn(station, hopId, await clearanceOf(rig, station, hopId));
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });
});

describe('in a network without a quorum', () => {
  let kept: FakeNetwork;
  beforeEach(async () => {
    kept = fake;
    rig.close();
    fake = await makeNetwork({ nowMs: NOW, admins: { nora: 'north' } });
    rig = makeStation(fake, NOW);
    station = rig.start();
  });
  afterEach(() => {
    fake = kept;
  });

  test('the mirror alone says what was signed', async () => {
    const { late, lateId } = await life();
    const { entries } = world;
    restart();
    station.accept(ordered('Meanwhile'));
    expect((await failure(station.ledger.covered(station.store.ledgerRows.size()))).code).toBe(
      'ledger.inconsistent',
    );
    await restored();
    expect(station.ledger.published()?.size).toBe(entries.length);
    expect(station.accept(late)).toBeNull();
    expect(stateOf(lateId)?.sealed?.outcome).toBe('released');
    await showWorld();
    expect(world.entries.slice(0, entries.length)).toEqual(entries);
    expect(misconduct()).toEqual([]);
  });
});

describe('changes nothing', () => {
  let before: string;
  beforeEach(async () => {
    await life();
    restart();
    before = contents();
  });
  const refused = async (more: Partial<RestoreOptions> = {}): Promise<PhtError> => {
    const error = await failure(prepare(more));
    expect(contents()).toBe(before);
    return error;
  };
  const altered = (at: number, change: (entry: LedgerEntry) => LedgerEntry): void => {
    const bytes = world.entries[at];
    if (bytes === undefined) throw new Error(`there is no entry ${at}`);
    world.entries[at] = encodeEntry(change(decodeEntry(bytes)));
  };
  const last = (): number => world.entries.length - 1;

  test('with a mirror that alters an entry', async () => {
    altered(last(), (entry) => ({ ...entry, ts: entry.ts + 1 }));
    expect(await refused()).toMatchObject({
      code: 'ledger.inconsistent',
      message: expect.stringContaining('not what this station signed'),
    });
  });

  test('with any byte of any mirrored entry changed', async () => {
    const honest = world.entries;
    const from = station.store.ledgerRows.checkpoint()?.size ?? 0;
    const anywhere = fc.tuple(
      fc.integer({ min: from, max: last() }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
    );
    await fc.assert(
      fc.asyncProperty(anywhere, async ([at, offset, change]) => {
        world.entries = honest.map((bytes, index) => {
          if (index !== at) return bytes;
          const changed = Uint8Array.from(bytes);
          const place = offset % changed.length;
          changed[place] = (changed[place] ?? 0) ^ change;
          return changed;
        });
        expect(['ledger.inconsistent', 'ledger.invalid']).toContain((await failure(prepare())).code);
      }),
      { numRuns: 60 },
    );
    expect(contents()).toBe(before);
  });

  test('with a mirror that gives an entry of somebody else, or none at all', async () => {
    altered(last(), (entry) => ({ ...entry, actor: 'south' }));
    expect((await refused()).code).toBe('ledger.invalid');
    world.entries[last()] = Buffer.from('{}');
    expect((await refused()).code).toBe('ledger.invalid');
  });

  test('with a mirror that ends early, or does not end', async () => {
    const { entries } = world;
    world.entries = entries.slice(0, -1);
    expect(await refused()).toMatchObject({
      code: 'ledger.inconsistent',
      message: expect.stringMatching(/less/),
    });
    world.entries = [...entries, ...entries];
    const all = async function* () {
      yield world.entries;
    };
    const mirror = { checkpoint: async () => world.text, entries: all };
    expect(await refused({ mirror })).toMatchObject({ message: expect.stringMatching(/gave more/) });
  });

  test('with a mirror that is behind a witness, or has nothing', async () => {
    const size = world.entries.length - 3;
    const old = head(world.entries.slice(0, size));
    const behind = { checkpoint: async () => old, entries: async function* () {} };
    expect(await refused({ mirror: behind })).toMatchObject({
      code: 'ledger.inconsistent',
      message: expect.stringMatching(new RegExp(`has seen ${size + 3} entries.*only ${size}`)),
      hint: expect.stringContaining('newest backup'),
    });
    const none = { checkpoint: async () => null, entries: async function* () {} };
    expect((await refused({ mirror: none })).code).toBe('ledger.inconsistent');
  });

  test('with a mirror of another ledger, or one that somebody else signed', async () => {
    world.text = head(world.entries, 'south');
    expect((await refused()).code).toBe('signer.unknown');
    const text = Buffer.from(world.text).toString();
    world.text = Buffer.from(text.replaceAll('/south', '/north'));
    expect((await refused()).code).toBe('signer.unknown');
  });

  test('where a witness has seen other entries: two copies have signed', async () => {
    const other = [...world.entries.slice(0, -1), encodeEntry(decodeEntry(world.entries[0] ?? Buffer.of()))];
    world.seen['south'] = head(other);
    expect(await refused()).toMatchObject({
      code: 'ledger.inconsistent',
      message: expect.stringMatching(/^south has seen other entries/),
      hint: expect.stringContaining('two copies'),
    });
  });

  test('while too few witnesses answer, or with what they did not sign', async () => {
    world.seen['south'] = new PhtError('witness.unreachable', 'x');
    expect((await refused()).code).toBe('ledger.unchecked');
    world.seen['south'] = head(world.entries, 'north', []);
    expect((await refused()).code).toBe('ledger.unchecked');
  });

  test('where the files of this home are ahead of the mirror', async () => {
    const more = head([...world.entries, Buffer.from('one more')]);
    expect(await refused({ inFolder: more })).toMatchObject({
      code: 'ledger.inconsistent',
      message: expect.stringContaining('folder of ledger files'),
    });
  });

  test('where this home has signed more than the mirror has', async () => {
    const size = (station.store.ledgerRows.checkpoint()?.size ?? 0) - 1;
    world.entries = world.entries.slice(0, size);
    world.text = head(world.entries);
    for (const id of WITNESSES) world.seen[id] = world.text;
    expect(await refused()).toMatchObject({
      code: 'ledger.inconsistent',
      message: expect.stringContaining('cannot restore'),
    });
  });

  test('where the store is not what it signed', async () => {
    station.stop();
    const database = new DatabaseSync(join(rig.dir, 'state.db'));
    database.exec(
      `UPDATE ledger_entries SET bytes = (SELECT bytes FROM ledger_entries WHERE idx = 1) WHERE idx = 0`,
    );
    database.close();
    station = rig.start();
    before = contents();
    expect(await refused()).toMatchObject({ message: expect.stringContaining('store of this home') });
  });

  test('when the store grew after it was prepared', async () => {
    const prepared = await prepare();
    station.accept(ordered('Meanwhile'));
    before = contents();
    if (prepared === null) throw new Error('there was nothing to restore');
    expect(() => station.store.restoration.apply(prepared.restoration)).toThrow(
      expect.objectContaining({ code: 'conflict' }),
    );
    expect(contents()).toBe(before);
  });

  test('lines on the mirrored checkpoint that nobody knows are not kept', async () => {
    const stranger = signerOf(memberIn(fake, 'rosa').keys.witness);
    const key = witnessKey(fake.network.id, 'rosa', stranger.publicJwk);
    const read = parseNote(world.text);
    const line = cosignCheckpoint(read.text, { key, sign: stranger.sign }, 7);
    const clean = world.text;
    world.text = Buffer.from(formatNote(addSignatures(read, [line])));
    const prepared = await prepare();
    const shown = prepared?.restoration.published?.text ?? new Uint8Array();
    expect(parseNote(shown).signatures).toHaveLength(parseNote(clean).signatures.length);
    expect(parseNote(prepared?.restoration.head.text ?? '').signatures).toHaveLength(1);
  });

  test('a head that too few have cosigned is not shown as published', async () => {
    world.text = head(world.entries, 'north', ['south']);
    expect((await prepare())?.restoration.published).toBeNull();
  });
});

/** A head as `id` signs it, cosigned. */
function head(
  entries: readonly Uint8Array[],
  id = 'north',
  cosigners: readonly string[] = WITNESSES,
): Uint8Array {
  const { sign, publicJwk } = signerOf(memberIn(fake, id).keys.log);
  const origin = ledgerOrigin(fake.network.id, id);
  const checkpoint = {
    origin,
    size: entries.length,
    root: rootOfLeaves(entries.map(leafHash)),
    extensions: [],
  };
  const signed = parseNote(signCheckpoint(checkpoint, { key: logKey(origin, publicJwk), sign }));
  const lines = cosigners.map((witness) => {
    const signer = signerOf(memberIn(fake, witness).keys.witness);
    const key = witnessKey(fake.network.id, witness, signer.publicJwk);
    return cosignCheckpoint(signed.text, { key, sign: signer.sign }, 7);
  });
  return Buffer.from(formatNote(addSignatures(signed, lines)));
}
