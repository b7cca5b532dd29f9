import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { DISK, type Disk } from '../../src/adapters/ledger/disk.ts';
import { createMirrorFiles } from '../../src/adapters/ledger/mirror-files.ts';
import { openDispatcherStore } from '../../src/adapters/store/dispatcher-store.ts';
import type { Desk } from '../../src/journey/dispatcher/desk.ts';
import { createMirroring, type Mirroring, type MirrorLimits } from '../../src/journey/dispatcher/mirror.ts';
import { createPastHeads } from '../../src/journey/dispatcher/past-heads.ts';
import { createShownLogs } from '../../src/journey/dispatcher/shown.ts';
import { mirror } from '../../src/journey/station/mirror.ts';
import { cosignCheckpoint, signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { encodeEntry } from '../../src/model/ledger/entry.ts';
import { leafHash, rootOfLeaves } from '../../src/model/ledger/merkle.ts';
import { addSignatures, formatNote, parseNote } from '../../src/model/ledger/note.ts';
import { ledgerOrigin, logKey, witnessKey } from '../../src/model/ledger/origin.ts';
import { parsePastHeads } from '../../src/model/ledger/past-heads.ts';
import { decodeBundle, tilePath, tilesOfTree } from '../../src/model/ledger/tile.ts';
import type { DispatcherStore } from '../../src/ports/dispatcher-store.ts';
import { Crash, createFragile } from '../fakes/crash.ts';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf, signerOf } from '../fakes/network.ts';

/** What a station published becomes a folder of C2SP tlog-tiles, whatever happens on the way. */

let fake: FakeNetwork;
let nowMs = 1000;
const closers: (() => void)[] = [];
beforeAll(async () => {
  fake = await makeNetwork();
});
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

type Place = {
  mirroring: Mirroring;
  store: DispatcherStore;
  dir: string;
  folder: string;
  notes: string[];
  close(): void;
};

function openPlace({
  dir,
  disk = DISK,
  limits = {},
}: {
  dir?: string;
  disk?: Disk;
  limits?: Partial<MirrorLimits>;
} = {}): Place {
  const at = dir ?? mkdtempSync(join(tmpdir(), 'mirror-'));
  if (dir === undefined) closers.push(() => rmSync(at, { recursive: true, force: true }));
  const store = openDispatcherStore(join(at, 'state.db'), 'dispatcher');
  const notes: string[] = [];
  const desk = {
    ...{ id: 'dispatcher', network: () => fake.network, store, clock: { nowMs: () => nowMs } },
    note: (text: string) => void notes.push(text),
    noteHead: (...[member, origin, head]: Parameters<Desk['noteHead']>) =>
      void store.witness.noteHead(member, origin, head, 1),
  } as unknown as Desk;
  const mirroring = createMirroring(
    desk,
    createMirrorFiles(join(at, 'mirror'), disk),
    createPastHeads(desk),
    limits,
  );
  let open = true;
  const close = (): void => {
    if (open) store.close();
    open = false;
  };
  closers.push(close);
  return { mirroring, store, dir: at, folder: join(at, 'mirror/north'), notes, close };
}

const ENTRIES = Array.from({ length: 1000 }, (_, count) => {
  const nothing = {
    trainId: null,
    hopId: null,
    attempt: null,
    epoch: null,
    manifestDigest: null,
    prev: null,
  };
  return encodeEntry({ v: 1, ts: 1, type: 'rejects.counted', ...nothing, actor: 'north', body: { count } });
});

function checkpoint(size: number, entries: readonly Uint8Array[] = ENTRIES): Uint8Array {
  const origin = ledgerOrigin(fake.network.id, 'north');
  const { log } = memberIn(fake, 'north').keys;
  const root = rootOfLeaves(entries.slice(0, size).map(leafHash));
  const signer = { key: logKey(origin, publicOf(log)), sign: signerOf(log).sign };
  return Buffer.from(signCheckpoint({ origin, size, root, extensions: [] }, signer));
}

function cosigned(bytes: Uint8Array, id: string, timeS: number): Uint8Array {
  const { witness } = memberIn(fake, id).keys;
  const key = witnessKey(fake.network.id, id, publicOf(witness));
  const note = parseNote(bytes);
  const line = cosignCheckpoint(note.text, { key, sign: signerOf(witness).sign }, timeS);
  return Buffer.from(formatNote(addSignatures(note, [line])));
}

