import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { openEvidence, type ShownConflict } from '../../src/journey/admin/evidence.ts';
import { signTrust } from '../../src/journey/admin/word.ts';
import { decideTrust } from '../../src/journey/station/trust.ts';
import { commitmentOf } from '../../src/model/commitment.ts';
import { encodeEnvelope, parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { digestOf, hopIdOf } from '../../src/model/id.ts';
import type { LedgerEntry } from '../../src/model/ledger/entry.ts';
import { formatMisconduct, parseMisconduct, verifyMisconduct } from '../../src/model/ledger/misconduct.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import { signStatement } from '../../src/model/statement.ts';
import { verifyTrust } from '../../src/model/trust.ts';
import { logOf, makeLog } from '../fakes/dispatcher-log.ts';
import { type FakeNetwork, makeNetwork, memberIn, publicOf } from '../fakes/network.ts';
import { makeStation, type Process, type Rig, receiptsOf } from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';
import { adminIn, forget } from '../fakes/words.ts';

/** A dispatcher with two histories is believed again, or not, when a person says so. */

const NOW = Date.UTC(2026, 5, 1, 12);
const MINUTE_MS = 60_000;
const CONTEXT = {} as never;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({ admins: { nora: 'north', nils: 'north', sven: 'south' }, nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

type Pulled = ReturnType<typeof makeOrder> & { manifest: Uint8Array };

let titles = 0;
function ordered(): Pulled {
  const { digest, manifest } = makeTrain(fake, rig.image.image, NOW, { title: `Train ${titles++}` });
  return { ...makeOrder(fake, digest, NOW), manifest };
}

/** The dispatcher's keys over another history. */
function forkedProof({ digest, manifest }: Pulled, size: number): Uint8Array {
  const entry: LedgerEntry = {
    ...{ v: 1, ts: NOW, type: 'order.issued', trainId: null, hopId: hopIdOf(digest), attempt: 1, epoch: 1 },
    ...{
      manifestDigest: digestOf(payloadOf(parseEnvelope(manifest, 'manifest'))),
      actor: 'dispatcher',
      prev: null,
    },
    body: { station: 'north', orderDigest: digest },
  };
  const log = makeLog(fake, 'dispatcher');
  let proof: Uint8Array = new Uint8Array();
  while (log.size() < size) proof = log.prove(entry);
  return proof;
}

/** @returns a hop that was taken on before the dispatcher was caught */
function caught(): string {
  const hopId = station.accept(ordered()) ?? '';
  const size = logOf(fake, 'dispatcher').size();
  const second = ordered();
  expect(station.accept({ ...second, proof: forkedProof(second, size) })).toBeNull();
  return hopId;
}

async function shown(): Promise<ShownConflict[]> {
  const answer = await station.admin.conflicts({ $typeName: 'pht.v1.ConflictsRequest' }, CONTEXT);
  return (answer.conflicts ?? []) as ShownConflict[];
}

async function onlyDigest(): Promise<string> {
  const [conflict, ...more] = await shown();
  expect(more).toEqual([]);
  return conflict?.conflictDigest ?? '';
}

type Said = Parameters<typeof signTrust>[0];

async function word(changes: Partial<Said> = {}, by = 'nora'): Promise<Uint8Array> {
  const conflictDigest = changes.conflictDigest ?? (await onlyDigest());
  const said: Said = {
    station: 'north',
    member: 'dispatcher',
    verdict: 'resume',
    reason: 'a restored backup',
    conflictDigest,
  };
  return signTrust({ ...said, ...changes }, adminIn(rig, by));
}

async function trust(statement: Uint8Array) {
  return station.admin.trust({ $typeName: 'pht.v1.TrustRequest', statement }, CONTEXT);
}

const decisions = () => station.entries().filter(({ type }) => type === 'trust.decided');
const distrustedNow = async () =>
  (await station.admin.status({ $typeName: 'pht.v1.StatusRequest' }, CONTEXT)).distrusted;

async function ends(hopId: string): Promise<string | undefined> {
  await station.visit(hopId);
  await station.post();
  return receiptsOf(rig, hopId)[0]?.outcome;
}

test('what was found is shown with evidence that holds before anybody', async () => {
  expect(await shown()).toEqual([]);
  expect(await distrustedNow()).toEqual([]);
  caught();
  const [conflict] = await shown();
  expect(conflict).toMatchObject({
    member: 'dispatcher',
    verdict: '',
    foundAtMs: BigInt(NOW),
    decidedAtMs: 0n,
  });
  if (conflict === undefined) throw new Error('nothing is shown');
  const { misconduct, digest } = openEvidence(conflict, fake.network);
  expect(digest).toBe(conflict.conflictDigest);
  const origin = ledgerOrigin(fake.network.id, 'dispatcher');
  const key = logKey(origin, publicOf(memberIn(fake, 'dispatcher').keys.log));
  verifyMisconduct(parseMisconduct(formatMisconduct(misconduct)), key);
  expect(await distrustedNow()).toEqual(['dispatcher']);
});

describe('evidence that is none is not signed about', () => {
  const cases: [string, (conflict: ShownConflict) => Partial<ShownConflict>][] = [
    ['one note twice', ({ notes }) => ({ notes: [notes[0] ?? '', notes[0] ?? ''] })],
    ['one note', ({ notes }) => ({ notes: notes.slice(1) })],
    ['three notes', ({ notes }) => ({ notes: [...notes, ...notes.slice(1)] })],
    ['another size', ({ size }) => ({ size: size + 1n })],
    ['another member', () => ({ member: 'south' })],
    ['nobody', () => ({ member: 'nobody' })],
    ['another name', () => ({ conflictDigest: 'f'.repeat(64) })],
    ['no notes at all', () => ({ notes: ['{}', ''] })],
  ];
  test.each(cases)('%s', async (_name, change) => {
    caught();
    const [conflict] = await shown();
    if (conflict === undefined) throw new Error('nothing is shown');
    expect(() => openEvidence({ ...conflict, ...change(conflict) }, fake.network)).toThrow(
      expect.objectContaining({ code: expect.stringMatching(/^(?:proof|signer|signature|ledger)\./) }),
    );
  });
});

test('resume: orders are taken again, and what waited goes on', async () => {
  const hopId = caught();
  expect(station.accept(ordered())).toBeNull();
  expect(await ends(hopId)).toBeUndefined();
  expect(await trust(await word())).toEqual({ unresolved: 0, hops: 1 });
  expect(await distrustedNow()).toEqual([]);
  expect(await ends(hopId)).toBe('released');
  expect(await ends(station.accept(ordered()) ?? '')).toBe('released');
  expect(await shown()).toMatchObject([{ verdict: 'resume', decidedAtMs: BigInt(NOW) }]);
  station = rig.start();
  expect(station.accept(ordered())).not.toBeNull();
});

test('the hops of that dispatcher alone look again, and only when nothing is left open', async () => {
  const hopId = caught();
  const { witness, hops } = station.store;
  const looked: string[] = [];
  const ports = { witness, hops, decided: (id: string) => void looked.push(id) };
  expect(decideTrust(await word({ verdict: 'stop' }), station.station, ports)).toEqual({
    unresolved: 1,
    hops: 0,
  });
  expect(looked).toEqual([]);
  rig.clock.ms += 1;
  expect(decideTrust(await word(), station.station, ports)).toEqual({ unresolved: 0, hops: 1 });
  expect(looked).toEqual([hopId]);
  const none = {
    ...ports,
    hops: { open: () => hops.open().map((hop) => ({ ...hop, dispatcher: 'other' })) },
  };
  rig.clock.ms += 1;
  expect(decideTrust(await word({}, 'nils'), station.station, none)).toEqual({ unresolved: 0, hops: 0 });
});

test('stop keeps refusing, through a restart, until somebody resumes', async () => {
  const hopId = caught();
  expect(await trust(await word({ verdict: 'stop' }))).toEqual({ unresolved: 1, hops: 0 });
  expect(await shown()).toMatchObject([{ verdict: 'stop' }]);
  station = rig.start();
  expect(station.accept(ordered())).toBeNull();
  expect(await ends(hopId)).toBeUndefined();
  expect(await distrustedNow()).toEqual(['dispatcher']);
  rig.clock.ms += MINUTE_MS;
  await trust(await word({}, 'nils'));
  expect(await ends(hopId)).toBe('released');
  expect(decisions().map(({ body }) => body['verdict'])).toEqual(['stop', 'resume']);
});

test('each conflict is decided by itself', async () => {
  caught();
  const first = await onlyDigest();
  const more = ordered();
  const other = { ...more, proof: forkedProof(more, logOf(fake, 'dispatcher').size() - 2) };
  station.accept(other);
  const digests = (await shown()).map(({ conflictDigest }) => conflictDigest);
  expect(digests).toHaveLength(2);
  expect(await trust(await word({ conflictDigest: first }))).toEqual({ unresolved: 1, hops: 0 });
  expect(station.accept(ordered())).toBeNull();
  const second = digests.find((digest) => digest !== first) ?? '';
  expect(await trust(await word({ conflictDigest: second }))).toEqual({ unresolved: 0, hops: 1 });
});

describe('on record', () => {
  test('with who it was as a commitment that can be opened, and by nobody after an erasure', async () => {
    caught();
    const statement = await word();
    await trust(statement);
    const [entry, ...more] = decisions();
    expect(more).toEqual([]);
    const { byCommitment, statementCommitment, ...body } = entry?.body ?? {};
    expect(body).toEqual({ member: 'dispatcher', verdict: 'resume', conflictDigest: await onlyDigest() });
    expect(entry).toMatchObject({ hopId: null, trainId: null, actor: 'north' });
    expect(JSON.stringify(entry)).not.toContain('nora');
    const values = [byCommitment, statementCommitment].map((commitment) => {
      const opening = station.store.archive.opening(String(commitment));
      if (opening === null) throw new Error('it cannot be opened');
      expect(commitmentOf(opening.salt, opening.value)).toBe(commitment);
      return opening.value;
    });
    expect(values).toEqual(['nora', digestOf(payloadOf(parseEnvelope(statement, 'word')))]);

    expect(await forget(rig, station, 'nora')).toMatchObject({ salts: 2, clearances: 1 });
    expect(station.store.archive.opening(String(byCommitment))).toBeNull();
    expect(await distrustedNow()).toEqual([]);
    expect(decisions()).toEqual([entry]);
  });

  test('once, however often the same word comes', async () => {
    caught();
    const statement = await word();
    await trust(statement);
    rig.clock.ms += MINUTE_MS;
    expect(await trust(statement)).toEqual({ unresolved: 0, hops: 1 });
    expect(decisions()).toHaveLength(1);
  });

  test('an older word that is shown again undoes nothing', async () => {
    caught();
    const resume = await word();
    await trust(resume);
    rig.clock.ms += MINUTE_MS;
    await trust(await word({ verdict: 'stop' }));
    await expect(trust(resume)).rejects.toMatchObject({ code: 'conflict' });
    expect(await distrustedNow()).toEqual(['dispatcher']);
    expect(decisions()).toHaveLength(2);
  });
});

describe('a word that is not one changes nothing', () => {
  async function forged(by: string, changes: object = {}): Promise<Uint8Array> {
    const predicate = {
      ...{
        networkId: fake.network.id,
        networkVersion: 1,
        issuer: by,
        station: 'north',
        member: 'dispatcher',
      },
      ...{ conflictDigest: await onlyDigest(), verdict: 'resume', reason: 'x', issuedAtMs: NOW, ...changes },
    };
    const subject = { name: 'network', digest: fake.network.id };
    return encodeEnvelope(signStatement('trust', subject, predicate, memberIn(fake, by).signer).envelope);
  }

  const cases: [string, string, () => Promise<Uint8Array>][] = [
    ["another station's admin", 'signer.unknown', () => word({}, 'sven')],
    ['a researcher', 'signer.unknown', () => forged('rosa')],
    ['the dispatcher itself', 'signer.unknown', () => forged('dispatcher')],
    ["an admin's name with another key", 'signature.invalid', () => forged('rosa', { issuer: 'nora' })],
    ['for another station', 'forbidden', () => word({ station: 'south' })],
    ['another network', 'network.mismatch', () => forged('nora', { networkId: 'f'.repeat(64) })],
    ['an old one', 'conflict', () => forged('nora', { issuedAtMs: NOW - 6 * MINUTE_MS })],
    ['one of the future', 'conflict', () => forged('nora', { issuedAtMs: NOW + 6 * MINUTE_MS })],
    ['about another member', 'not-found', () => word({ member: 'south' })],
    ['about evidence that is not here', 'not-found', () => word({ conflictDigest: 'f'.repeat(64) })],
    ['another verdict', 'statement.malformed', () => forged('nora', { verdict: 'maybe' })],
    ['one member too many', 'statement.malformed', () => forged('nora', { also: 1 })],
    ['no envelope', 'input.malformed', async () => Buffer.from('{')],
  ];
  test.each(cases)('%s: %s', async (_name, code, statement) => {
    caught();
    const before = station.entries().length;
    await expect(statement().then(trust)).rejects.toMatchObject({ code });
    expect(station.entries()).toHaveLength(before);
    expect(await distrustedNow()).toEqual(['dispatcher']);
    expect(station.accept(ordered())).toBeNull();
  });

  test('an erasure is no word on trust', async () => {
    caught();
    const issued = { networkId: fake.network.id, networkVersion: 1, issuer: 'nora', issuedAtMs: NOW };
    const erasure = { ...issued, station: 'north', member: 'dispatcher', reason: 'x' };
    const subject = { name: 'network', digest: fake.network.id };
    const { envelope } = signStatement('erasure', subject, erasure, memberIn(fake, 'nora').signer);
    const at = { network: fake.network, station: 'north', nowMs: NOW };
    expect(() => verifyTrust(envelope, at)).toThrow(expect.objectContaining({ code: 'statement.type' }));
  });
});
