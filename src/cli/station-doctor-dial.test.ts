import { createServer, type Server } from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { type FakeMember, type FakeNetwork, makeNetwork, memberIn } from '../../test/fakes/network.ts';
import { traceDispatcher } from './station-doctor-dial.ts';

let fake: FakeNetwork;
let other: FakeNetwork;
const servers: Server[] = [];

beforeAll(async () => {
  fake = await makeNetwork();
  other = await makeNetwork();
});
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

async function listening(server: Server): Promise<string> {
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
}

function dispatcher(tls: FakeMember['tls']): Promise<string> {
  const files = { ca: tls.authorityPem, cert: tls.certificatePem, key: tls.privateKeyPem };
  const server = createTlsServer({
    ...files,
    requestCert: true,
    minVersion: 'TLSv1.3',
    ALPNProtocols: ['h2'],
  });
  server.on('secureConnection', (socket) => socket.on('error', () => undefined));
  return listening(server);
}

/** A proxy that answers every CONNECT with one line. */
function proxy(answer: string): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => socket.end(`HTTP/1.1 ${answer}\r\n\r\n`));
  });
  return listening(server);
}

async function traced(address: string, proxyUrl?: string): Promise<string[]> {
  const publicJwk = fake.network.members.get('dispatcher')?.keys.tls;
  if (publicJwk === undefined) throw new Error('the dispatcher has no TLS key');
  const findings = await traceDispatcher({
    address,
    proxy: proxyUrl,
    tls: memberIn(fake, 'north').tls,
    serverMember: { networkId: fake.network.id, memberId: 'dispatcher', publicJwk },
  });
  return findings.map(({ check, level }) => `${check} ${level}`);
}

const REACHED = ['name (DNS) ok', 'connection (TCP) ok'];

test('every hop to an honest dispatcher', async () => {
  const address = await dispatcher(memberIn(fake, 'dispatcher').tls);
  expect(await traced(address)).toEqual([...REACHED, 'encryption (TLS) ok', 'identity ok']);
});

test('a name that nobody knows', async () => {
  expect(await traced('dispatcher.invalid:7443')).toEqual(['name (DNS) fail']);
});

test('a port that nobody listens on', async () => {
  const address = await listening(createServer());
  servers.splice(0).forEach((server) => void server.close());
  expect(await traced(address)).toEqual(['name (DNS) ok', 'connection (TCP) fail']);
});

test('a server of another network', async () => {
  const address = await dispatcher(memberIn(other, 'dispatcher').tls);
  expect(await traced(address)).toEqual([...REACHED, 'encryption (TLS) fail']);
});

test('another member of the network in its place', async () => {
  const address = await dispatcher(memberIn(fake, 'south').tls);
  expect(await traced(address)).toEqual([...REACHED, 'encryption (TLS) ok', 'identity fail']);
});

test('a server that speaks no TLS', async () => {
  const address = await listening(createServer((socket) => void socket.end('hello\r\n')));
  expect(await traced(address)).toEqual([...REACHED, 'encryption (TLS) fail']);
});

test('a proxy that refuses the tunnel', async () => {
  const url = `http://${await proxy('403 Forbidden')}`;
  expect(await traced('dispatcher.example.org:7443', url)).toEqual([...REACHED, 'proxy (CONNECT) fail']);
});

test('a proxy that is not there', async () => {
  const gone = await listening(createServer());
  servers.splice(0).forEach((server) => void server.close());
  expect(await traced('dispatcher.example.org:7443', `http://${gone}`)).toEqual([
    'name (DNS) ok',
    'connection (TCP) fail',
  ]);
});
