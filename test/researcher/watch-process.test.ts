import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDepot } from '../../src/adapters/depot/files.ts';
import { loadKey } from '../../src/adapters/home/keys.ts';
import { createPackedTrains } from '../../src/adapters/home/trains.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { type Digest, type TrainId, trainIdOf } from '../../src/model/id.ts';
import { openNetwork } from '../../src/model/open-network.ts';
import { signStatement } from '../../src/model/statement.ts';
import type { Manifest } from '../../src/model/train.ts';
import { makeHomes } from '../cli/rig.ts';
import { publicOf, x25519 } from '../fakes/network.ts';
import { makeImage } from '../fakes/trains.ts';
import { freePort } from '../journey/harness.ts';
import { PHT } from '../spawn-pht.ts';

/** Watching as people do it: real processes, and a dispatcher that is killed again and again. */

const RESTARTS = 4;
const DAY_MS = 86_400_000;
let dir: string;
const children: ChildProcess[] = [];

beforeAll(async () => {
  dir = await makeHomes();
  const address = `127.0.0.1:${await freePort()}`;
  writeFileSync(join(dir, 'disp/config.yaml'), `listen: '${address}'\n`);
  writeFileSync(join(dir, 'lee/config.yaml'), `dispatcher: { address: '${address}' }\n`);
}, 60_000);

afterAll(async () => {
  for (const child of children) if (child.exitCode === null) child.kill('SIGKILL');
  rmSync(dir, { recursive: true, force: true });
});

function pht(...args: string[]): ChildProcess & { lines: string[]; said(): string } {
  const child = spawn(PHT, args, { cwd: dir, stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const lines: string[] = [];
  let err = '';
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  return Object.assign(child, { lines, said: () => err });
}

async function serve(): Promise<ChildProcess> {
  const server = pht('--home', 'disp', 'dispatcher', 'serve', '--json');
  await expect.poll(() => server.lines.length, { timeout: 20_000 }).toBeGreaterThan(0);
  return server;
}

async function pack(): Promise<TrainId> {
  const files = JSON.parse(readFileSync(join(dir, 'lee/network.json'), 'utf8')) as Parameters<
    typeof openNetwork
  >[0];
  const network = openNetwork(files, null);
  const signer = createSigner(
    await loadKey(join(dir, 'lee'), 'statement', () => Promise.reject(new Error())),
  );
  const [key, { image, blobs }, nowMs] = [x25519(), makeImage(), Date.now()];
  const depot = createDepot(join(dir, 'lee/depot'));
  const one = async function* (bytes: Uint8Array): AsyncGenerator<Uint8Array> {
    yield bytes;
  };
  for (const [digest, bytes] of blobs) await depot.write(digest, bytes.byteLength, 0, one(bytes));
  const predicate: Manifest = {
    ...{ networkId: network.id, networkVersion: network.version, issuer: 'lee', title: 'Hello', image },
    purpose: { text: 'Count the rows of a dataset.', duo: [] },
    ...{ dataset: 'cgd', parameters: {}, combine: false },
    route: { pattern: 'parallel', stops: ['ams'], minStations: 1, deadlineMs: DAY_MS },
    limits: {
      ...{ memoryBytesMax: 64 * 1024 * 1024, cpuMillis: 1000, pidsMax: 16, wallMsMax: 30_000 },
      ...{ outputBytesMax: 16 * 1024, scratchBytesMax: 1024 * 1024 },
    },
    outputs: { schema: 'pht-result/v1', kinds: ['Frequencies'] },
    recipients: [{ member: 'lee', jwk: publicOf(key) }],
    nonce: randomBytes(16).toString('hex'),
    ...{ issuedAtMs: nowMs, expiresMs: nowMs + 30 * DAY_MS },
  };
  const subject = { name: 'image', digest: image.configDigest as Digest };
  const { envelope, digest } = signStatement('manifest', subject, predicate, signer);
  const trainId = trainIdOf(digest);
  createPackedTrains(join(dir, 'lee')).keep({
    trainId,
    manifest: encodeEnvelope(envelope),
    key,
    departure: null,
  });
  return trainId;
}

test('a watch outlives its dispatcher, prints a wait once, and keeps no socket of before', async () => {
  let server = await serve();
  const trainId = await pack();
  const submitted = pht('--home', 'lee', 'train', 'submit', trainId, '--json');
  await once(submitted, 'close');
  expect(submitted.exitCode, submitted.said() + submitted.lines.join('')).toBe(0);

  const watch = pht('--home', 'lee', 'train', 'watch', trainId);
  const words = (): string => watch.lines.join(' ').replace(/\s+/g, ' ');
  await expect.poll(words, { timeout: 20_000 }).toContain('the station was never online');
  expect(words()).toContain('ams ordered: waits for the station to take it since');
  const printed = watch.lines.length;
  const descriptors = (): number => readdirSync(`/proc/${watch.pid}/fd`).length;
  const atFirst = descriptors();
  for (let restart = 1; restart <= RESTARTS; restart++) {
    server.kill('SIGKILL');
    await once(server, 'close');
    server = await serve();
    await expect.poll(() => watch.said().match(/answers again/g), { timeout: 20_000 }).toHaveLength(restart);
  }
  expect(descriptors()).toBeLessThanOrEqual(atFirst + 1);
  expect(watch.lines).toHaveLength(printed);

  const listed = pht('--home', 'lee', 'train', 'list');
  await once(listed, 'close');
  expect(listed.lines.join('\n')).toContain(
    `What they wait for, says the dispatcher:\n${trainId}\n  ams: waits for`,
  );
  for (const line of [...listed.lines, ...watch.lines]) expect(line.length).toBeLessThanOrEqual(80);
  const programs = pht('--home', 'lee', 'train', 'list', '--json');
  await once(programs, 'close');
  const { trains } = JSON.parse(programs.lines.join('\n')) as { trains: { stops: object[] }[] };
  expect(trains[0]?.stops[0]).toMatchObject({ waitsFor: 'station', stationOnline: false, stationSeenMs: 0 });

  const cancelled = pht('--home', 'lee', 'train', 'cancel', trainId, '--json');
  await once(cancelled, 'close');
  // Nothing new is printed for it: the stop still waits for its station.
  expect(watch.lines).toHaveLength(printed);
  watch.kill('SIGINT');
  const [status] = (await once(watch, 'close')) as [number];
  expect(status).toBe(130);
}, 120_000);
