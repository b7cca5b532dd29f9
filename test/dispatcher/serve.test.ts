import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { storeKey } from '../../src/adapters/home/keys.ts';
import { storeNetwork } from '../../src/adapters/home/network-file.ts';
import { openDatabase } from '../../src/adapters/store/database.ts';
import { createWitnessStore, WITNESS_TABLES } from '../../src/adapters/store/witness-store.ts';
import { type Channel, connect } from '../../src/adapters/wire/client.ts';
import { JourneyService } from '../../src/gen/pht/v1/journeys_pb.ts';
import { LedgerService } from '../../src/gen/pht/v1/ledger_pb.ts';
import { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { WitnessService } from '../../src/gen/pht/v1/witness_pb.ts';
import { listenAsWitness, remoteRelay } from '../../src/journey/witness/remote.ts';
import { createWitness } from '../../src/journey/witness/witness.ts';
import { openCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { decodeEntry } from '../../src/model/ledger/entry.ts';
import { ledgerOrigin, logKey, witnessKey } from '../../src/model/ledger/origin.ts';
import { SEEN_NONCE_BYTES, verifySeen } from '../../src/model/ledger/seen.ts';
import { witnessPolicy } from '../../src/model/witnessing.ts';
import { type FakeNetwork, makeNetwork, memberIn, publicOf, signerOf } from '../fakes/network.ts';

const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

let fake: FakeNetwork;
let home: string;
const homes: string[] = [];
const children: ChildProcess[] = [];
const channels: Channel[] = [];

beforeAll(async () => {
  fake = await makeNetwork({ auditors: ['dora'] });
  home = mkdtempSync(join(tmpdir(), 'dispatcher-home-'));
  await makeHome();
});

async function makeHome(): Promise<void> {
  homes.push(home);
  mkdirSync(join(home, 'keys'), { mode: 0o700 });
  const { keys } = memberIn(fake, 'dispatcher');
  for (const use of ['statement', 'tls', 'log', 'witness'] as const)
    await storeKey(home, use, keys[use], null);
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
}

afterEach(async () => {
  for (const channel of channels.splice(0)) channel.close();
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }
});

afterAll(() => {
  for (const each of homes) rmSync(each, { recursive: true, force: true });
});

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
    // Who began it, and under which list of members.
    expect(opened.checkpoint.size).toBe(2);

    child.kill('SIGTERM');
    expect(await ended(child)).toBe(0);
    const last = openCheckpoint(readFileSync(join(home, 'ledger/checkpoint')), {
      origin,
      logKeys: [key],
      witnessKeys: [],
    });
    // Who was turned away is on record before the end.
    expect(last.checkpoint.size).toBe(3);
    const bundle = readFileSync(join(home, 'ledger/tile/entries/000.p/3'));
    const secondAt = 2 + bundle.readUInt16BE(0);
    const third = bundle.subarray(secondAt + 2 + bundle.readUInt16BE(secondAt) + 2);
    expect(decodeEntry(third)).toMatchObject({ type: 'rejects.counted', body: { count: 2 } });
    expect(existsSync(join(home, 'state.db-wal'))).toBe(false);
  });

  it('serves ledgers over HTTP where its configuration says so, and forgets a member while it runs', async () => {
    writeFileSync(
      join(home, 'config.yaml'),
      "listen: '127.0.0.1:0'\nlogs: { listen: '127.0.0.1:0', anonymous: true }\n",
    );
    const child = run('dispatcher', 'serve', '--json');
    const ready = JSON.parse(await firstLine(child)) as { logs: string; listening: string };
    const journeys = dial(ready.listening, 'rosa').client(JourneyService);
    const nothing = { idempotencyKey: 'k'.repeat(16), manifest: Buffer.from('{}') };
    await expect(journeys.submit(nothing)).rejects.toMatchObject({ code: 'statement.malformed' });
    const prefix = `http://${ready.logs}/${fake.network.id}/dispatcher`;
    const published = () => fetch(`${prefix}/checkpoint`).then((answer) => answer.text());
    await expect.poll(published).toMatch(/^signalbox\.example\/[0-9a-f]{64}\/dispatcher\n[0-9]+\n/);

    const files = ['state.db', 'state.db-wal'].map((name) => join(home, name));
    const holdsName = () => files.some((path) => readFileSync(path).includes('rosa'));
    expect(holdsName()).toBe(true);
    const erased = JSON.parse(await allOf(run('dispatcher', 'forget', 'rosa', '--json')));
    expect(erased).toMatchObject({ member: 'rosa', erased: 1 });
    expect(JSON.parse(await allOf(run('dispatcher', 'forget', 'rosa', '--json')))).toMatchObject({
      erased: 0,
    });
    const bad = run('dispatcher', 'forget', 'Rosa!', '--json');
    expect(await ended(bad)).toBe(2);
    const auditor = dial(ready.listening, 'dora').client(LedgerService);
    await auditor.checkpoint({ member: 'dispatcher' });
    const [, size = '0'] = (await published()).split('\n');
    const entries = [];
    for await (const batch of auditor.entries({ member: 'dispatcher', endIndex: BigInt(size) }))
      entries.push(...batch.entries.map(decodeEntry));
    expect(entries.at(-1)).toMatchObject({ type: 'salts.erased', body: { count: 1 } });
    expect(JSON.stringify(entries)).not.toContain('rosa');
    expect(holdsName()).toBe(false);
    child.kill('SIGTERM');
    expect(await ended(child)).toBe(0);
    writeFileSync(join(home, 'config.yaml'), "listen: '127.0.0.1:0'\n");
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

describe('pht dispatcher serve in a network with a quorum', () => {
  it('signs once enough witnesses are connected, and shows what they have cosigned', async () => {
    const witnessIds = ['dispatcher', 'north', 'south', 'west', 'east'];
    fake = await makeNetwork({
      stations: witnessIds.slice(1),
      auditors: ['dora'],
      witnessing: { quorum: 3, faulty: 1, witnesses: witnessIds },
    });
    home = mkdtempSync(join(tmpdir(), 'dispatcher-home-'));
    await makeHome();
    const child = run('dispatcher', 'serve', '--json');
    const ready = JSON.parse(await firstLine(child)) as { listening: string };
    const ledgers = dial(ready.listening, 'dora').client(LedgerService);
    await expect(ledgers.checkpoint({ member: 'dispatcher' })).rejects.toMatchObject({ code: 'not-found' });
    for (const id of ['north', 'south', 'west']) void listensAsWitness(ready.listening, id);
    const shown = async () =>
      (await ledgers.checkpoint({ member: 'dispatcher' }).catch(() => null))?.checkpoint;
    await expect.poll(shown, { timeout: 15_000 }).toBeDefined();
    const origin = ledgerOrigin(fake.network.id, 'dispatcher');
    const logKeys = [logKey(origin, publicOf(memberIn(fake, 'dispatcher').keys.log))];
    const witnessKeys = witnessPolicy(fake.network, 'dispatcher')?.witnesses.map(({ key }) => key) ?? [];
    const opened = openCheckpoint((await shown()) ?? '', { origin, logKeys, witnessKeys });
    expect(opened.cosignatures.length).toBeGreaterThanOrEqual(3);

    // A station asks the dispatcher itself, and another station.
    const relay = remoteRelay(dial(ready.listening, 'east').client(WitnessService));
    const { signal } = new AbortController();
    expect((await relay.addCheckpoint('dispatcher', Buffer.from('nonsense'), signal)).status).toBe(400);
    expect((await relay.addCheckpoint('north', Buffer.from('nonsense'), signal)).status).toBe(400);
    for (const witness of ['dispatcher', 'north']) {
      const nonce = randomBytes(SEEN_NONCE_BYTES);
      const seen = await relay.seen(witness, nonce, signal);
      const jwk = publicOf(memberIn(fake, witness).keys.witness);
      const question = { origin: ledgerOrigin(fake.network.id, 'east'), nonce };
      verifySeen(question, seen, witnessKey(fake.network.id, witness, jwk));
      expect(seen.note).toHaveLength(0);
    }
    child.kill('SIGTERM');
    expect(await ended(child)).toBe(0);
  });
});

async function listensAsWitness(address: string, id: string): Promise<void> {
  const witness = createWitness({
    id,
    network: () => fake.network,
    store: createWitnessStore(openDatabase(':memory:', [WITNESS_TABLES]), null),
    signer: signerOf(memberIn(fake, id).keys.witness),
    nowMs: () => Date.now(),
  });
  const client = dial(address, id).client(WitnessService);
  await listenAsWitness(client, witness, new AbortController().signal).catch(() => undefined);
}

async function allOf(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout ?? []) text += String(chunk);
  return text;
}