const T_S = 1_800_000_000;
const DAY_S = 86_400;
/** A network with a quorum. */
async function witnessed(): Promise<void> {
  const witnessing = { quorum: 2, faulty: 1, witnesses: ['dispatcher', 'north', 'south'] };
  fake = await makeNetwork({ witnessing });
  nowMs = (T_S + 1) * 1000;
}
/** A head with a full quorum, seen by then. */
function seen(size: number, timeS: number): Uint8Array {
  return cosigned(cosigned(checkpoint(size), 'south', timeS), 'dispatcher', timeS);
}

/** As a station does it: it asks where the mirror stands, and sends the rest. */
async function push({ mirroring }: Place, size: number, signed = checkpoint(size)): Promise<void> {
  const held = await mirroring.take('north', { first: 0, entries: [], checkpoint: null });
  await mirroring.take('north', { first: held, entries: ENTRIES.slice(held, size), checkpoint: signed });
}

/** Every file of the tree, read as a foreign tool would. */
function expectFolder(folder: string, size: number, signed: Uint8Array): void {
  expect(readFileSync(join(folder, 'checkpoint'))).toEqual(Buffer.from(signed));
  const entries: Uint8Array[] = [];
  for (const tile of tilesOfTree(size)) {
    const bytes = readFileSync(join(folder, tilePath(tile)));
    if (tile.level === 'entries') entries.push(...decodeBundle(bytes, tile.width));
    else expect(bytes.length).toBe(tile.width * 32);
  }
  expect(entries.map(Buffer.from)).toEqual(ENTRIES.slice(0, size).map(Buffer.from));
}

describe('what a station had sent and not signed, before it came back from a backup', () => {
  it.each([
    ['more than its ledger has now', 300, 200],
    ['as much', 200, 200],
  ])('does not keep the mirror from following: %s', async (_name, sent, size) => {
    const place = openPlace();
    await push(place, 100);
    await place.mirroring.take('north', {
      first: 100,
      entries: ENTRIES.slice(500, 400 + sent),
      checkpoint: null,
    });
    const client = {
      publish: async ({ firstIndex = 0n, entries = [], checkpoint: text = new Uint8Array() }) => {
        const publication = {
          first: Number(firstIndex),
          entries,
          checkpoint: text.length === 0 ? null : text,
        };
        return { size: BigInt(await place.mirroring.take('north', publication)) };
      },
    } as unknown as Parameters<typeof mirror>[0];
    const ports = {
      rows: { read: (first: number, end: number) => ENTRIES.slice(first, end) },
      ledger: { published: () => ({ size, text: checkpoint(size) }) },
    } as unknown as Parameters<typeof mirror>[1];
    const signal = new AbortController().signal;
    await expect(mirror(client, ports, signal)).rejects.toMatchObject({ code: 'ledger.invalid' });
    await mirror(client, ports, signal);
    expectFolder(place.folder, size, checkpoint(size));
  });
});

