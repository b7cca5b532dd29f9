import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ed25519, signerOf } from '../../../test/fakes/network.ts';
import { PhtError } from '../../model/error.ts';
import { cosignCheckpoint, openCheckpoint } from '../../model/ledger/checkpoint.ts';
import { openEntryProof } from '../../model/ledger/entry-proof.ts';
import { leafHash, rootOfLeaves } from '../../model/ledger/merkle.ts';
import { parseNote } from '../../model/ledger/note.ts';
import { ledgerOrigin, logKey, witnessKey } from '../../model/ledger/origin.ts';
import { verifyConsistency } from '../../model/ledger/proof.ts';
import { decodeBundle, decodeTile, tilePath, tilesOfTree } from '../../model/ledger/tile.ts';
import type { Ledger, LedgerRows, NewEntry, SignedHead } from '../../ports/ledger.ts';
import { type Database, openDatabase } from '../store/database.ts';
import { createAppend, createLedgerRows, LEDGER_TABLES } from '../store/ledger-rows.ts';
import { DISK, type Disk } from './disk.ts';
import { createLedger, type LedgerOptions } from './files.ts';

const ORIGIN = ledgerOrigin('a'.repeat(64), 'north');
const signer = signerOf(ed25519());
const key = logKey(ORIGIN, signer.publicJwk);

let home: string;
let dir: string;
let database: Database;

beforeEach(() => {
  home = mkdtempSync(join(tmpdir(), 'ledger-'));
  dir = join(home, 'ledger');
  database = openDatabase(join(home, 'store.db'), [LEDGER_TABLES]);
});

afterEach(() => {
  database.close();
  rmSync(home, { recursive: true, force: true });
});

function append(count: number): number {
  const entry: NewEntry = {
    type: 'rejects.counted',
    trainId: null,
    hopId: null,
    attempt: null,
    epoch: null,
    manifestDigest: null,
    prev: null,
    body: { count },
  };
  const write = createAppend(database, 'north');
  return database.transaction(() => write(Array<NewEntry>(count).fill(entry), 1_000));
}

function ledger(options: { disk?: Disk; rows?: LedgerRows; warn?: (line: string) => void } = {}): Ledger {
  return createLedger({ rows: createLedgerRows(database), dir, origin: ORIGIN, signer, ...options });
}

/** An independent look at the folder: every file recomputed from the rows of the store. */
function assertPublished(size: number): void {
  const text = readFileSync(join(dir, 'checkpoint'));
  const { checkpoint } = openCheckpoint(text, { origin: ORIGIN, logKeys: [key], witnessKeys: [] });
  const entries = createLedgerRows(database).read(0, size);
  expect(checkpoint.size).toBe(size);
  expect(Buffer.from(checkpoint.root)).toEqual(Buffer.from(rootOfLeaves(entries.map(leafHash))));
  let levelBelow: Uint8Array[] = entries.map((entry) => Buffer.from(leafHash(entry)));
  const hashes = new Map<number, Uint8Array[]>();
  for (let level = 0; levelBelow.length > 0; level++) {
    hashes.set(level, levelBelow);
    const above: Uint8Array[] = [];
    for (let at = 0; at + 256 <= levelBelow.length; at += 256) {
      above.push(Buffer.from(rootOfLeaves(levelBelow.slice(at, at + 256))));
    }
    levelBelow = above;
  }
  for (const tile of tilesOfTree(size)) {
    const bytes = readFileSync(join(dir, tilePath(tile)));
    const from = tile.index * 256;
    const to = from + tile.width;
    if (tile.level === 'entries') {
      expect(decodeBundle(bytes, tile.width).map(textOf)).toEqual(entries.slice(from, to).map(textOf));
    } else {
      const expected = (hashes.get(tile.level) ?? []).slice(from, to);
      expect(decodeTile(bytes, tile.width).map((hash) => Buffer.from(hash))).toEqual(expected);
    }
  }
}

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString();

