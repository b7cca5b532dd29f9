import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { storeKey } from '../../src/adapters/home/keys.ts';
import { storeNetwork } from '../../src/adapters/home/network-file.ts';
import { type Channel, connect } from '../../src/adapters/wire/client.ts';
import { JourneyService } from '../../src/gen/pht/v1/journeys_pb.ts';
import { LedgerService } from '../../src/gen/pht/v1/ledger_pb.ts';
import { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { openCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { decodeEntry } from '../../src/model/ledger/entry.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import { type FakeNetwork, makeNetwork, memberIn, publicOf } from '../fakes/network.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

let fake: FakeNetwork;
let home: string;
const children: ChildProcess[] = [];
const channels: Channel[] = [];

beforeAll(async () => {
  fake = await makeNetwork({ auditors: ['dora'] });
  home = mkdtempSync(join(tmpdir(), 'dispatcher-home-'));
  mkdirSync(join(home, 'keys'), { mode: 0o700 });
  const { keys } = memberIn(fake, 'dispatcher');
  for (const use of ['statement', 'tls', 'log'] as const) await storeKey(home, use, keys[use], null);
  const { title, organisation } = fake.network.members.get('dispatcher') ?? { title: '', organisation: '' };
  const member = {
    v: 1,
    id: 'dispatcher',
    role: 'dispatcher',
    title,
    organisation,
    networkId: fake.network.id,
  };
  writeFileSync(join(home, 'member.json'), JSON.stringify(member));
  storeNetwork(home, fake.files, fake.network);
  writeFileSync(join(home, 'config.yaml'), "listen: '127.0.0.1:0'\n");
});

afterEach(async () => {
  for (const channel of channels.splice(0)) channel.close();
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

afterAll(() => rmSync(home, { recursive: true, force: true }));

function run(...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [MAIN, '--home', home, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.push(child);
  return child;
}

async function firstLine(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('no standard output');
  const lines = createInterface({ input: child.stdout });
  for await (const line of lines) return line;
  throw new Error('the process ended without a word');
}

function dial(address: string, id: string): Channel {
  const server = memberIn(fake, 'dispatcher');
  const channel = connect({
    address,
    tls: memberIn(fake, id).tls,
    serverMember: {
      networkId: fake.network.id,
      memberId: 'dispatcher',
      publicJwk: publicOf(server.keys.tls),
    },
  });
  channels.push(channel);
  return channel;
}

async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  return child.exitCode;
}

describe('pht dispatcher serve', () => {
  it('says where it listens, serves over mutual TLS, and ends cleanly when asked', async () => {
    const child = run('dispatcher', 'serve', '--json');
    const ready = JSON.parse(await firstLine(child)) as {
      ready: boolean;
      dispatcher: string;
      listening: string;
    };
    expect(ready).toMatchObject({ ready: true, dispatcher: 'dispatcher' });
    const station = dial(ready.listening, 'north').client(TrackService);
    await station.announce({ software: 'test', datasetDescriptions: [], hops: [], networkVersion: 1 });
    for await (const _ of station.wake({})) break;
    const auditor = dial(ready.listening, 'dora');
    const { stations } = await auditor.client(JourneyService).datasets({});
    expect(stations.map(({ station: id }) => id)).toEqual(['north', 'south']);
    await expect(auditor.client(JourneyService).list({})).rejects.toMatchObject({ code: 'forbidden' });
    await expect(auditor.client(TrackService).pull({})).rejects.toMatchObject({ code: 'forbidden' });

    const { checkpoint } = await auditor.client(LedgerService).checkpoint({ member: 'dispatcher' });
    const origin = ledgerOrigin(fake.network.id, 'dispatcher');
    const key = logKey(origin, publicOf(memberIn(fake, 'dispatcher').keys.log));
    const opened = openCheckpoint(checkpoint, { origin, logKeys: [key], witnessKeys: [] });
    expect(opened.checkpoint.size).toBe(1);

    child.kill('SIGTERM');
    expect(await ended(child)).toBe(0);
    const last = openCheckpoint(readFileSync(join(home, 'ledger/checkpoint')), {
      origin,
      logKeys: [key],
      witnessKeys: [],
    });
    // Who was turned away is on record before the end.
    expect(last.checkpoint.size).toBe(2);
    const bundle = readFileSync(join(home, 'ledger/tile/entries/000.p/2'));
    const second = decodeEntry(bundle.subarray(2 + bundle.readUInt16BE(0) + 2));
    expect(second).toMatchObject({ type: 'rejects.counted', body: { count: 2 } });
    expect(existsSync(join(home, 'state.db-wal'))).toBe(false);
  });

  it('does not share its home, and starts again after it was killed', async () => {
    const child = run('dispatcher', 'serve');
    expect(await firstLine(child)).toMatch(/^listening on 127\.0\.0\.1:[0-9]+$/);
    const rival = run('dispatcher', 'serve', '--json');
    expect(JSON.parse((await allOf(rival)) || '{}')).toMatchObject({ error: { code: 'home.locked' } });
    expect(await ended(rival)).toBe(2);
    child.kill('SIGKILL');
    await ended(child);
    expect(await firstLine(run('dispatcher', 'serve'))).toMatch(/^listening on /);
  });
});

async function allOf(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout ?? []) text += String(chunk);
  return text;
}
