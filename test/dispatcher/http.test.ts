import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { Agent, request as tlsRequest } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLedger } from '../../src/adapters/ledger/files.ts';
import { createMirrorFiles, readTile } from '../../src/adapters/ledger/mirror-files.ts';
import { openDispatcherStore } from '../../src/adapters/store/dispatcher-store.ts';
import { serveLogFiles } from '../../src/cli/dispatcher-logs.ts';
import { createShownLogs } from '../../src/journey/dispatcher/shown.ts';
import { openCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { leafHash, rootOfLeaves } from '../../src/model/ledger/merkle.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import { parsePastHeads } from '../../src/model/ledger/past-heads.ts';
import { decodeBundle, TILE_WIDTH, tilePath, tilesOfTree } from '../../src/model/ledger/tile.ts';
import type { Network } from '../../src/model/network.ts';
import type { DispatcherStore } from '../../src/ports/dispatcher-store.ts';
import type { Ledger } from '../../src/ports/ledger.ts';
import type { ShownLogs } from '../../src/ports/mirror.ts';
import { type FakeNetwork, makeNetwork, memberIn, publicOf, signerOf } from '../fakes/network.ts';
import { collectingLog } from '../wire/harness.ts';

/** Ledgers over HTTP, with real TLS on loopback. 700 entries are signed and 600 of them published. */

const PUBLISHED = 600;
const SIGNED = 700;
let fake: FakeNetwork;
let stranger: FakeNetwork;
let network: Network;
let dir: string;
let store: DispatcherStore;
let ledger: Ledger;
let logs: ShownLogs;
const closers: (() => Promise<void>)[] = [];

beforeAll(async () => {
  fake = await makeNetwork({ auditors: ['dora'] });
  stranger = await makeNetwork({ auditors: ['dora'] });
  network = fake.network;
  dir = mkdtempSync(join(tmpdir(), 'http-'));
  store = openDispatcherStore(join(dir, 'state.db'), 'dispatcher');
  ledger = createLedger({
    rows: store.ledgerRows,
    dir: join(dir, 'ledger'),
    origin: ledgerOrigin(network.id, 'dispatcher'),
    signer: signerOf(memberIn(fake, 'dispatcher').keys.log),
    publishAtOnce: () => false,
  });
  const head = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
  const grow = async (to: number): Promise<void> => {
    const count = to - store.ledgerRows.size();
    const entries = Array.from({ length: count }, (_, at) => ({
      type: 'rejects.counted' as const,
      ...head,
      body: { at },
    }));
    store.atomically(() => store.append(entries, 1));
    await ledger.covered(to);
  };
  await grow(PUBLISHED);
  await ledger.publish(PUBLISHED, []);
  await grow(SIGNED);
  const files = createMirrorFiles(join(dir, 'mirror'));
  const ownTile = (tile: Parameters<typeof readTile>[1], size: number) =>
    readTile(join(dir, 'ledger'), tile, size);
  logs = createShownLogs('dispatcher', ledger, ownTile, store, files);
});
afterEach(async () => {
  network = fake.network;
  for (const close of closers.splice(0)) await close();
});
afterAll(() => {
  store.close();
  rmSync(dir, { recursive: true, force: true });
});

type Answer = { status: number; headers: Record<string, unknown>; body: Buffer };
type Ask = {
  method?: string;
  headers?: Record<string, string>;
  as?: FakeNetwork | null;
  member?: string;
  body?: string;
};

async function serve(
  anonymous = false,
): Promise<{ port: number; lines: ReturnType<typeof collectingLog>['lines'] }> {
  const log = collectingLog();
  const { tls } = memberIn(fake, 'dispatcher');
  const config = { listen: '127.0.0.1:0', anonymous };
  const server = await serveLogFiles(config, { network: () => network, tls, logs, log });
  if (server === null) throw new Error('nothing is served');
  closers.push(server.close);
  return { port: Number(server.address.split(':')[1]), lines: log.lines };
}

function ask(
  port: number,
  path: string,
  { method = 'GET', headers = {}, as = fake, member = 'dora', body }: Ask = {},
) {
  return new Promise<Answer>((resolve, reject) => {
    const where = { host: '127.0.0.1', port, path, method, headers };
    const own =
      as === null
        ? {}
        : { cert: memberIn(as, member).tls.certificatePem, key: memberIn(as, member).tls.privateKeyPem };
    const tls = { ca: memberIn(fake, 'dora').tls.authorityPem, ...own, checkServerIdentity: () => undefined };
    const sent = as === null ? plainRequest(where) : tlsRequest({ ...where, agent: new Agent(tls) });
    sent.on('error', reject);
    sent.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        const { statusCode = 0, headers: given } = response;
        resolve({ status: statusCode, headers: given, body: Buffer.concat(chunks) });
      });
    });
    sent.end(body);
  });
}