describe('a ledger in files', () => {
  it('publishes a signed checkpoint and every tile, for each size on the way', async () => {
    const log = ledger();
    for (const count of [0, 1, 1, 253, 1, 1, 255, 600]) {
      const size = append(count);
      await log.covered(size);
      assertPublished(size);
    }
    expect(log.origin).toBe(ORIGIN);
    expect(log.checkpoint()?.text).toEqual(new Uint8Array(readFileSync(join(dir, 'checkpoint'))));
  });

  it('goes on where another process stopped, reading only the edge of the tree', async () => {
    await ledger().covered(append(700));
    const read: string[] = [];
    const disk: Disk = {
      ...DISK,
      read: (path) => {
        read.push(path);
        return DISK.read(path);
      },
    };
    await ledger({ disk }).covered(append(1));
    assertPublished(701);
    expect(read.length).toBeLessThanOrEqual(4);
  });

  it('lets calls that wait together share one checkpoint', async () => {
    const log = ledger();
    await log.covered(append(1));
    const waits = Array.from({ length: 50 }, () => log.covered(append(1)));
    await Promise.all(waits);
    assertPublished(51);
    const stored = database.all('SELECT size FROM ledger_checkpoints').length;
    expect(stored).toBeLessThanOrEqual(4);
  });

  it('removes partial tiles once the full tile is published', async () => {
    const log = ledger();
    for (let at = 0; at < 5; at++) await log.covered(append(51));
    expect(readdirSync(join(dir, 'tile/0'))).toEqual(['000.p']);
    await log.covered(append(1));
    expect(readdirSync(join(dir, 'tile/0'))).toEqual(['000']);
    expect(readdirSync(join(dir, 'tile/entries'))).toEqual(['000']);
    assertPublished(256);
  });

  it('never promises entries that do not exist', async () => {
    await expect(ledger().covered(append(3) + 1)).rejects.toMatchObject({ code: 'internal' });
  });
});

describe('a ledger after a crash', () => {
  /** Throws at the nth operation and at each one after it, as a process that was killed. */
  function dying(at: number): { disk: Disk; rows: LedgerRows; died: () => boolean } {
    let count = 0;
    const step = (): void => {
      if (count++ >= at) throw new Error('killed');
    };
    const guarded =
      <A extends unknown[], R>(work: (...args: A) => Promise<R>) =>
      async (...args: A): Promise<R> => {
        step();
        return work(...args);
      };
    const rows = createLedgerRows(database);
    const disk: Disk = {
      read: guarded(DISK.read),
      // Half of the bytes is the worst that an interrupted write leaves.
      write: async (path, bytes, sync) => {
        if (count + 1 > at) writeFileSync(path, bytes.subarray(0, bytes.length / 2));
        step();
        await DISK.write(path, bytes, sync);
      },
      rename: guarded(DISK.rename),
      makeFolder: guarded(DISK.makeFolder),
      syncFolder: guarded(DISK.syncFolder),
      removeFolder: guarded(DISK.removeFolder),
    };
    return {
      disk,
      rows: {
        ...rows,
        saveCheckpoint: (previous, next, published) => {
          step();
          rows.saveCheckpoint(previous, next, published);
        },
      },
      died: () => count > at,
    };
  }

  it.each([
    [0, 1],
    [3, 1],
    [255, 1],
    [250, 300],
  ])(
    'of a tree of %i entries growing by %i, killed at every step',
    { timeout: 60_000 },
    async (before, added) => {
      let finished = false;
      for (let at = 0; !finished; at++) {
        database.close();
        rmSync(home, { recursive: true, force: true });
        home = mkdtempSync(join(tmpdir(), 'ledger-'));
        dir = join(home, 'ledger');
        database = openDatabase(join(home, 'store.db'), [LEDGER_TABLES]);
        const first = append(before);
        if (before > 0) await ledger().covered(first);
        const size = append(added);
        const { died, ...world } = dying(at);
        const outcome = await ledger(world)
          .covered(size)
          .then(
            () => 'done',
            () => 'killed',
          );
        finished = !died();
        expect(outcome).toBe(finished ? 'done' : 'killed');
        const signed = createLedgerRows(database).checkpoint();
        const again = ledger();
        await again.covered(size);
        assertPublished(size);
        // What was signed for a size is what stays published for it, byte for byte.
        if (signed?.size === size) expect(again.checkpoint()?.text).toEqual(signed.text);
        await again.covered(append(1));
        assertPublished(size + 1);
      }
    },
  );

  it('goes on in the same process after a failed round', async () => {
    let broken = true;
    const disk: Disk = {
      ...DISK,
      rename: async (from, to) => {
        if (broken) throw new Error('disk full');
        await DISK.rename(from, to);
      },
    };
    const log = ledger({ disk });
    const size = append(2);
    await expect(log.covered(size)).rejects.toThrow('disk full');
    broken = false;
    await log.covered(size);
    assertPublished(2);
  });

  it('leaves no writer behind when one of several fails', async () => {
    let writing = 0;
    const disk: Disk = {
      ...DISK,
      write: async (path, bytes, sync) => {
        if (path.includes('entries')) throw new Error('disk full');
        writing += 1;
        await new Promise((resolve) => setTimeout(resolve, 50));
        await DISK.write(path, bytes, sync);
        writing -= 1;
      },
    };
    await expect(ledger({ disk }).covered(append(1))).rejects.toThrow('disk full');
    expect(writing).toBe(0);
  });

  it('writes lost or damaged files again from the store, and says so', async () => {
    await ledger().covered(append(300));
    const lines: string[] = [];
    rmSync(join(dir, 'tile'), { recursive: true });
    await ledger({ warn: (line) => lines.push(line) }).covered(append(1));
    assertPublished(301);
    writeFileSync(join(dir, 'tile/0/001.p/45'), 'not a tile');
    await ledger({ warn: (line) => lines.push(line) }).covered(append(1));
    assertPublished(302);
    rmSync(dir, { recursive: true });
    await ledger({ warn: (line) => lines.push(line) }).covered(302);
    assertPublished(302);
    expect(lines).toHaveLength(3);
  });

  it('writes lost folders again in the same process, too', async () => {
    const log = ledger();
    await log.covered(append(5));
    rmSync(dir, { recursive: true });
    const size = append(1);
    await log.covered(size).catch(() => log.covered(size));
    assertPublished(6);
  });
});

