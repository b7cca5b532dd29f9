import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogArchive } from '../../src/adapters/ledger/archive.ts';
import { openLogFolder } from '../../src/adapters/ledger/reader.ts';
import type { Finding } from '../../src/journey/auditor/findings.ts';
import { type Anchor, type LogHead, verifyLog } from '../../src/journey/auditor/verify-log.ts';
import { PhtError } from '../../src/model/error.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import type { LogSource } from '../../src/ports/log-source.ts';
import { type FakeNetwork, makeNetwork, memberIn, signerOf } from '../fakes/network.ts';
import { encoded, filler, type ServedLog, START_MS, servedSource, signedLog } from './story.ts';

/** An audit that goes on where the last one ended finds what a whole one finds, wherever it looks. */

const home = mkdtempSync(join(tmpdir(), 'pht-continue-'));
let fake: FakeNetwork;
let entries: Uint8Array[];
beforeAll(async () => {
  fake = await makeNetwork({ admins: {}, nowMs: START_MS });
  entries = encoded('north', filler(1300));
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

let made = 0;
const freshDir = (): string => join(home, `archive-${made++}`);
const logOf = (size: number): ServedLog => signedLog(fake, 'north', entries.slice(0, size));
const otherEntry = (): Uint8Array => encoded('north', filler(1, START_MS + 400_000))[0] ?? new Uint8Array();

type Done = { head: LogHead; findings: Finding[]; told: number[]; asked: number[]; restarted: number };
type Plan = { anchor?: Anchor | null; from?: 'first' | 'anchor'; dir?: string | null; source?: LogSource };

/** One log verified, and kept as the audit keeps it. */
async function read(log: ServedLog, plan: Plan = {}): Promise<Done> {
  const { anchor = null, from = 'anchor', dir = null } = plan;
  const findings: Finding[] = [];
  const asked: number[] = [];
  let told: number[] = [];
  let restarted = 0;
  const served = plan.source ?? servedSource(new Map([['north', log]]), 100);
  const source: LogSource = {
    ...served,
    entries: (member, first, end) => {
      asked.push(first);
      return served.entries(member, first, end);
    },
  };
  const copy = dir === null ? null : await createLogArchive(dir).begin('north');
  const origin = ledgerOrigin(fake.network.id, 'north');
  const signer = signerOf(memberIn(fake, 'north').keys.log);
  const head = await verifyLog(source, log.checkpoint ?? new Uint8Array(), {
    log: { member: 'north', origin, keys: [logKey(origin, signer.publicJwk)] },
    anchor,
    from,
    nowMs: START_MS + 3_600_000,
    found: (finding) => findings.push(finding),
    onEntry: (index) => told.push(index),
    restarted: () => {
      restarted++;
      told = [];
    },
    progress: () => undefined,
    copy,
  });
  if (head === null) throw new Error('there is no head');
  if (head.sound) await copy?.commit(head.signed, head.from > 0 ? 'extend' : 'replace');
  else await copy?.discard();
  return { head, findings, told, asked, restarted };
}

/** What the auditor remembers of a log. */
function anchorOf({ checkpoint, range, newestMs }: LogHead): Anchor {
  if (range === null) throw new Error('the log was not sound');
  return { size: checkpoint.size, root: checkpoint.root, range, newestMs };
}

async function seen(size: number, dir: string | null = null): Promise<Anchor> {
  const { head, findings } = await read(logOf(size), { dir });
  expect(findings).toEqual([]);
  return anchorOf(head);
}

function filesIn(dir: string): Map<string, string> {
  const found = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = found.map((entry) => join(entry.parentPath, entry.name)).toSorted();
  return new Map(paths.map((path) => [path.slice(dir.length + 1), readFileSync(path).toString('base64')]));
}

const codes = ({ findings }: Done): string[] => findings.map(({ code }) => code);

const EDGES = [0, 1, 2, 255, 256, 257, 511, 512, 513, 767, 768, 1023, 1024, 1300];

describe('going on from the last audit', () => {
  it('gives the same head, the same copy and the same findings as a whole audit, and reads only what is new', async () => {
    const size = fc.oneof(fc.constantFrom(...EDGES), fc.nat(1300));
    await fc.assert(
      fc.asyncProperty(size, size, async (one, other) => {
        const [before, after] = [Math.min(one, other), Math.max(one, other)];
        const [dir, whole] = [freshDir(), freshDir()];
        const anchor = await seen(before, dir);
        const full = await read(logOf(after), { dir: whole, anchor, from: 'first' });
        const next = await read(logOf(after), { dir, anchor });
        expect({ ...next.head, from: 0 }).toEqual(full.head);
        expect([next.head.from, next.head.continues, next.restarted]).toEqual([before, before, 0]);
        expect(next.findings).toEqual([]);
        expect(next.told).toEqual(full.told.slice(before));
        expect(Math.min(...next.asked)).toBeGreaterThanOrEqual(before - (before % 256));
        expect(filesIn(dir)).toEqual(filesIn(whole));
        expect(readdirSync(dir)).toEqual(['north']);
      }),
      { numRuns: 25 },
    );
  });

  it('from a folder that stores its tiles, which are compared', async () => {
    for (const [before, after] of [
      [300, 1290],
      [256, 257],
      [700, 700],
    ] as const) {
      const dir = freshDir();
      const anchor = await seen(before);
      await seen(after, dir);
      const next = await read(logOf(after), { anchor, source: await openLogFolder(dir) });
      expect([next.head.from, next.restarted, codes(next)]).toEqual([before, 0, []]);
      expect(next.head.range).toEqual((await seen(after)).range);
    }
  });

  it('a tile of the new part that does not hold the hashes of its entries is found', async () => {
    const dir = freshDir();
    const anchor = await seen(300);
    await seen(900, dir);
    const path = join(dir, 'north/tile/0/002');
    const bytes = readFileSync(path);
    bytes[70] = (bytes[70] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const next = await read(logOf(900), { anchor, source: await openLogFolder(dir) });
    expect([next.head.sound, codes(next)]).toEqual([false, ['entry.altered']]);
  });

  it('the dates of entries are held against those that were read before', async () => {
    const late = encoded('north', filler(1, START_MS + 4 * 3_600_000));
    const log = signedLog(fake, 'north', [...late, ...entries.slice(0, 10)]);
    const { head } = await read(signedLog(fake, 'north', late));
    const next = await read(log, { anchor: anchorOf(head) });
    expect(codes(next)).toEqual(Array(10).fill('clock.backwards'));
    expect(next.head.newestMs).toBe(head.newestMs);
  });

  it('audit after audit, the copy stays one that verifies', async () => {
    const dir = freshDir();
    let anchor = await seen(3, dir);
    for (const size of [4, 200, 256, 300, 1000, 1001, 1280]) {
      const next = await read(logOf(size), { dir, anchor });
      expect([next.head.from, codes(next)]).toEqual([anchor.size, []]);
      anchor = anchorOf(next.head);
      const kept = await read(logOf(size), { source: await openLogFolder(dir), from: 'first' });
      expect(codes(kept)).toEqual([]);
    }
  });
});

describe('what does not fit the last audit is read as a whole, which says what is wrong', () => {
  it('a memory that was forged', async () => {
    const dir = freshDir();
    const { range, ...signed } = await seen(700, dir);
    const peaks = range?.peaks ?? [];
    const forgeries = [
      { size: 700, peaks: peaks.map((peak) => Buffer.from(peak).fill(7)) },
      { size: 700, peaks: peaks.slice(1) },
      { size: 700, peaks: [...peaks, ...peaks] },
      { size: 699, peaks },
      { size: 700, peaks: peaks.map((peak) => peak.subarray(0, 31)) },
      { size: 2, peaks: [Buffer.from(signed.root)] },
    ];
    for (const forged of forgeries) {
      const next = await read(logOf(900), { anchor: { ...signed, range: forged } });
      expect(codes(next)).toEqual(['state.damaged']);
      expect([next.head.from, next.head.sound, next.told.length, next.restarted]).toEqual([0, true, 900, 1]);
    }
  });

  it('no memory of the tree', async () => {
    const { range, ...signed } = await seen(700);
    const next = await read(logOf(900), { anchor: signed });
    expect([range?.size, next.head.from, next.head.continues, codes(next)]).toEqual([700, 0, 700, []]);
  });

  it.each([
    ['before the last bundle', 100],
    ['within the last bundle', 699],
  ])('a fork %s', async (_, at) => {
    for (const keep of [true, false]) {
      const dir = keep ? freshDir() : null;
      const anchor = await seen(700, dir);
      const before = dir === null ? null : filesIn(dir);
      const forked = [...entries.slice(0, at), otherEntry(), ...entries.slice(at + 1, 900)];
      const next = await read(signedLog(fake, 'north', forked), { anchor, dir });
      expect([next.head.sound, codes(next), next.told.length]).toEqual([false, ['log.forked'], 900]);
      expect(next.findings[0]?.severity).toBe('misconduct');
      if (dir !== null) expect(filesIn(dir)).toEqual(before);
    }
  });

  it('two checkpoints of one size', async () => {
    const anchor = await seen(700);
    const forked = [...entries.slice(0, 699), otherEntry()];
    const next = await read(signedLog(fake, 'north', forked), { anchor });
    expect([next.head.sound, codes(next)]).toEqual([false, ['log.forked']]);
  });

  it('a roll-back, missing entries, altered entries, too many entries', async () => {
    const dir = freshDir();
    const anchor = await seen(700, dir);
    const kept = filesIn(dir);
    const cut = logOf(900);
    cut.entries.pop();
    const altered = logOf(900);
    altered.entries[800] = otherEntry();
    const rolledBack = logOf(600);
    for (const [log, code] of [
      [cut, 'entries.missing'],
      [altered, 'entries.altered'],
      [rolledBack, 'log.rolled-back'],
    ] as const) {
      const next = await read(log, { anchor, dir });
      expect([next.head.sound, next.head.range, codes(next)]).toEqual([false, null, [code]]);
    }
    const source = servedSource(new Map([['north', logOf(900)]]));
    const more: LogSource = { ...source, entries: (member, first) => source.entries(member, first, 900) };
    const next = await read(logOf(800), { anchor, dir, source: more });
    expect([next.head.sound, codes(next)]).toEqual([false, ['entries.excess']]);
    expect(filesIn(dir)).toEqual(kept);
  });

  it('a copy that lacks what is needed, or is of something else, is written anew', async () => {
    const whole = freshDir();
    await seen(900, whole);
    const damages: ((dir: string) => void)[] = [
      (dir) => rmSync(join(dir, 'north'), { recursive: true }),
      (dir) => rmSync(join(dir, 'north/checkpoint')),
      (dir) => rmSync(join(dir, 'north/tile/1/000.p'), { recursive: true }),
      (dir) => writeFileSync(join(dir, 'north/tile/1/000.p/2'), Buffer.alloc(64, 7)),
      (dir) => {
        rmSync(join(dir, 'north/tile/1/000.p'), { recursive: true });
        writeFileSync(join(dir, 'north/tile/1/000.p'), 'no folder');
      },
      (dir) => {
        rmSync(join(dir, 'north/checkpoint'));
        symlinkSync('/dev/zero', join(dir, 'north/checkpoint'));
      },
      (dir) => writeFileSync(join(dir, 'north/checkpoint'), logOf(600).checkpoint ?? ''),
      (dir) => writeFileSync(join(dir, 'north/checkpoint'), logOf(1000).checkpoint ?? ''),
      (dir) =>
        writeFileSync(join(dir, 'north/checkpoint'), signedLog(fake, 'south', entries).checkpoint ?? ''),
      (dir) => writeFileSync(join(dir, 'north/checkpoint'), 'x'),
    ];
    for (const damage of damages) {
      const dir = freshDir();
      const anchor = await seen(700, dir);
      damage(dir);
      const next = await read(logOf(900), { anchor, dir });
      expect([next.head.from, codes(next)]).toEqual([0, []]);
      expect(filesIn(dir)).toEqual(filesIn(whole));
    }
  });

  it('a memory that is older than the copy, as after a crash between the two', async () => {
    const [dir, whole] = [freshDir(), freshDir()];
    const anchor = await seen(300, dir);
    await read(logOf(700), { anchor, dir });
    await seen(1200, whole);
    const next = await read(logOf(1200), { anchor, dir });
    expect([next.head.from, codes(next)]).toEqual([300, []]);
    expect(filesIn(dir)).toEqual(filesIn(whole));
  });

  it('more findings than anybody reads', async () => {
    const strange = encoded('south', filler(1100));
    const anchor = await seen(10);
    const next = await read(signedLog(fake, 'north', [...entries.slice(0, 10), ...strange]), { anchor });
    expect([next.head.from, next.findings.length]).toEqual([0, 1100]);
  });
});

describe('what going on does not see', () => {
  it('the old part is not read again: what was altered there since, a whole audit finds', async () => {
    const dir = freshDir();
    const anchor = await seen(700, dir);
    const path = join(dir, 'north/tile/entries/000');
    const bytes = readFileSync(path);
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const altered = join(home, 'altered');
    cpSync(dir, altered, { recursive: true });
    const source = await openLogFolder(altered);
    expect(codes(await read(logOf(700), { anchor, source }))).toEqual([]);
    expect((await read(logOf(700), { anchor, source, from: 'first' })).head.sound).toBe(false);
  });
});

it('an unreachable source says nothing about the log, wherever reading begins', async () => {
  const dir = freshDir();
  const anchor = await seen(300, dir);
  const kept = filesIn(dir);
  const source: LogSource = {
    ...servedSource(new Map([['north', logOf(900)]])),
    // biome-ignore lint/correctness/useYield: it fails before it has anything to give
    entries: async function* () {
      throw new PhtError('unreachable', 'the line is dead');
    },
  };
  await expect(read(logOf(900), { anchor, dir, source })).rejects.toMatchObject({ code: 'unreachable' });
  expect(filesIn(join(dir, 'north'))).toEqual(
    new Map([...kept].map(([path, bytes]) => [path.replace('north/', ''), bytes])),
  );
});
