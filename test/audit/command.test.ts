import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { storeKey } from '../../src/adapters/home/keys.ts';
import { lockHome } from '../../src/adapters/home/lock.ts';
import { storeNetwork } from '../../src/adapters/home/network-file.ts';
import { bind } from '../../src/adapters/wire/bind.ts';
import { showTrain } from '../../src/cli/audit-show.ts';
import { verifyLogs } from '../../src/cli/audit-verify.ts';
import { createFrame, type Frame } from '../../src/cli/frame.ts';
import { createOutput } from '../../src/cli/output.ts';
import { LedgerService } from '../../src/gen/pht/v1/ledger_pb.ts';
import type { FindingCode } from '../../src/journey/auditor/findings.ts';
import { PhtError } from '../../src/model/error.ts';
import type { Service } from '../../src/ports/wire.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import { openScope } from '../wire/harness.ts';
import {
  filler,
  headOf,
  honestLines,
  type Lines,
  releasedHop,
  type Served,
  START_MS,
  serve,
} from './story.ts';

/** The auditor's commands over a real wire: a home, a dispatcher that serves what it likes, and what is kept. */

const scope = openScope();
const home = mkdtempSync(join(tmpdir(), 'pht-auditor-'));
const NOW_MS = Date.now();
let fake: FakeNetwork;
let served: Served;

/** Entries as they are, whatever the range asked for is. */
const ledgers: Service<typeof LedgerService> = {
  logs: async () => ({ members: [...served.keys()] }),
  checkpoint: async ({ member }) => {
    const checkpoint = served.get(member)?.checkpoint;
    if (checkpoint == null) throw new PhtError('not-found', 'no such log');
    return { checkpoint };
  },
  entries: async function* ({ member, firstIndex, endIndex }) {
    const entries = served.get(member)?.entries ?? [];
    for (let at = Number(firstIndex); at < Number(endIndex); at += 100) {
      yield { entries: entries.slice(at, Math.min(at + 100, Number(endIndex))) };
    }
  },
  publish: async () => {
    throw new PhtError('forbidden', 'nobody publishes here');
  },
};

type Ran = { status: number; json: Report; text: string };
type Report = {
  verdict: string;
  logs: { member: string; size: number; continues: number | null; verified: boolean }[];
  findings: { code: FindingCode; severity: string; log: string | null }[];
  events: { member: string; text: string }[];
  openHops: object[];
};

async function run(command: (frame: Frame) => Promise<void>, json = true): Promise<Ran> {
  let text = '';
  const write = (part: string): void => {
    text += part;
  };
  const sink = { write, isTTY: false };
  const output = createOutput({ json, stdout: sink, stderr: { write: () => undefined }, env: {} });
  const frame = createFrame({
    output,
    env: {},
    home: () => home,
    signal: () => new AbortController().signal,
  });
  process.exitCode = undefined;
  await command(frame);
  const status = Number(process.exitCode ?? 0);
  return { status, text, json: (json ? JSON.parse(text) : {}) as Report };
}
const verify = (logs?: string): Promise<Ran> =>
  run((frame) => verifyLogs(frame, logs === undefined ? {} : { logs }));
const codes = ({ json }: Ran): FindingCode[] => json.findings.map(({ code }) => code);
const atMs = NOW_MS - START_MS - 3_600_000;
const recent = (lines: Lines): Lines =>
  Object.fromEntries(
    Object.entries(lines).map(([member, of]) => [
      member,
      of.map((line) => ({ ...line, atMs: line.atMs + atMs })),
    ]),
  );
const grown = (count: number): Lines =>
  recent({ ...honestLines(), north: [...releasedHop('t', 'north'), ...filler(count)] });

beforeAll(async () => {
  fake = await makeNetwork({ admins: { adam: 'south' }, auditors: ['olga'], nowMs: NOW_MS });
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => fake.network,
    services: [bind(LedgerService, ledgers, { roles: ['auditor'] })],
  });
  mkdirSync(join(home, 'keys'), { mode: 0o700 });
  const member = {
    v: 1,
    id: 'olga',
    role: 'auditor',
    title: 'Olga',
    organisation: 'O',
    networkId: fake.network.id,
  };
  writeFileSync(join(home, 'member.json'), JSON.stringify(member));
  writeFileSync(join(home, 'config.yaml'), `dispatcher:\n  address: '${address}'\n`);
  storeNetwork(home, fake.files, fake.network);
  await storeKey(home, 'tls', memberIn(fake, 'olga').keys.tls, null);
});
afterEach(() => {
  process.exitCode = undefined;
  rmSync(join(home, 'audit'), { recursive: true, force: true });
});
afterAll(async () => {
  await scope.close();
  rmSync(home, { recursive: true, force: true });
});

