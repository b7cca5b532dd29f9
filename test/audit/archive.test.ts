import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createLogArchive } from '../../src/adapters/ledger/archive.ts';
import { openLogFolder } from '../../src/adapters/ledger/reader.ts';
import { type AuditReport, audit } from '../../src/journey/auditor/audit.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import {
  AFTER_MS,
  filler,
  honestLines,
  type Lines,
  releasedHop,
  START_MS,
  serve,
  servedSource,
  WITNESSING,
} from './story.ts';

/** What one audit keeps, a later one verifies without any network; whatever was changed in it is found. */

const home = mkdtempSync(join(tmpdir(), 'pht-audit-'));
const kept = join(home, 'logs');
let fake: FakeNetwork;

const FILLED = 600;
const lines = (count = FILLED): Lines => ({
  ...honestLines(),
  north: [...releasedHop('t', 'north'), ...filler(count)],
});

async function keep(of: Lines): Promise<AuditReport> {
  return audit(
    {
      source: servedSource(serve(fake, of), 100),
      archive: createLogArchive(kept),
      progress: () => undefined,
    },
    { network: fake.network, anchors: new Map(), nowMs: AFTER_MS },
  );
}

async function offline(dir: string): Promise<AuditReport> {
  return audit(
    { source: await openLogFolder(dir), archive: null, progress: () => undefined },
    { network: fake.network, anchors: new Map(), nowMs: null },
  );
}

const filesIn = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(dir.length + 1))
    .toSorted();