describe('a ledger that was tampered with or restored from an old copy', () => {
  it('signs nothing over an entry that differs from what was signed', async () => {
    await ledger().covered(append(10));
    database.run("UPDATE ledger_entries SET bytes = x'7b7d' WHERE idx = 3");
    rmSync(join(dir, 'tile'), { recursive: true });
    const size = append(1);
    await expect(ledger().covered(size)).rejects.toMatchObject({ code: 'ledger.inconsistent' });
    expect(createLedgerRows(database).checkpoint()?.size).toBe(10);
  });

  it('signs nothing when the store is behind what was published', async () => {
    await ledger().covered(append(10));
    await ledger().covered(append(1));
    database.run('DELETE FROM ledger_checkpoints WHERE size = 11');
    database.run('DELETE FROM ledger_entries WHERE idx = 10');
    const size = append(1);
    await expect(ledger().covered(size)).rejects.toMatchObject({ code: 'ledger.inconsistent' });
    database.run('DELETE FROM ledger_checkpoints');
    await expect(ledger().covered(size)).rejects.toMatchObject({ code: 'ledger.inconsistent' });
  });

  it('signs nothing when signed entries are gone from the store', async () => {
    await ledger().covered(append(10));
    database.run('DELETE FROM ledger_entries WHERE idx > 5');
    await expect(ledger().covered(6)).rejects.toMatchObject({ code: 'ledger.inconsistent' });
  });

  it('replaces a checkpoint file that does not verify', async () => {
    await ledger().covered(append(2));
    writeFileSync(join(dir, 'checkpoint'), 'nonsense');
    await ledger().covered(2);
    assertPublished(2);
  });

  it('refuses another log key than the one that signed so far', async () => {
    await ledger().covered(append(2));
    const other = createLedger({
      rows: createLedgerRows(database),
      dir,
      origin: ORIGIN,
      signer: signerOf(ed25519()),
    });
    await expect(other.covered(append(1))).rejects.toMatchObject({ code: 'signer.unknown' });
  });

  it('leaves files that others may read and nobody may write', async () => {
    await ledger().covered(append(1));
    expect(statSync(join(dir, 'checkpoint')).mode & 0o022).toBe(0);
  });
});

describe('proofs about a ledger', () => {
  const trust = { origin: ORIGIN, logKeys: [key], witnessKeys: [] };

  it('proves every entry, also under a head that has been passed', async () => {
    const log = ledger();
    for (const count of [1, 2, 252, 1, 3]) await log.covered(append(count));
    for (let index = 0; index < 259; index++) {
      const { entry, quote } = openEntryProof(await log.tree.prove(index), trust);
      expect(entry.type).toBe('rejects.counted');
      expect(quote).toMatchObject({ origin: ORIGIN, index });
    }
    await expect(log.tree.prove(259)).rejects.toMatchObject({ code: 'internal' });
  });

  it('shows any signed size to continue any earlier one, and has the root of each', async () => {
    const log = ledger();
    const sizes = [1, 2, 5, 255, 256, 257, 700];
    for (const size of sizes) await log.covered(append(size - createLedgerRows(database).size()));
    const leaves = createLedgerRows(database).read(0, 700).map(leafHash);
    for (const sizeBefore of [0, 3, ...sizes]) {
      const rootBefore = await log.tree.rootAt(sizeBefore);
      expect(Buffer.from(rootBefore)).toEqual(Buffer.from(rootOfLeaves(leaves.slice(0, sizeBefore))));
      for (const size of sizes.filter((each) => each >= sizeBefore)) {
        const hashes = await log.tree.consistency(sizeBefore, size);
        verifyConsistency({ sizeBefore, rootBefore, size, root: await log.tree.rootAt(size), hashes });
      }
    }
  });
});