describe('pht audit verify', () => {
  it('verifies, remembers, and compares the next time', async () => {
    served = serve(fake, grown(100));
    const first = await verify();
    expect([first.status, first.json.verdict, first.json.findings]).toEqual([0, 'sound', []]);
    expect(first.json.logs.map(({ member, size, continues }) => [member, size, continues])).toEqual([
      ['north', 110, null],
      ['south', 10, null],
      ['dispatcher', 5, null],
    ]);
    served = serve(fake, grown(9000));
    const second = await verify();
    expect(second.json.logs.map(({ size, continues }) => [size, continues])).toEqual([
      [9010, 110],
      [10, 10],
      [5, 5],
    ]);
    const kept = await verify(join(home, 'audit/logs'));
    expect([kept.status, kept.json.logs]).toEqual([
      0,
      second.json.logs.map((log) => ({ ...log, continues: log.size })),
    ]);
  });

  it('finds a roll-back, keeps what it knew, and finds it again', async () => {
    served = serve(fake, grown(100));
    await verify();
    served = serve(fake, grown(50));
    for (let time = 0; time < 2; time++) {
      const ran = await verify();
      expect([ran.status, codes(ran)]).toEqual([4, ['log.rolled-back']]);
    }
    served = serve(fake, grown(100));
    expect((await verify()).status).toBe(0);
  });

  it('finds one byte that was changed in a copy', async () => {
    served = serve(fake, grown(100));
    await verify();
    const copy = join(home, 'audit/copy');
    cpSync(join(home, 'audit/logs'), copy, { recursive: true });
    const path = join(copy, 'south/tile/entries/000.p/10');
    const bytes = readFileSync(path);
    const middle = Math.floor(bytes.length / 2);
    bytes[middle] = (bytes[middle] ?? 0) ^ 1;
    writeFileSync(path, bytes);
    const ran = await verify(copy);
    expect([ran.status, ran.json.verdict]).toEqual([4, 'unsound']);
    expect(codes(ran)).toContain('entries.altered');
  });

  const TAMPERED: [string, (text: string) => string][] = [
    ['cut short', (text) => text.slice(0, -20)],
    ['of another network', (text) => text.replace(/"networkId": "../, '"networkId": "zz')],
    ['with a smaller size', (text) => text.replace('\\n110\\n', '\\n100\\n')],
    ['with the log of another', (text) => text.replaceAll('"north"', '"x"').replaceAll('"south"', '"north"')],
    ['empty', () => ''],
  ];
  it.each(TAMPERED)('finds a memory that was tampered with: %s', async (_, tamper) => {
    served = serve(fake, grown(100));
    await verify();
    const path = join(home, 'audit/state.json');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, tamper(text));
    const ran = await verify();
    expect([ran.status, codes(ran)]).toEqual([4, ['state.damaged']]);
    // It is evidence: no audit overwrites it.
    expect(readFileSync(path, 'utf8')).toBe(tamper(text));
    expect((await verify()).status).toBe(4);
  });

  it('says when its memory is gone', async () => {
    served = serve(fake, grown(100));
    await verify();
    rmSync(join(home, 'audit/state.json'));
    const ran = await verify();
    expect([ran.status, ran.json.verdict, codes(ran)]).toEqual([0, 'warnings', ['state.missing']]);
  });

  it('a reader of a copy leaves nothing behind', async () => {
    served = serve(fake, grown(1));
    await verify();
    cpSync(join(home, 'audit/logs'), join(home, 'copy'), { recursive: true });
    rmSync(join(home, 'audit'), { recursive: true });
    expect((await verify(join(home, 'copy'))).status).toBe(0);
    expect(existsSync(join(home, 'audit'))).toBe(false);
    rmSync(join(home, 'copy'), { recursive: true });
  });

  it('runs once at a time', async () => {
    mkdirSync(join(home, 'audit'));
    const unlock = lockHome(join(home, 'audit'));
    await expect(verify()).rejects.toMatchObject({ code: 'home.locked' });
    unlock();
  });

  it('prints a page of at most 80 columns', async () => {
    served = serve(fake, recent({ ...honestLines(), north: releasedHop('t', 'north').slice(0, 7) }));
    served.delete('south');
    const { text, status } = await run((frame) => verifyLogs(frame, {}), false);
    expect(status).toBe(4);
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(text).toMatch(/^NOT SOUND: 2 findings/m);
    expect(text).toContain('ERROR log.missing (south)');
    expect(text).toContain('Under way, without a receipt yet: 1');
  });
});

describe('pht audit show', () => {
  const { trainId } = headOf('t', 'north');
  const show = (train: string, json = true): Promise<Ran> =>
    run((frame) => showTrain(frame, train, {}), json);

  it("tells a train's life across the logs", async () => {
    served = serve(fake, grown(10));
    const { json, status } = await show(trainId);
    expect(status).toBe(0);
    const told = json.events.map(({ member, text }) => `${member}: ${text}`);
    expect(told[0]).toBe('dispatcher: admitted the train');
    expect(told).toContain('south: policy says ask (r1)');
    expect(told).toContain('south: cleared by adam in person');
    expect(told).toContain('north: cleared by policy');
    expect(told.at(-1)).toBe('dispatcher: took the receipt of south: released');
    expect(told).toHaveLength(25);
    const { text } = await show(trainId, false);
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(text).toContain('they agree with one another');
  });

  it('believes no log that does not verify', async () => {
    served = serve(fake, grown(10));
    served.get('south')?.entries.pop();
    const { json, status } = await show(trainId);
    expect(status).toBe(4);
    expect(json.events.some(({ member }) => member === 'south')).toBe(false);
  });

  it('a train that nobody speaks of, and what is no train', async () => {
    served = serve(fake, grown(10));
    await expect(show('trn_000000000000000000000000')).rejects.toMatchObject({ code: 'not-found' });
    await expect(show('../x')).rejects.toMatchObject({ code: 'usage.invalid' });
  });
});