beforeAll(async () => {
  fake = await makeNetwork({ admins: { adam: 'south' }, witnessing: WITNESSING, nowMs: START_MS });
  expect((await keep(lines(100))).findings).toEqual([]);
  // The second audit takes the place of the first.
  expect((await keep(lines())).findings).toEqual([]);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

let copies = 0;
function copy(): string {
  const dir = join(home, `copy-${copies++}`);
  cpSync(kept, dir, { recursive: true });
  return dir;
}

describe('an archive', () => {
  it('holds each log as a C2SP tlog-tiles directory and nothing else', () => {
    expect(filesIn(kept).filter((path) => path.startsWith('north/'))).toEqual([
      'north/checkpoint',
      'north/tile/0/000',
      'north/tile/0/001',
      'north/tile/0/002.p/98',
      'north/tile/1/000.p/2',
      'north/tile/entries/000',
      'north/tile/entries/001',
      'north/tile/entries/002.p/98',
    ]);
    expect(readdirSync(kept)).toEqual(['dispatcher', 'north', 'south']);
  });

  it('verifies without any network', async () => {
    const report = await offline(kept);
    expect(report.findings).toEqual([]);
    expect(report.logs.map(({ head }) => head?.checkpoint.size)).toEqual([10 + FILLED, 10, 5]);
  });

  it('keeps the last sound copy when the next one does not verify', async () => {
    const served = serve(fake, { ...lines(), north: filler(20) });
    served.get('north')?.entries.pop();
    await audit(
      { source: servedSource(served), archive: createLogArchive(kept), progress: () => undefined },
      { network: fake.network, anchors: new Map(), nowMs: AFTER_MS },
    );
    expect(readdirSync(kept)).toEqual(['dispatcher', 'north', 'south']);
    expect((await offline(kept)).findings).toEqual([]);
  });
});

describe('a copy that was tampered with', () => {
  it('any one byte, anywhere', async () => {
    const dir = copy();
    const files = filesIn(dir).map((path) => ({
      path: join(dir, path),
      bytes: readFileSync(join(dir, path)),
    }));
    const total = files.reduce((sum, { bytes }) => sum + bytes.length, 0);
    const place = fc.record({ at: fc.nat(total - 1), mask: fc.integer({ min: 1, max: 255 }) });
    await fc.assert(
      fc.asyncProperty(place, async ({ at, mask }) => {
        let rest = at;
        const file = files.find(({ bytes }) => {
          if (rest < bytes.length) return true;
          rest -= bytes.length;
          return false;
        });
        if (file === undefined) throw new Error('no such byte');
        const changed = Buffer.from(file.bytes);
        changed[rest] = (changed[rest] ?? 0) ^ mask;
        writeFileSync(file.path, changed);
        const { failed } = await offline(dir);
        writeFileSync(file.path, file.bytes);
        return failed;
      }),
      { numRuns: 60 },
    );
  });

  it('every byte of a checkpoint', async () => {
    const dir = copy();
    const path = join(dir, 'north/checkpoint');
    const bytes = readFileSync(path);
    rmSync(join(dir, 'north/tile'), { recursive: true });
    for (let at = 0; at < bytes.length; at++) {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      writeFileSync(path, changed);
      const { findings } = await offline(dir);
      expect(findings.map(({ code }) => code)).toContainEqual(expect.stringMatching(/^checkpoint\./));
    }
  });

  it('names the entry that was changed', async () => {
    const dir = copy();
    const path = join(dir, 'north/tile/entries/001');
    const bytes = readFileSync(path);
    const at = bytes.indexOf('"number":');
    bytes[at + 9] = (bytes[at + 9] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const { findings } = await offline(dir);
    expect(findings.map(({ code, log, index }) => [code, log, index])).toEqual([
      ['entry.altered', 'north', 256],
      // Every hash above that entry differs, too.
      ['file.damaged', 'north', null],
      ['entries.altered', 'north', null],
    ]);
  });

  it('a hash alone', async () => {
    const dir = copy();
    const path = join(dir, 'north/tile/1/000.p/2');
    const bytes = readFileSync(path);
    bytes[40] = (bytes[40] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    expect((await offline(dir)).findings).toMatchObject([{ code: 'file.damaged', severity: 'error' }]);
  });

  const DAMAGE: [string, string, (dir: string) => void][] = [
    ['a missing tile', 'file.damaged', (dir) => rmSync(join(dir, 'north/tile/0/001'))],
    ['a missing bundle', 'file.damaged', (dir) => rmSync(join(dir, 'north/tile/entries/001'))],
    ['a missing checkpoint', 'log.missing', (dir) => rmSync(join(dir, 'north/checkpoint'))],
    ['a missing log', 'log.missing', (dir) => rmSync(join(dir, 'north'), { recursive: true })],
    ['a shortened bundle', 'file.damaged', (dir) => writeFileSync(join(dir, 'north/tile/entries/001'), 'x')],
    ['an empty checkpoint', 'log.missing', (dir) => writeFileSync(join(dir, 'north/checkpoint'), '')],
    [
      'a folder in place of a file',
      'file.damaged',
      (dir) => {
        rmSync(join(dir, 'north/tile/entries/001'));
        mkdirSync(join(dir, 'north/tile/entries/001'));
      },
    ],
    [
      'a link in place of a file',
      'file.damaged',
      (dir) => {
        rmSync(join(dir, 'north/tile/0/001'));
        symlinkSync(join(kept, 'north/tile/0/001'), join(dir, 'north/tile/0/001'));
      },
    ],
    [
      'another log',
      'checkpoint.foreign',
      (dir) => {
        rmSync(join(dir, 'north'), { recursive: true });
        cpSync(join(kept, 'south'), join(dir, 'north'), { recursive: true });
      },
    ],
    [
      'a huge checkpoint',
      'file.damaged',
      (dir) => writeFileSync(join(dir, 'north/checkpoint'), Buffer.alloc(2_000_000, 10)),
    ],
  ];
  it.each(DAMAGE)('%s: %s', async (_, code, damage) => {
    const dir = copy();
    damage(dir);
    const report = await offline(dir);
    expect(report.findings.map(({ code }) => code)).toContain(code);
    expect(report.failed).toBe(true);
  });

  it('files that belong to no log are a warning', async () => {
    const dir = copy();
    writeFileSync(join(dir, 'north/notes.txt'), 'mine');
    writeFileSync(join(dir, 'north/tile/entries/007'), 'more');
    writeFileSync(join(dir, 'README'), 'mine');
    const report = await offline(dir);
    expect(report.findings.map(({ code, severity }) => [code, severity])).toEqual([
      ['log.unknown', 'warning'],
      ['file.unknown', 'warning'],
      ['file.unknown', 'warning'],
    ]);
    expect(report.failed).toBe(false);
  });
});

describe('a folder that is none of logs', () => {
  it('is a wrong use', async () => {
    await expect(openLogFolder(join(home, 'nowhere'))).rejects.toMatchObject({ code: 'config.missing' });
    await expect(openLogFolder(join(kept, 'north'))).rejects.toMatchObject({ code: 'usage.invalid' });
    await expect(openLogFolder(join(kept, 'north/checkpoint'))).rejects.toMatchObject({
      code: 'usage.invalid',
    });
  });
});