const at = (path: string): string => `/${fake.network.id}/dispatcher/${path}`;

describe('a ledger over HTTPS', () => {
  it('is read whole by a member, and its tiles have the published root', async () => {
    const { port } = await serve();
    const head = await ask(port, at('checkpoint'));
    expect(head).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-cache' },
    });
    const origin = ledgerOrigin(fake.network.id, 'dispatcher');
    const key = logKey(origin, publicOf(memberIn(fake, 'dispatcher').keys.log));
    const { checkpoint } = openCheckpoint(head.body, { origin, logKeys: [key], witnessKeys: [] });
    expect(checkpoint.size).toBe(PUBLISHED);
    const entries: Uint8Array[] = [];
    for (const tile of tilesOfTree(PUBLISHED)) {
      const { status, headers, body } = await ask(port, at(tilePath(tile)));
      expect([tilePath(tile), status]).toEqual([tilePath(tile), 200]);
      expect(headers).toMatchObject({
        'content-type': 'application/octet-stream',
        'cache-control': 'private, max-age=31536000, immutable',
        'content-length': String(body.length),
      });
      if (tile.level === 'entries') entries.push(...decodeBundle(body, tile.width));
      else expect(body.length).toBe(tile.width * 32);
    }
    expect(Buffer.from(rootOfLeaves(entries.map(leafHash)))).toEqual(Buffer.from(checkpoint.root));
  });

  it('has its earlier heads beside it, none beyond the published checkpoint', async () => {
    const { port } = await serve();
    const note = (size: number): Buffer => Buffer.from(`o\n${size}\n\n— a AAAA\n`);
    for (const size of [300, PUBLISHED, SIGNED]) {
      const head = { member: 'dispatcher', version: 1, size, atMs: size, text: note(size) };
      store.pastHeads.add(head);
      closers.push(async () => store.pastHeads.remove(head));
    }
    const { status, headers, body } = await ask(port, at('past-heads'));
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'cache-control': 'no-cache',
    });
    expect(parsePastHeads(body).map(Buffer.from)).toEqual([note(300), note(PUBLISHED)]);
    for (const path of [`/${fake.network.id}/nobody/past-heads`, at('past-heads/300'), at('past-heads/')])
      expect((await ask(port, path)).status).toBe(404);
  });

  it('shows no tile beyond the published checkpoint, and earlier partial ones from what stands now', async () => {
    const { port } = await serve();
    const partial = PUBLISHED - 2 * TILE_WIDTH;
    for (const path of [
      'tile/0/002',
      `tile/0/002.p/${partial + 1}`,
      'tile/0/003',
      'tile/entries/002',
      'tile/1/000.p/3',
    ])
      expect([path, (await ask(port, at(path))).status]).toEqual([path, 404]);
    const whole = (await ask(port, at(`tile/0/002.p/${partial}`))).body;
    expect((await ask(port, at('tile/0/002.p/5'))).body).toEqual(whole.subarray(0, 160));
    const bundle = decodeBundle((await ask(port, at('tile/entries/002.p/5'))).body, 5);
    expect(bundle.map(Buffer.from)).toEqual(store.ledgerRows.read(512, 517).map(Buffer.from));
    // Of a full tile too, which a mirror that has not looked for long may ask for.
    expect((await ask(port, at('tile/0/000.p/9'))).body).toEqual(
      (await ask(port, at('tile/0/000'))).body.subarray(0, 288),
    );
  });

  it('answers HEAD without a body, ignores ranges, and refuses all else', async () => {
    const { port } = await serve();
    const head = await ask(port, at('tile/0/000'), { method: 'HEAD' });
    expect([head.status, head.headers['content-length'], head.body.length]).toEqual([200, '8192', 0]);
    const ranged = await ask(port, at('tile/0/000'), { headers: { range: 'bytes=0-1' } });
    expect([ranged.status, ranged.body.length]).toEqual([200, 8192]);
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const refused = await ask(port, at('checkpoint'), { method });
      expect([refused.status, refused.headers['allow']]).toEqual([405, 'GET, HEAD']);
    }
    const withBody = await ask(port, at('checkpoint'), { method: 'POST', body: 'x'.repeat(1000) });
    expect(withBody).toMatchObject({ status: 405, headers: { connection: 'close' } });
  });

  it.each([
    '/',
    '/checkpoint',
    `/${'0'.repeat(64)}/dispatcher/checkpoint`,
    '~checkpoint?x=1',
    '~checkpoint/',
    '~../dispatcher/checkpoint',
    '~tile/0/../0/000',
    '~tile/0/000.p/256',
    '~tile/0/000.p/0',
    '~tile/00/000',
    '~tile/0/%30%30%30',
    '~tile/0/x000/000',
    '~state.db',
    '~tile/0/000.new',
    '/../../etc/passwd',
  ])('knows no %s', async (path) => {
    const { port } = await serve();
    expect((await ask(port, path.replace('~', at('')))).status).toBe(404);
  });

  it('bounds addresses and headers', async () => {
    const { port } = await serve();
    expect((await ask(port, at(`tile/${'0'.repeat(300)}`))).status).toBe(414);
    await expect(ask(port, at('checkpoint'), { headers: { cookie: 'x'.repeat(9000) } })).rejects.toThrow();
    expect((await ask(port, at('checkpoint'))).status).toBe(200);
  });

  it('of a member that has none here is not there', async () => {
    const { port } = await serve();
    for (const member of ['north', 'nobody', 'dora'])
      expect((await ask(port, `/${fake.network.id}/${member}/checkpoint`)).status).toBe(404);
  });
});