describe('the folder of a mirror', () => {
  it('has the whole layout, and grows', async () => {
    const place = openPlace();
    for (const size of [1, 255, 256, 700, 1000]) {
      await push(place, size);
      expectFolder(place.folder, size, checkpoint(size));
    }
    expect(readdirSync(join(place.folder, 'tile/0')).sort()).toEqual(['000', '001', '002', '003.p']);
    expect(place.store.mirrors.read('north', 0, 1000)).toEqual([]);
    expect(place.store.mirrors.head('north')).toMatchObject({ pendingBytes: 0, verified: { size: 1000 } });
  });

  it('shows nothing before its checkpoint', async () => {
    const place = openPlace();
    await place.mirroring.take('north', { first: 0, entries: ENTRIES.slice(0, 300), checkpoint: null });
    expect(() => statSync(place.folder)).toThrow();
    expect(place.store.mirrors.read('north', 0, 1000)).toHaveLength(300);
  });

  it('gets the younger cosignatures of the same head', async () => {
    const place = openPlace();
    const [first, second] = [cosigned(checkpoint(10), 'south', 100), cosigned(checkpoint(10), 'south', 200)];
    await push(place, 10, first);
    expectFolder(place.folder, 10, first);
    await push(place, 10, second);
    expectFolder(place.folder, 10, second);
    expect(place.store.mirrors.head('north')?.checkpoint).toEqual(new Uint8Array(second));
  });

  it('takes publications of one station in turn', async () => {
    const place = openPlace();
    const sizes = [100, 300, 600, 1000];
    const take = (end: number, at: number) =>
      place.mirroring.take('north', {
        first: sizes[at - 1] ?? 0,
        entries: ENTRIES.slice(sizes[at - 1] ?? 0, end),
        checkpoint: checkpoint(end),
      });
    expect(await Promise.all(sizes.map(take))).toEqual(sizes);
    expectFolder(place.folder, 1000, checkpoint(1000));
  });

  it('remembers each head that was signed: another one of that size is evidence', async () => {
    const place = openPlace();
    await push(place, 10);
    await push(place, 20);
    const other = checkpoint(10, ENTRIES.slice(5));
    const attempt = place.mirroring.take('north', { first: 20, entries: [], checkpoint: other });
    await expect(attempt).rejects.toMatchObject({ code: 'ledger.invalid' });
    expect(place.store.witness.unresolved('north')).toMatchObject([{ size: 10 }]);
    expectFolder(place.folder, 20, checkpoint(20));
  });

  it('compares with its files what is sent again', async () => {
    const place = openPlace();
    await push(place, 600);
    const again = { first: 250, entries: ENTRIES.slice(250, 610), checkpoint: checkpoint(610) };
    expect(await place.mirroring.take('north', again)).toBe(610);
    const changed = {
      first: 250,
      entries: [...ENTRIES.slice(250, 260), ENTRIES[0] ?? Buffer.of()],
      checkpoint: null,
    };
    await expect(place.mirroring.take('north', changed)).rejects.toMatchObject({
      code: 'ledger.inconsistent',
    });
    expectFolder(place.folder, 610, checkpoint(610));
  });
});

describe('what waits for a checkpoint', () => {
  it.each([
    ['entries', { pendingEntriesMax: 100 }],
    ['bytes', { pendingBytesMax: ENTRIES.slice(0, 100).reduce((sum, { length }) => sum + length, 0) }],
  ])('is bounded in %s', async (_what, limits) => {
    const place = openPlace({ limits });
    const take = (first: number, end: number, signed: Uint8Array | null = null) =>
      place.mirroring.take('north', { first, entries: ENTRIES.slice(first, end), checkpoint: signed });
    await take(0, 60);
    await expect(take(60, 101)).rejects.toMatchObject({ code: 'ledger.invalid' });
    expect(await take(60, 100, checkpoint(100))).toBe(100);
    // Covered ones do not count.
    expect(await take(100, 190)).toBe(190);
  });
});

describe('a folder that is damaged', () => {
  it.each<[string, (folder: string) => void]>([
    ['loses a tile', (folder) => rmSync(join(folder, 'tile/0/001.p'), { recursive: true })],
    ['loses a bundle', (folder) => rmSync(join(folder, 'tile/entries/001.p'), { recursive: true })],
    ['has a changed tile', (folder) => writeFileSync(join(folder, 'tile/0/001.p/44'), Buffer.alloc(44 * 32))],
    ['is gone', (folder) => rmSync(folder, { recursive: true })],
  ])('that %s is asked for again, all of it', async (_what, damage) => {
    const place = openPlace();
    await push(place, 300);
    damage(place.folder);
    await expect(push(place, 310)).rejects.toMatchObject({ code: 'internal' });
    expect(place.notes).toEqual([
      'the mirror of a ledger is damaged; the station is asked for all of it again',
    ]);
    await push(place, 310);
    expectFolder(place.folder, 310, checkpoint(310));
  });
});

/** A disk never throws before it has returned its promise. */
function rejecting(disk: Disk): Disk {
  return {
    read: async (path) => disk.read(path),
    write: async (path, bytes, sync) => disk.write(path, bytes, sync),
    rename: async (from, to) => disk.rename(from, to),
    makeFolder: async (path) => disk.makeFolder(path),
    syncFolder: async (path) => disk.syncFolder(path),
    removeFolder: async (path) => disk.removeFolder(path),
  };
}

