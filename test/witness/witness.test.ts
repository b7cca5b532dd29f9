import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { createWitness, type Witness } from '../../src/journey/witness/witness.ts';
import { formatAddCheckpoint, parseCosignatures, parseSize } from '../../src/model/ledger/add-checkpoint.ts';
import { openCheckpoint, signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { EMPTY_ROOT, leafHash } from '../../src/model/ledger/merkle.ts';
import {
  formatMisconduct,
  misconductOf,
  parseMisconduct,
  verifyMisconduct,
} from '../../src/model/ledger/misconduct.ts';
import { addSignatures, formatNote, parseNote, signNote, signText } from '../../src/model/ledger/note.ts';
import { verifySeen } from '../../src/model/ledger/seen.ts';
import { isSignedBy, parseVkey, signatureTimeS } from '../../src/model/ledger/vkey.ts';
import type { Network } from '../../src/model/network.ts';
import type { WitnessAnswer, WitnessStore } from '../../src/ports/witness.ts';
import { memberIn } from '../fakes/network.ts';
import {
  cosignersOf,
  type Home,
  inventedHead,
  logSignerOf,
  makeRig,
  NOW_MS,
  originOf,
  type Rig,
  witnessKeyOf,
} from './rig.ts';

let rig: Rig;
let dispatcher: Home;
let north: Home;

beforeEach(async () => {
  rig = await makeRig();
  dispatcher = rig.home('dispatcher');
  north = rig.home('north');
});

afterEach(() => rig.close());

const root = (text: string) => leafHash(Buffer.from(text));
const textOf = ({ body }: WitnessAnswer): string => Buffer.from(body).toString();

function signed(home: Home): string {
  return Buffer.from(home.ledger.checkpoint()?.text ?? new Uint8Array()).toString();
}

async function request(home: Home, sizeBefore: number): Promise<Uint8Array> {
  const size = home.ledger.checkpoint()?.size ?? 0;
  const hashes = sizeBefore > size ? [] : await home.ledger.tree.consistency(sizeBefore, size);
  return formatAddCheckpoint({ sizeBefore, hashes, checkpoint: signed(home) });
}

const body = (sizeBefore: number, checkpoint: string, hashes: Uint8Array[] = []) =>
  formatAddCheckpoint({ sizeBefore, hashes, checkpoint });

const NONCE = Buffer.alloc(32, 7);

/** What a witness shows of a ledger, the answer verified; null for no answer. */
function shownBy(witness: Witness, origin: string): Uint8Array | null {
  const answer = witness.seen({ origin, nonce: NONCE });
  if (answer !== null) verifySeen({ origin, nonce: NONCE }, answer, witnessKeyOf(rig.fake, 'north'));
  return answer === null ? null : answer.note;
}

/** A witness of north over another store or another network. */
function witnessOver(store: WitnessStore, network: () => Network = () => rig.network): Witness {
  const signer = createSigner(memberIn(rig.fake, 'north').keys.witness);
  return createWitness({ id: 'north', network, store, signer, nowMs: () => NOW_MS });
}

describe('status 200', () => {
  test('a cosignature over exactly this checkpoint, with the time, again and again', async () => {
    for (const [sizeBefore, count] of [
      [0, 3],
      [3, 1],
      [4, 300],
    ] as const) {
      const size = await dispatcher.grow(count);
      const answer = north.witness.addCheckpoint(await request(dispatcher, sizeBefore));
      expect(answer).toMatchObject({ status: 200, contentType: 'text/plain; charset=utf-8' });
      const [line, ...more] = parseCosignatures(answer.body);
      if (line === undefined) throw new Error('no line');
      expect(more).toEqual([]);
      expect(line.name).toBe(`${originOf(rig.fake, 'north')}/witness`);
      expect(
        isSignedBy(witnessKeyOf(rig.fake, 'north'), parseNote(signed(dispatcher)).text, line.signature),
      ).toBe(true);
      expect(signatureTimeS(line.signature)).toBe(NOW_MS / 1000);
      expect(north.store.head(originOf(rig.fake, 'dispatcher'))?.size).toBe(size);
    }
  });

  test('the same checkpoint again brings a younger cosignature', async () => {
    await dispatcher.grow(2);
    north.witness.addCheckpoint(await request(dispatcher, 0));
    const signer = createSigner(memberIn(rig.fake, 'north').keys.witness);
    const later = createWitness({
      id: 'north',
      network: () => rig.network,
      store: north.store,
      signer,
      nowMs: () => NOW_MS + 5_999,
    });
    const answer = later.addCheckpoint(await request(dispatcher, 2));
    const [line] = parseCosignatures(answer.body);
    expect(signatureTimeS(line?.signature ?? new Uint8Array())).toBe(NOW_MS / 1000 + 5);
  });

  test('the checkpoint of an empty ledger', () => {
    const empty = inventedHead(rig.fake, 'dispatcher', 0, EMPTY_ROOT);
    expect(north.witness.addCheckpoint(body(0, empty)).status).toBe(200);
    expect(north.witness.addCheckpoint(body(0, empty)).status).toBe(200);
  });

  test('signatures of strangers are ignored and not kept', async () => {
    await dispatcher.grow(2);
    const note = parseNote(signed(dispatcher));
    const stranger = signText(note.text, logSignerOf(rig.fake, 'rosa'));
    const checkpoint = formatNote(
      addSignatures({ text: note.text, signatures: [stranger] }, note.signatures),
    );
    expect(north.witness.addCheckpoint(body(0, checkpoint)).status).toBe(200);
    const kept = parseNote(shownBy(north.witness, originOf(rig.fake, 'dispatcher')) ?? '');
    expect(kept.signatures.map(({ name }) => name)).toEqual([
      originOf(rig.fake, 'dispatcher'),
      `${originOf(rig.fake, 'north')}/witness`,
    ]);
  });
});

describe('what it shows', () => {
  test('the newest checkpoint that it has cosigned, with its own cosignature', async () => {
    const origin = originOf(rig.fake, 'dispatcher');
    expect(shownBy(north.witness, origin), 'nothing, and signed').toHaveLength(0);
    await dispatcher.grow(2);
    north.witness.addCheckpoint(await request(dispatcher, 0));
    await dispatcher.grow(3);
    north.witness.addCheckpoint(await request(dispatcher, 2));
    const seen = shownBy(north.witness, origin) ?? new Uint8Array();
    const trust = { origin, logKeys: [logSignerOf(rig.fake, 'dispatcher').key], witnessKeys: [] };
    expect(openCheckpoint(seen, trust).checkpoint.size).toBe(5);
    expect(cosignersOf(rig.fake, seen)).toEqual(['north']);
  });

  test('nothing is signed about its own ledger, a stranger’s, or without a whole nonce', () => {
    expect(shownBy(north.witness, originOf(rig.fake, 'north'))).toBeNull();
    expect(shownBy(north.witness, 'elsewhere')).toBeNull();
    const origin = originOf(rig.fake, 'dispatcher');
    for (const bytes of [0, 31, 33])
      expect(north.witness.seen({ origin, nonce: Buffer.alloc(bytes) })).toBeNull();
  });
});

describe('status 400', () => {
  test.each([
    ['nothing', ''],
    ['garbage', '\u0000'],
    ['no checkpoint', 'old 0\n\n'],
    ['a leading zero', 'old 00\n\nx\n1\nAAAA\n\n— x AAAAAAAA\n'],
  ])('%s', (_, text) => {
    expect(north.witness.addCheckpoint(Buffer.from(text)).status).toBe(400);
  });

  test('an old size beyond the checkpoint', async () => {
    await dispatcher.grow(2);
    expect(north.witness.addCheckpoint(await request(dispatcher, 3)).status).toBe(400);
    expect(north.store.head(originOf(rig.fake, 'dispatcher'))).toBeNull();
  });

  test('a signed note that is no checkpoint', () => {
    const signer = logSignerOf(rig.fake, 'dispatcher');
    for (const lines of ['', 'x\n', '01\nAAAA\n', '1\nAAAA\n', '0\nAAAA\n']) {
      const note = signNote(`${signer.key.name}\n${lines}`, signer);
      expect(north.witness.addCheckpoint(body(0, note)).status).toBe(400);
    }
  });
});

describe('status 404', () => {
  test('an origin of another network, of nobody, of a member that was revoked, and its own', async () => {
    const elsewhere = {
      ...logSignerOf(rig.fake, 'dispatcher'),
      key: { ...logSignerOf(rig.fake, 'dispatcher').key, name: 'x' },
    };
    const foreign = signCheckpoint({ origin: 'x', size: 1, root: root('a'), extensions: [] }, elsewhere);
    expect(north.witness.addCheckpoint(body(0, foreign)).status).toBe(404);
    const own = inventedHead(rig.fake, 'north', 1, root('a'));
    expect(north.witness.addCheckpoint(body(0, own)).status).toBe(404);
    const south = inventedHead(rig.fake, 'south', 1, root('a'));
    let { network } = rig;
    const witness = witnessOver(north.store, () => network);
    expect(witness.addCheckpoint(body(0, south)).status).toBe(200);
    const members = new Map([...network.members].filter(([id]) => id !== 'south'));
    network = { ...network, members };
    expect(witness.addCheckpoint(body(1, south)).status).toBe(404);
    expect(shownBy(witness, originOf(rig.fake, 'south'))).toBeNull();
  });
});

describe('status 403', () => {
  test('no signature of a trusted key, and a bad one', async () => {
    await dispatcher.grow(2);
    const note = parseNote(signed(dispatcher));
    const stranger = signText(note.text, logSignerOf(rig.fake, 'south'));
    expect(north.witness.addCheckpoint(body(0, formatNote({ ...note, signatures: [stranger] }))).status).toBe(
      403,
    );
    const bad = note.signatures.map((line) => ({ ...line, signature: Buffer.alloc(64, 1) }));
    expect(north.witness.addCheckpoint(body(0, formatNote({ ...note, signatures: bad }))).status).toBe(403);
    expect(north.store.head(originOf(rig.fake, 'dispatcher'))).toBeNull();
  });
});

describe('status 409', () => {
  test('an old size that is not where it stands, with the size where it does', async () => {
    await dispatcher.grow(4);
    const unknown = north.witness.addCheckpoint(await request(dispatcher, 3));
    expect(unknown).toMatchObject({ status: 409, contentType: 'text/x.tlog.size' });
    expect(textOf(unknown)).toBe('0\n');
    north.witness.addCheckpoint(await request(dispatcher, 0));
    await dispatcher.grow(1);
    for (const sizeBefore of [0, 3, 5]) {
      const answer = north.witness.addCheckpoint(await request(dispatcher, sizeBefore));
      expect(answer.status).toBe(409);
      expect(parseSize(answer.body)).toBe(4);
    }
  });

  test('an older checkpoint than the one it has cosigned', async () => {
    await dispatcher.grow(2);
    const older = await request(dispatcher, 0);
    await dispatcher.grow(2);
    north.witness.addCheckpoint(await request(dispatcher, 0));
    const answer = north.witness.addCheckpoint(older);
    expect([answer.status, textOf(answer)]).toEqual([409, '4\n']);
    expect(north.store.head(originOf(rig.fake, 'dispatcher'))?.size).toBe(4);
  });

  test('a lost race: what another one made of it meanwhile stays', async () => {
    await dispatcher.grow(2);
    const slow = await request(dispatcher, 0);
    await dispatcher.grow(3);
    const fast = await request(dispatcher, 0);
    // Between the look at the head and the compare-and-set, the other request gets through.
    let raced = false;
    const racing: WitnessStore = {
      ...north.store,
      advance: (...change) => {
        if (!raced) {
          raced = true;
          expect(north.witness.addCheckpoint(fast).status).toBe(200);
        }
        return north.store.advance(...change);
      },
    };
    const answer = witnessOver(racing).addCheckpoint(slow);
    expect([answer.status, textOf(answer)]).toEqual([409, '5\n']);
    expect(north.store.head(originOf(rig.fake, 'dispatcher'))?.size).toBe(5);
  });
});

describe('status 422', () => {
  test('a proof that does not hold', async () => {
    await dispatcher.grow(3);
    north.witness.addCheckpoint(await request(dispatcher, 0));
    await dispatcher.grow(4);
    const hashes = [...(await dispatcher.ledger.tree.consistency(3, 7))];
    for (const wrong of [[], hashes.slice(1), [...hashes, root('x')], hashes.with(0, root('x'))]) {
      expect(north.witness.addCheckpoint(body(3, signed(dispatcher), wrong)).status).toBe(422);
    }
    expect(north.store.head(originOf(rig.fake, 'dispatcher'))?.size).toBe(3);
    expect(north.witness.addCheckpoint(body(3, signed(dispatcher), hashes)).status).toBe(200);
  });

  test('a proof where none belongs', async () => {
    await dispatcher.grow(3);
    expect(north.witness.addCheckpoint(body(0, signed(dispatcher), [root('x')])).status).toBe(422);
  });

  test('no leaves with another root than theirs', () => {
    const signer = logSignerOf(rig.fake, 'dispatcher');
    const note = signNote(`${signer.key.name}\n0\n${Buffer.from(root('a')).toString('base64')}\n`, signer);
    expect(north.witness.addCheckpoint(body(0, note)).status).toBe(422);
  });

  test('another root for the size that it has cosigned: a conflict that proves it to anyone', async () => {
    await dispatcher.grow(3);
    north.witness.addCheckpoint(await request(dispatcher, 0));
    const fork = inventedHead(rig.fake, 'dispatcher', 3, root('fork'));
    expect(north.witness.addCheckpoint(body(3, fork)).status).toBe(422);
    expect(north.conflicts).toHaveLength(1);
    const [conflict] = north.store.unresolved('dispatcher');
    if (conflict === undefined) throw new Error('no conflict was kept');
    const file = parseMisconduct(formatMisconduct(misconductOf(rig.network, conflict)));
    verifyMisconduct(file, parseVkey(file.vkey));
    expect(file).toMatchObject({ member: 'dispatcher', size: 3 });
    const before = parseNote(signed(dispatcher)).text;
    expect(parseNote(shownBy(north.witness, originOf(rig.fake, 'dispatcher')) ?? '').text).toBe(before);
  });
});

describe('what it remembers of what it did not cosign', () => {
  test('two roots for one size, neither of them ever cosigned, are a conflict', async () => {
    const [a, b] = ['a', 'b'].map((text) => inventedHead(rig.fake, 'dispatcher', 9, root(text)));
    expect(north.witness.addCheckpoint(body(4, a ?? '')).status).toBe(409);
    expect(north.witness.addCheckpoint(body(4, b ?? '')).status).toBe(409);
    expect(north.store.unresolved('dispatcher')).toHaveLength(1);
    // The first request that would fit is no reason to cosign one of the two.
    expect(north.witness.addCheckpoint(body(0, b ?? '')).status).toBe(422);
    expect(shownBy(north.witness, originOf(rig.fake, 'dispatcher'))).toHaveLength(0);
  });

  test('what is not validly signed accuses nobody', () => {
    const honest = inventedHead(rig.fake, 'dispatcher', 9, root('a'));
    north.witness.addCheckpoint(body(0, honest));
    const { text, signatures } = parseNote(inventedHead(rig.fake, 'dispatcher', 9, root('b')));
    const forged = signatures.map((line) => ({ ...line, signature: Buffer.alloc(64, 1) }));
    expect(north.witness.addCheckpoint(body(9, formatNote({ text, signatures: forged }))).status).toBe(403);
    expect(north.store.conflicts()).toEqual([]);
  });
});

describe('a witness that cannot write', () => {
  test('lets no cosignature leave', async () => {
    await dispatcher.grow(2);
    const question = await request(dispatcher, 0);
    for (const broken of ['advance', 'noteHead'] as const) {
      const store: WitnessStore = {
        ...north.store,
        [broken]: () => {
          throw new Error('the disk is full');
        },
      };
      expect(() => witnessOver(store).addCheckpoint(question)).toThrow('the disk is full');
      expect(north.store.head(originOf(rig.fake, 'dispatcher'))).toBeNull();
    }
    expect(north.witness.addCheckpoint(question).status, 'and it can be asked again').toBe(200);
  });
});