describe('a proof that is made while the ledger grows', () => {
  it('finds the tiles that took the place of those it looked for', async () => {
    let grown = false;
    const disk: Disk = {
      ...DISK,
      read: async (path) => {
        if (!grown && path.endsWith('tile/0/000.p/255')) {
          grown = true;
          await log.covered(append(1));
        }
        return DISK.read(path);
      },
    };
    const log = ledger({ disk });
    await log.covered(append(255));
    const { entry } = openEntryProof(await log.tree.prove(7), {
      origin: ORIGIN,
      logKeys: [key],
      witnessKeys: [],
    });
    expect(grown).toBe(true);
    expect(entry.type).toBe('rejects.counted');
  });
});

describe('a ledger that witnesses have to cosign', () => {
  const cosigner = signerOf(ed25519());
  const witness = witnessKey('a'.repeat(64), 'south', cosigner.publicJwk);
  const cosigned = (head: SignedHead | null, timeS = 1_000) => {
    const { text } = parseNote(head?.text ?? '');
    return cosignCheckpoint(text, { key: witness, sign: cosigner.sign }, timeS);
  };
  const witnessed = (): Ledger =>
    createLedger({
      rows: createLedgerRows(database),
      dir,
      origin: ORIGIN,
      signer,
      publishAtOnce: () => false,
    });

  it('shows nothing before, and then the checkpoint with its cosignatures, also after a start', async () => {
    const log = witnessed();
    await log.covered(append(3));
    expect(log.published()).toBeNull();
    expect(readdirSync(dir)).not.toContain('checkpoint');
    await log.publish(3, [cosigned(log.checkpoint())]);
    await log.covered(append(2));
    const text = readFileSync(join(dir, 'checkpoint'));
    const opened = openCheckpoint(text, { origin: ORIGIN, logKeys: [key], witnessKeys: [witness] });
    expect(opened.checkpoint.size).toBe(3);
    expect(opened.cosignatures).toHaveLength(1);
    rmSync(join(dir, 'checkpoint'));
    await witnessed().open();
    expect(new Uint8Array(readFileSync(join(dir, 'checkpoint')))).toEqual(new Uint8Array(text));
  });

  it('never goes back to a smaller head, and takes none that it did not sign', async () => {
    const log = witnessed();
    await log.covered(append(3));
    const three = cosigned(log.checkpoint());
    await log.covered(append(2));
    await log.publish(5, [cosigned(log.checkpoint())]);
    await log.publish(3, [three]);
    expect(log.published()?.size).toBe(5);
    await log.publish(5, [cosigned(log.checkpoint(), 2_000)]);
    const text = log.published()?.text ?? '';
    const opened = openCheckpoint(text, { origin: ORIGIN, logKeys: [key], witnessKeys: [witness] });
    expect(opened.cosignatures.map(({ timeS }) => timeS)).toEqual([2_000]);
    await expect(log.publish(4, [three])).rejects.toMatchObject({ code: 'internal' });
  });

  it('proves an entry under the published head as soon as that covers it', async () => {
    const log = witnessed();
    await log.covered(append(3));
    const trust = { origin: ORIGIN, logKeys: [key], witnessKeys: [witness] };
    expect(openEntryProof(await log.tree.prove(1), trust).opened.cosignatures).toHaveLength(0);
    await log.publish(3, [cosigned(log.checkpoint())]);
    expect(openEntryProof(await log.tree.prove(1), trust).opened.cosignatures).toHaveLength(1);
  });
});

describe('a ledger whose past others have seen', () => {
  const guarded = (beforeSigning: NonNullable<LedgerOptions['beforeSigning']>): Ledger =>
    createLedger({ rows: createLedgerRows(database), dir, origin: ORIGIN, signer, beforeSigning });

  it('signs nothing until it has been compared, once for each process', async () => {
    await ledger().covered(append(2));
    let calls = 0;
    let ready = false;
    const log = guarded(async ({ size }) => {
      calls += 1;
      expect(size).toBe(2);
      if (!ready) throw new PhtError('ledger.unchecked', 'nobody could be asked');
    });
    const size = append(1);
    await log.open();
    await expect(log.covered(size)).rejects.toMatchObject({ code: 'ledger.unchecked' });
    expect(createLedgerRows(database).checkpoint()?.size).toBe(2);
    ready = true;
    await log.covered(size);
    await log.covered(append(1));
    expect(calls).toBe(2);
  });
});