describe('a crash', () => {
  it('at any operation of the disk leaves what the next start goes on from', async () => {
    const before = fake;
    await witnessed();
    closers.push(() => {
      fake = before;
    });
    const count = async (plan: { at: number; when: 'before' | 'after' } | null): Promise<number> => {
      const fragile = createFragile(plan);
      const place = openPlace({ disk: rejecting(fragile.wrap(DISK)) });
      const publishes = async (): Promise<void> => {
        await push(place, 250, seen(250, T_S - 100));
        await push(place, 600, seen(600, T_S));
      };
      if (plan === null) await publishes();
      else await expect(publishes()).rejects.toBeInstanceOf(Crash);
      place.close();

      const next = openPlace({ dir: place.dir });
      await next.mirroring.recover();
      const head = next.store.mirrors.head('north');
      if (head !== null && head.checkpoint !== null)
        expectFolder(next.folder, head.verified.size, head.checkpoint);
      // In one commit with the head that the mirror has.
      const sizes = next.store.pastHeads.list('north').map(({ size }) => size);
      const shown = head === null || head.checkpoint === null ? 0 : head.verified.size;
      expect(sizes).toEqual([250, 600].filter((size) => size <= shown));
      await push(next, 700);
      expectFolder(next.folder, 700, checkpoint(700));
      expect(next.notes).toEqual([]);
      next.close();
      return fragile.calls();
    };
    const calls = await count(null);
    expect(calls).toBeGreaterThan(20);
    for (let at = 1; at <= calls; at += 1)
      for (const when of ['before', 'after'] as const) await count({ at, when });
  }, 60_000);
});

describe('earlier heads', () => {
  beforeEach(() => witnessed());
  afterAll(async () => {
    fake = await makeNetwork();
  });

  const at = (place: Place, size: number, timeS: number): Promise<void> => {
    nowMs = (timeS + 1) * 1000;
    return push(place, size, seen(size, timeS));
  };
  const kept = ({ store }: Place, member = 'north'): [number, number][] =>
    store.pastHeads
      .list(member)
      .map(({ size, atMs }): [number, number] => [size, atMs / 1000 - T_S])
      .toSorted(([, a], [, b]) => a - b);
  const shown = (place: Place): Uint8Array[] => {
    const nothing = {} as unknown as Parameters<typeof createShownLogs>[4];
    const ledger = { published: () => null } as unknown as Parameters<typeof createShownLogs>[1];
    const logs = createShownLogs('dispatcher', ledger, async () => null, place.store, nothing);
    return parsePastHeads(logs.pastHeads('north') ?? Buffer.of(0xff));
  };

  it('are kept as they were cosigned, and shown beside the mirror up to its head', async () => {
    const place = openPlace();
    for (const size of [10, 20, 30]) await at(place, size, T_S + size);
    expect(kept(place)).toEqual([
      [10, 10],
      [20, 20],
      [30, 30],
    ]);
    expect(shown(place).map(Buffer.from)).toEqual(
      [10, 20, 30].map((size) => Buffer.from(seen(size, T_S + size))),
    );
    const head = place.store.mirrors.head('north');
    if (head === null) throw new Error('no mirror');
    place.store.mirrors.save({ ...head, checkpoint: seen(20, T_S) });
    expect(shown(place)).toHaveLength(2);
  });

  it('of an idle ledger are one for each version of the network, the oldest', async () => {
    const place = openPlace();
    for (let hour = 0; hour < 50; hour++) await at(place, 10, T_S + hour * 3600);
    expect(kept(place)).toEqual([[10, 0]]);
    fake = { ...fake, ...fake.next({}) };
    for (let hour = 50; hour < 60; hour++) await at(place, 10, T_S + hour * 3600);
    expect(kept(place)).toEqual([
      [10, 0],
      [10, 50 * 3600],
    ]);
  });

  it('grow by one a day, and the last before a revocation is among them', async () => {
    const place = openPlace();
    let size = 0;
    const hours = async (from: number, to: number): Promise<void> => {
      for (let hour = from; hour < to; hour += 6) await at(place, ++size, T_S - (T_S % DAY_S) + hour * 3600);
    };
    await hours(0, 48);
    await at(place, ++size, T_S - (T_S % DAY_S) + 48 * 3600 + 100);
    const last = size;
    const revoked = [{ id: 'rosa', reason: 'she left' }];
    const issuedAtMs = (T_S - (T_S % DAY_S) + 48 * 3600 + 101) * 1000;
    fake = { ...fake, ...fake.next({ revoked, issuedAtMs }) };
    await hours(48 + 6, 240);
    const sizes = kept(place).map(([of]) => of);
    expect(sizes).toContain(last);
    // Ten days, the last one of them in more detail, and that before the revocation.
    expect(sizes.length).toBeLessThanOrEqual(10 + 3 + 1);
    expect(sizes).toContain(size);
  });

  it.each<[string, (size: number) => Uint8Array]>([
    ['too few have cosigned', (size) => cosigned(checkpoint(size), 'south', T_S)],
    ['a cosignature is made up', (size) => madeUp(seen(size, T_S))],
    ['witnesses saw it in the future', (size) => seen(size, T_S + DAY_S)],
  ])('that prove nothing are not kept: %s', async (_, made) => {
    const place = openPlace();
    await push(place, 10, made(10));
    expect(kept(place)).toEqual([]);
    expect(shown(place)).toEqual([]);
    expectFolder(place.folder, 10, made(10));
  });
  function madeUp(bytes: Uint8Array): Uint8Array {
    const note = parseNote(bytes);
    const signatures = note.signatures.map((line) =>
      line.name.includes('/south/') ? { ...line, signature: Buffer.alloc(72, 1) } : line,
    );
    return Buffer.from(formatNote({ ...note, signatures }));
  }

  it('take up no room with lines of strangers', async () => {
    const place = openPlace();
    const stranger = { name: 'signalbox.example/x/eve/witness', keyId: 1, signature: Buffer.alloc(4000, 1) };
    const note = addSignatures(parseNote(seen(10, T_S)), [stranger]);
    await push(place, 10, Buffer.from(formatNote(note)));
    expect(shown(place).map(Buffer.from)).toEqual([Buffer.from(seen(10, T_S))]);
  });

  it('of a network without a quorum are none', async () => {
    fake = await makeNetwork();
    const place = openPlace();
    await push(place, 10, seen(10, T_S));
    expect(kept(place)).toEqual([]);
  });

  it('stay when the mirror has to begin anew, and after a restart', async () => {
    const place = openPlace();
    await at(place, 10, T_S);
    rmSync(place.folder, { recursive: true });
    await expect(at(place, 20, T_S + 60)).rejects.toMatchObject({ code: 'internal' });
    expect(kept(place)).toEqual([[10, 0]]);
    await at(place, 20, T_S + 60);
    place.close();
    const next = openPlace({ dir: place.dir });
    await next.mirroring.recover();
    expect(shown(next).map(Buffer.from)).toEqual([
      Buffer.from(seen(10, T_S)),
      Buffer.from(seen(20, T_S + 60)),
    ]);
  });

  it('of a mirror from before any were kept begin with its head', async () => {
    const place = openPlace();
    await at(place, 10, T_S);
    for (const head of place.store.pastHeads.list('north')) place.store.pastHeads.remove(head);
    await place.mirroring.recover();
    expect(kept(place)).toEqual([[10, 0]]);
  });
});