describe('whoever asks', () => {
  it('has to be a member of the network as it is now, and a reader', async () => {
    const { port } = await serve();
    expect((await ask(port, at('checkpoint'), { member: 'north' })).status).toBe(200);
    expect((await ask(port, at('checkpoint'), { member: 'dispatcher' })).status).toBe(403);
    network = fake.without('dora').network;
    expect((await ask(port, at('checkpoint'))).status).toBe(403);
    await expect(ask(port, at('checkpoint'), { as: stranger })).rejects.toThrow();
    await expect(ask(port, at('checkpoint'), { as: null })).rejects.toThrow();
  });

  it('loses a connection that it holds open, once it is a member no more', async () => {
    network = fake.network;
    const { port } = await serve();
    const { tls } = memberIn(fake, 'north');
    const socket = connectTls({
      ...{ host: '127.0.0.1', port, minVersion: 'TLSv1.3' as const },
      ...{ ca: tls.authorityPem, cert: tls.certificatePem, key: tls.privateKeyPem },
      checkServerIdentity: () => undefined,
    });
    await once(socket, 'secureConnect');
    const closed = once(socket.resume(), 'close');
    network = {
      ...fake.network,
      members: new Map([...fake.network.members].filter(([id]) => id !== 'north')),
    };
    await closed;
    network = fake.network;
  });

  it('may be anybody only where that was chosen, and the log says so', async () => {
    const { port, lines } = await serve(true);
    const head = await ask(port, at('checkpoint'), { as: null });
    expect(head.status).toBe(200);
    const tile = await ask(port, at('tile/0/000'), { as: null });
    expect(tile.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(lines.map(({ message }) => message).join()).toContain('anybody may read all ledgers');
  });

  it('gets the same answers whatever the bytes of the request are', async () => {
    const { port } = await serve(true);
    await fc.assert(
      fc.asyncProperty(fc.string({ maxLength: 200, unit: 'binary-ascii' }), async (line) => {
        const answer = await new Promise<string>((resolve, reject) => {
          const socket = connect(port, '127.0.0.1');
          let text = '';
          socket.on('data', (chunk) => {
            text += String(chunk);
          });
          socket.on('error', reject);
          socket.on('close', () => resolve(text));
          socket.end(
            `GET /${fake.network.id}/dispatcher/${line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`,
          );
        }).catch(() => '');
        expect(
          answer === '' || /^HTTP\/1\.1 (?:400|404|414) /.test(answer) || line.startsWith('checkpoint'),
        ).toBe(true);
      }),
      { numRuns: 60 },
    );
    expect((await ask(port, at('checkpoint'), { as: null })).status).toBe(200);
  });
});
