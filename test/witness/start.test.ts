import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createGatherer } from '../../src/journey/witness/gather.ts';
import { createStartCheck, type StartCheckOptions } from '../../src/journey/witness/start.ts';
import { PhtError } from '../../src/model/error.ts';
import { cosignCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { leafHash } from '../../src/model/ledger/merkle.ts';
import { addSignatures, formatNote, parseNote } from '../../src/model/ledger/note.ts';
import { type SeenAnswer, verifySeen } from '../../src/model/ledger/seen.ts';
import type { WitnessRelay } from '../../src/ports/witness.ts';
import { memberIn, signerOf } from '../fakes/network.ts';
import { saysSeen } from '../fakes/seen.ts';
import {
  type Home,
  inventedHead,
  logSignerOf,
  makeRig,
  originOf,
  type Rig,
  WITNESSES,
  witnessKeyOf,
  witnessSignerOf,
} from './rig.ts';

let rig: Rig;
let noted: Readonly<Record<string, unknown>>[];

beforeEach(async () => {
  rig = await makeRig();
  noted = [];
});

afterEach(() => rig.close());

const never = new AbortController().signal;

async function witnessed(home: Home): Promise<void> {
  await createGatherer({
    member: home.id,
    network: () => rig.network,
    ledger: home.ledger,
    relay: rig.relay(home.id),
    note: () => undefined,
  }).round(never);
  // All five have cosigned once the stragglers have.
  await expect.poll(() => parseNote(home.ledger.published()?.text ?? '').signatures.length).toBe(6);
}

type Seen = WitnessRelay['seen'];

function check(bent: Record<string, Seen> = {}, more: Partial<StartCheckOptions> = {}) {
  const honest = rig.relay('north');
  return createStartCheck({
    member: 'north',
    network: () => rig.network,
    relay: { seen: (witness, nonce, signal) => (bent[witness] ?? honest.seen)(witness, nonce, signal) },
    publicJwk: signerOf(memberIn(rig.fake, 'north').keys.log).publicJwk,
    signal: never,
    note: (_, details) => noted.push(details),
    callMs: 100,
    ...more,
  });
}

/** North again from a copy of its folder, with the start-up rule before its first signature. */
function reopened(
  copyOf: string,
  bent: Record<string, Seen> = {},
  more: Partial<StartCheckOptions> = {},
): Home {
  return rig.open('north', { copyOf, ledger: { beforeSigning: check(bent, more) } });
}

async function failure(promise: Promise<unknown>): Promise<PhtError> {
  const thrown: unknown = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (!(thrown instanceof PhtError)) throw new Error(`no PhtError but ${String(thrown)}`);
  return thrown;
}

const unreachable: Seen = async () => {
  throw new PhtError('witness.unreachable', 'the witness is not connected');
};
const hangs: Seen = () => new Promise(() => undefined);
/** What this witness says about north's ledger, in its own name. */
const shows =
  (note: string): Seen =>
  async (witness, nonce) =>
    saysSeen(rig.fake, witness, 'north', nonce, note);

function cosigned(note: string, id: string): string {
  const read = parseNote(note);
  const line = cosignCheckpoint(read.text, witnessSignerOf(rig.fake, id), 7);
  return formatNote(addSignatures(read, [line]));
}

const lie = (size: number): string =>
  inventedHead(rig.fake, 'north', size, leafHash(Buffer.from('what never was')));

describe('a home as it was left', () => {
  test('signs on, also when it signed more than any witness has seen', async () => {
    const north = rig.home('north');
    await north.grow(3);
    await witnessed(north);
    await north.grow(2);
    const again = reopened(rig.copy(north));
    expect(await again.grow(1)).toBe(6);
    await witnessed(again);
    expect(again.ledger.published()?.size).toBe(6);
    expect(noted).toEqual([]);
  });

  test('a new one, which nobody has seen', async () => {
    const north = rig.open('north', { ledger: { beforeSigning: check() } });
    expect(await north.grow(1)).toBe(1);
  });

  test('asks once for each process', async () => {
    let calls = 0;
    const count: Seen = async (witness, nonce, signal) => {
      calls += 1;
      return rig.relay('north').seen(witness, nonce, signal);
    };
    const north = rig.open('north', { ledger: { beforeSigning: check({ mid: count }) } });
    await north.grow(1);
    await north.grow(1);
    expect(calls).toBe(1);
  });
});

describe('a restored backup', () => {
  test('signs nothing, and its ledger stays where it was', async () => {
    const north = rig.home('north');
    await north.grow(3);
    await witnessed(north);
    const backup = rig.copy(north);
    await north.grow(2);
    await witnessed(north);
    const restored = reopened(backup);
    const error = await failure(restored.grow(1));
    expect(error.code).toBe('ledger.inconsistent');
    expect(error.message).toMatch(/5 entries.*here are 3.*nothing is signed/);
    expect(error.hint).toMatch(/pht station restore/);
    expect(restored.rows.checkpoint()?.size).toBe(3);
    expect((await failure(restored.ledger.covered(4))).code, 'nor later').toBe('ledger.inconsistent');
  });

  test('is found out by any single witness', async () => {
    const north = rig.home('north');
    await north.grow(3);
    await witnessed(north);
    const backup = rig.copy(north);
    await north.grow(2);
    const only = rig.relay('north');
    const one: WitnessRelay = {
      ...only,
      addCheckpoint: (witness, body, signal) =>
        witness === 'west'
          ? only.addCheckpoint(witness, body, signal)
          : Promise.reject(new PhtError('witness.unreachable', 'x')),
    };
    const gather = createGatherer({
      member: 'north',
      network: () => rig.network,
      ledger: north.ledger,
      relay: one,
      note: () => undefined,
    });
    expect((await failure(gather.round(never))).code).toBe('witness.unreachable');
    expect((await failure(reopened(backup).grow(1))).code).toBe('ledger.inconsistent');
  });
});

describe('a cloned home', () => {
  test('that went on by itself signs nothing more', async () => {
    const north = rig.home('north');
    await north.grow(3);
    const clone = rig.open('north', { copyOf: rig.copy(north) });
    await clone.grow(2);
    const second = rig.copy(clone);
    await north.grow(2);
    await witnessed(north);
    const error = await failure(reopened(second).grow(1));
    expect(error.code).toBe('ledger.inconsistent');
    expect(error.message).toMatch(/other entries.*runs twice/);
  });

  test('that runs beside the original gets no cosignature for what it signs', async () => {
    const north = rig.home('north');
    await north.grow(3);
    await witnessed(north);
    const clone = reopened(rig.copy(north));
    await clone.grow(1);
    await north.grow(1);
    await witnessed(north);
    const said: unknown[] = [];
    const gather = createGatherer({
      member: 'north',
      network: () => rig.network,
      ledger: clone.ledger,
      relay: rig.relay('north'),
      note: (_, details) => said.push(details['code']),
    });
    expect((await failure(gather.round(never))).code).toBe('witness.unreachable');
    expect(clone.ledger.published()?.size, 'what was published before the copy').toBe(3);
    expect(said).toEqual(Array(5).fill('ledger.inconsistent'));
    expect(rig.home('south').store.unresolved('north')).toHaveLength(1);
  });
});

describe('witnesses that lie or are silent', () => {
  const wrong: [string, () => string][] = [
    ['a head that only it has signed', () => cosignedOnly(lie(99))],
    ['a head with our name and another key', () => cosigned(forgedBy('south'), 'mid')],
    ['a head that it has not cosigned itself', () => cosigned(lie(99), 'west')],
    [
      'another ledger’s head',
      () => cosigned(inventedHead(rig.fake, 'south', 99, leafHash(Buffer.of(1))), 'mid'),
    ],
    ['garbage', () => 'garbage'],
  ];

  function cosignedOnly(note: string): string {
    const { text, signatures } = parseNote(cosigned(note, 'mid'));
    return formatNote({ text, signatures: signatures.slice(1) });
  }

  function forgedBy(id: string): string {
    const { text, signatures } = parseNote(lie(99));
    const signature = logSignerOf(rig.fake, id).sign(Buffer.from(text));
    return formatNote({ text, signatures: signatures.map((line) => ({ ...line, signature })) });
  }

  test.each(wrong)('%s stops nobody', async (_, note) => {
    const north = rig.open('north', { ledger: { beforeSigning: check({ mid: shows(note()) }) } });
    expect(await north.grow(1)).toBe(1);
    expect(noted).toHaveLength(1);
    expect(noted[0]).toMatchObject({ witness: 'mid' });
  });

  test('what we signed ourselves and it has cosigned does stop us', async () => {
    const bent = { mid: shows(cosigned(lie(99), 'mid')) };
    const north = rig.open('north', { ledger: { beforeSigning: check(bent) } });
    expect((await failure(north.grow(1))).code).toBe('ledger.inconsistent');
  });

  test('no quorum of answers: nothing is signed until there is one', async () => {
    const bent: Record<string, Seen> = { mid: hangs, west: unreachable };
    const north = rig.open('north', { ledger: { beforeSigning: check(bent) } });
    const error = await failure(north.grow(1));
    expect(error.code).toBe('ledger.unchecked');
    expect(error.message).toMatch(/^3 of the 4/);
    expect(error.reasons).toEqual([
      'mid: the witness did not answer in time',
      'west: the witness is not connected',
    ]);
    expect(north.rows.checkpoint()).toBeNull();
    delete bent['west'];
    await north.ledger.covered(1);
    expect(north.rows.checkpoint()?.size).toBe(1);
  });

  test('an answer that does not verify is none towards the quorum', async () => {
    const bent = { mid: shows('garbage'), west: unreachable };
    const north = rig.open('north', { ledger: { beforeSigning: check(bent) } });
    expect((await failure(north.grow(1))).code).toBe('ledger.unchecked');
  });

  test('an abort leaves it unchecked', async () => {
    const stop = new AbortController();
    stop.abort(new PhtError('cancelled', 'the station stops'));
    const north = rig.open('north', { ledger: { beforeSigning: check({}, { signal: stop.signal }) } });
    expect((await failure(north.grow(1))).code).toBe('ledger.unchecked');
  });
});

describe('a relay that lies about what the witnesses have seen', () => {
  /** The copy is from before the last two entries, and the dispatcher would have it sign a fork. */
  let backup: string;

  const others = WITNESSES.filter((id) => id !== 'north');
  const bentAll = (lie: Seen): Record<string, Seen> => Object.fromEntries(others.map((id) => [id, lie]));
  const honest: Seen = (witness, nonce, signal) => rig.relay('north').seen(witness, nonce, signal);

  beforeEach(async () => {
    const north = rig.home('north');
    await north.grow(3);
    await witnessed(north);
    backup = rig.copy(north);
  });

  /** North goes on, is witnessed and is restored from the backup behind that relay. */
  async function restored(lie: Seen): Promise<Home> {
    const north = rig.home('north');
    await north.grow(2);
    await witnessed(north);
    return reopened(backup, bentAll(lie));
  }

  async function assertUnsigned(home: Home, code: string): Promise<void> {
    const error = await failure(home.grow(1));
    expect(error.code).toBe('ledger.unchecked');
    expect(error.message).toMatch(/^0 of the 4/);
    expect(home.rows.checkpoint()?.size, 'nothing was signed').toBe(3);
    expect(noted).toHaveLength(others.length);
    for (const details of noted) expect(details).toMatchObject({ code });
  }

  test('all answers pass: it is the copy that is stopped', async () => {
    expect((await failure((await restored(honest)).grow(1))).code).toBe('ledger.inconsistent');
  });

  test('“none” from each of them, with no signature or with the dispatcher’s own', async () => {
    const nothing = Buffer.alloc(0);
    const bare: Seen = async () => ({ note: nothing, signature: nothing });
    const zeros: Seen = async () => ({ note: nothing, signature: Buffer.alloc(64) });
    const own: Seen = async (_, nonce) => saysSeen(rig.fake, 'dispatcher', 'north', nonce, nothing);
    await assertUnsigned(await restored(bare), 'signature.invalid');
    noted = [];
    await assertUnsigned(reopened(backup, bentAll(zeros)), 'signature.invalid');
    const error = await failure(reopened(backup, bentAll(own)).grow(1));
    expect(error.message, 'it is a witness itself, but one only').toMatch(/^1 of the 4/);
  });

  test('what they really said to an earlier question, when they had seen less', async () => {
    const kept = new Map<string, SeenAnswer>();
    const keeps: Seen = async (witness, nonce, signal) => {
      const answer = await honest(witness, nonce, signal);
      kept.set(witness, answer);
      return answer;
    };
    const { ledger } = rig.home('north');
    await check(bentAll(keeps))({ size: 3, rootAt: (size) => ledger.tree.rootAt(size) });
    expect([...kept.keys()].sort(), 'each of them believed at that time').toEqual(others);
    expect(noted).toEqual([]);
    const replays: Seen = async (witness) => kept.get(witness) ?? failed();
    await assertUnsigned(await restored(replays), 'signature.invalid');
  });

  test('one’s answer in the name of another', async () => {
    const swaps: Seen = async (witness, nonce, signal) =>
      honest(others[(others.indexOf(witness) + 1) % others.length] ?? failed(), nonce, signal);
    await assertUnsigned(await restored(swaps), 'signature.invalid');
  });

  test('their true signatures under the note of another, or none', async () => {
    const older = rig.home('south').store.head(originOf(rig.fake, 'north'))?.note ?? failed();
    for (const note of [older, '']) {
      noted = [];
      const alters: Seen = async (witness, nonce, signal) => ({
        ...(await honest(witness, nonce, signal)),
        note: Buffer.from(note),
      });
      const home = note === older ? await restored(alters) : reopened(backup, bentAll(alters));
      await assertUnsigned(home, 'signature.invalid');
    }
  });

  test('what they say about the ledger of another member', async () => {
    const elsewhere: Seen = (witness, nonce, signal) =>
      rig.relay(witness === 'east' ? 'south' : 'east').seen(witness, nonce, signal);
    await assertUnsigned(await restored(elsewhere), 'signature.invalid');
  });

  test('each witness is asked with a nonce of its own, new at every start', async () => {
    const nonces: string[] = [];
    const notes: Seen = async (witness, nonce, signal) => {
      nonces.push(Buffer.from(nonce).toString('hex'));
      const answer = await honest(witness, nonce, signal);
      const question = { origin: originOf(rig.fake, 'north'), nonce };
      verifySeen(question, answer, witnessKeyOf(rig.fake, witness));
      return answer;
    };
    for (const _ of [1, 2]) await reopened(backup, bentAll(notes)).grow(1);
    expect(new Set(nonces).size).toBe(2 * others.length);
    for (const nonce of nonces) expect(nonce).toMatch(/^[0-9a-f]{64}$/);
  });
});

function failed(): never {
  throw new Error('the test is set up wrongly');
}

describe('a network without a quorum', () => {
  const alone = (more: Partial<StartCheckOptions> = {}): Home => {
    const network = { ...rig.network, witnessing: { quorum: 'none' as const } };
    const bent = Object.fromEntries(['dispatcher', 'mid'].map((id) => [id, unreachable]));
    return rig.open('north', { ledger: { beforeSigning: check(bent, { network: () => network, ...more }) } });
  };

  test('asks nobody where there is no mirror either', async () => {
    expect(await alone().grow(1)).toBe(1);
  });

  test('a mirror that holds nothing or what is here', async () => {
    expect(await alone({ mirror: async () => null }).grow(1)).toBe(1);
    const north = rig.open('north');
    await north.grow(4);
    const head = north.ledger.checkpoint()?.text ?? null;
    const network = { ...rig.network, witnessing: { quorum: 'none' as const } };
    const again = reopened(rig.copy(north), {}, { network: () => network, mirror: async () => head });
    expect(await again.grow(1)).toBe(5);
  });

  test('a mirror that is ahead, or holds another root', async () => {
    expect((await failure(alone({ mirror: async () => Buffer.from(lie(9)) }).grow(1))).code).toBe(
      'ledger.inconsistent',
    );
    const north = rig.open('north');
    await north.grow(4);
    const network = { ...rig.network, witnessing: { quorum: 'none' as const } };
    const mirror = async () => Buffer.from(lie(3));
    const again = reopened(rig.copy(north), {}, { network: () => network, mirror });
    expect((await failure(again.grow(1))).code).toBe('ledger.inconsistent');
  });

  test('a mirror that does not answer, or with nothing that we signed', async () => {
    const silent = () => new Promise<never>(() => undefined);
    expect((await failure(alone({ mirror: silent }).grow(1))).code).toBe('ledger.unchecked');
    const foreign = inventedHead(rig.fake, 'south', 9, leafHash(Buffer.of(1)));
    expect((await failure(alone({ mirror: async () => Buffer.from(foreign) }).grow(1))).code).toBe(
      'ledger.unchecked',
    );
  });
});