describe('a station that rotates its log key', () => {
  it('is mirrored with either key until its head bears the new one, and then with that alone', async () => {
    const made = await makeNetwork();
    const before = fake;
    fake = made;
    closers.push(() => {
      fake = before;
    });
    const next = ed25519();
    const north = made.network.members.get('north');
    if (north === undefined) throw new Error('no north');
    const renewed = [{ member: { ...north, keys: { ...north.keys, log: publicOf(next) } } }];
    fake = { ...made, ...made.next({ renewed }) };
    const { mirroring } = openPlace();
    const headOf = (size: number, jwk: ReturnType<typeof ed25519>): Uint8Array => {
      const origin = ledgerOrigin(fake.network.id, 'north');
      const root = rootOfLeaves(ENTRIES.slice(0, size).map(leafHash));
      const signer = { key: logKey(origin, publicOf(jwk)), sign: signerOf(jwk).sign };
      return Buffer.from(signCheckpoint({ origin, size, root, extensions: [] }, signer));
    };
    const old = memberIn(made, 'north').keys.log;
    const take = (first: number, size: number, by: ReturnType<typeof ed25519>): Promise<number> =>
      mirroring.take('north', { first, entries: ENTRIES.slice(first, size), checkpoint: headOf(size, by) });
    expect(await take(0, 3, old)).toBe(3);
    expect(await take(3, 5, next)).toBe(5);
    await expect(take(5, 5, old)).rejects.toMatchObject({ code: 'ledger.invalid' });
    await expect(take(5, 6, old)).rejects.toMatchObject({ code: 'ledger.invalid' });
    expect(await take(5, 6, next)).toBe(6);
  });
});
