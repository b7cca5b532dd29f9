import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { type Digest, digestOf, hopIdOf } from '../../src/model/id.ts';
import { parseCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import type { LedgerEntry } from '../../src/model/ledger/entry.ts';
import { addSignatures, formatNote, parseNote, signNote } from '../../src/model/ledger/note.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import { formatTlogProof, parseTlogProof } from '../../src/model/ledger/proof.ts';
import { logOf, makeLog } from '../fakes/dispatcher-log.ts';
import { type FakeNetwork, makeNetwork, memberIn, signerOf } from '../fakes/network.ts';
import { makeStation, type Process, type Rig } from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/** The entry precedes the message: what a station makes of orders with and without a place in a ledger. */

const NOW = Date.UTC(2026, 5, 1, 12);

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({ nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

function heads(): Record<string, unknown>[] {
  const database = new DatabaseSync(join(rig.dir, 'state.db'), { readOnly: true });
  try {
    return database.prepare('SELECT note FROM witness_heads').all();
  } finally {
    database.close();
  }
}

type Pulled = ReturnType<typeof makeOrder> & { manifest: Uint8Array };

function ordered(title = 'Hello'): Pulled {
  const { digest, manifest } = makeTrain(fake, rig.image.image, NOW, { title });
  return { ...makeOrder(fake, digest, NOW), manifest };
}

const digestIn = (envelope: Uint8Array): Digest => digestOf(payloadOf(parseEnvelope(envelope, 'manifest')));
const entryOf = ({ digest, manifest }: Pulled): LedgerEntry => ({
  ...{ v: 1, ts: NOW, type: 'order.issued', trainId: null, hopId: hopIdOf(digest), attempt: 1, epoch: 1 },
  ...{ manifestDigest: digestIn(manifest), actor: 'dispatcher', prev: null },
  body: { station: 'north', orderDigest: digest },
});

/** The dispatcher's keys over another history. */
function forkedProof(pulled: Pulled, size: number): Uint8Array {
  const log = makeLog(fake, 'dispatcher');
  let proof: Uint8Array = new Uint8Array();
  while (log.size() < size) proof = log.prove(entryOf(pulled));
  return proof;
}

/** The entry that a proof carries, changed in it. */
function changed(proof: Uint8Array, from: string, to: string): Uint8Array {
  const text = Buffer.from(proof).toString();
  const extra = /^extra (.+)$/m.exec(text)?.[1] ?? '';
  const entry = Buffer.from(extra, 'base64').toString();
  expect(entry).toContain(from);
  return Buffer.from(text.replace(extra, Buffer.from(entry.replace(from, to)).toString('base64')));
}

describe('an order that stands in no ledger is counted, and gets no receipt', () => {
  const log = () => logOf(fake, 'dispatcher');
  test.each<[string, (pulled: Pulled) => Uint8Array]>([
    ['no proof', () => new Uint8Array()],
    ['something else in its place', () => Buffer.from('{}')],
    ['an oversized one', () => Buffer.alloc(2 * 1024 * 1024, 'a')],
    ['the proof of another order', () => ordered('Another').proof],
    ['an entry of another kind', (pulled) => log().prove({ ...entryOf(pulled), type: 'hop.unheard' })],
    ['an entry of somebody else', (pulled) => log().prove({ ...entryOf(pulled), actor: 'south' })],
    [
      'an entry that names another station',
      (pulled) => {
        const entry = entryOf(pulled);
        return log().prove({ ...entry, body: { ...entry.body, station: 'south' } });
      },
    ],
    [
      'an entry about another train',
      (pulled) => log().prove({ ...entryOf(pulled), manifestDigest: digestOf('other') }),
    ],
    ["another member's ledger", (pulled) => logOf(fake, 'south').prove(entryOf(pulled))],
    ['an entry that was changed', ({ proof }) => changed(proof, '"epoch":1', '"epoch":2')],
  ])('%s', (_name, proof) => {
    const pulled = ordered();
    expect(station.accept({ ...pulled, proof: proof(pulled) })).toBeNull();
    expect(station.entries().map(({ type, body }) => [type, body])).toEqual([
      ['rejects.counted', { what: 'order', code: 'proof.invalid', count: 1 }],
    ]);
    expect(station.store.hops.list({ newest: 10 })).toEqual([]);
    expect(station.accept(pulled)).not.toBeNull();
  });
});

describe('what a dispatcher can have a station keep of its heads is bounded', () => {
  const head = (extensions: string[]) => {
    const origin = ledgerOrigin(fake.network.id, 'dispatcher');
    const { publicJwk, sign } = signerOf(memberIn(fake, 'dispatcher').keys.log);
    const signer = { key: logKey(origin, publicJwk), sign };
    return (pulled: Pulled): Uint8Array => {
      const proof = parseTlogProof(pulled.proof);
      const { size, root } = parseCheckpoint(parseNote(proof.checkpoint).text);
      const note = parseNote(
        signNote([origin, size, Buffer.from(root).toString('base64'), ...extensions, ''].join('\n'), signer),
      );
      const stranger = { name: 'stranger', keyId: 1, signature: Buffer.alloc(2000) };
      return Buffer.from(
        formatTlogProof({ ...proof, checkpoint: formatNote(addSignatures(note, [stranger])) }),
      );
    };
  };

  test('lines of strangers are not kept', () => {
    const pulled = ordered();
    expect(station.accept({ ...pulled, proof: head([])(pulled) })).not.toBeNull();
    const kept = heads();
    expect(kept).toHaveLength(1);
    for (const { note } of kept) expect(String(note).length).toBeLessThan(500);
  });

  test('and a head with many lines of its own is none', () => {
    const pulled = ordered();
    const proof = head(Array.from({ length: 400 }, (_, at) => `line ${at} ${'x'.repeat(20)}`))(pulled);
    expect(station.accept({ ...pulled, proof })).toBeNull();
    expect(heads()).toEqual([]);
  });
});

test('an order is quoted with the place where it stands', () => {
  station.accept(ordered());
  expect(station.entries()[0]?.prev).toEqual({
    origin: ledgerOrigin(fake.network.id, 'dispatcher'),
    index: logOf(fake, 'dispatcher').size() - 1,
    leafHash: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
});

describe('a dispatcher with two histories', () => {
  test('is found by what it sends; nothing of it is taken on, runs or leaves', async () => {
    const hopId = station.accept(ordered()) ?? '';
    const size = logOf(fake, 'dispatcher').size();
    const second = ordered('Second');
    expect(station.accept({ ...second, proof: forkedProof(second, size) })).toBeNull();
    expect(station.store.witness.unresolved('dispatcher')).toMatchObject([{ member: 'dispatcher', size }]);
    expect(station.entries().map(({ type }) => type)).toContain('witness.conflict');

    const third = ordered('Third');
    expect(station.accept(third)).toBeNull();
    expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
    expect(rig.executor.runs).toEqual([]);
    station = rig.start();
    expect(station.accept(third)).toBeNull();
    expect(station.entries().at(-1)).toMatchObject({
      type: 'rejects.counted',
      body: { code: 'dispatcher.distrusted' },
    });
  });
});
