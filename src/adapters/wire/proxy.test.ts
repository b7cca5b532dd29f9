import { connect, createServer, type Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { openTunnel, parseProxy } from './proxy.ts';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

async function proxyThat(onRequest: (socket: Socket, head: string) => void): Promise<Socket> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.once('data', (head) => onRequest(socket, head.toString('latin1')));
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const bound = server.address();
  const socket = connect(typeof bound === 'object' && bound !== null ? bound.port : 0, '127.0.0.1');
  socket.on('error', () => socket.destroy());
  closers.push(
    () => void server.close(),
    () => void socket.destroy(),
  );
  return socket;
}

const plain = { host: 'p', port: 1, authorization: undefined };

test('host, port, default port and credentials', () => {
  expect(parseProxy('http://proxy.hospital:3128')).toEqual({
    host: 'proxy.hospital',
    port: 3128,
    authorization: undefined,
  });
  expect(parseProxy('http://[::1]/')).toEqual({ host: '::1', port: 80, authorization: undefined });
  const basic = `Basic ${Buffer.from('ann:p@ss:ü').toString('base64')}`;
  expect(parseProxy('http://ann:p%40ss%3A%C3%BC@proxy:8080').authorization).toBe(basic);
});

test.each([
  '',
  'proxy:3128',
  'https://proxy:3128',
  'socks5://proxy',
  'http://',
  'http://p/path',
  'http://p?x',
  'http://a:%ZZ@p',
])('refuses %j', (url) => {
  expect(() => parseProxy(url)).toThrow(expect.objectContaining({ code: 'config.invalid' }));
});

test('never throws anything else, and never repeats a password', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        parseProxy(`http://user:hunter2@${text}`);
      } catch (thrown) {
        expect(thrown).toBeInstanceOf(PhtError);
        expect(`${thrown} ${(thrown as PhtError).cause}`).not.toContain('hunter2');
      }
    }),
  );
});

test('bytes after the answer belong to the tunnel, even when the answer comes in pieces', async () => {
  const socket = await proxyThat((peer, head) => {
    expect(head).toBe(
      'CONNECT dispatcher:443 HTTP/1.1\r\nHost: dispatcher:443\r\nProxy-Authorization: Basic eA==\r\n\r\n',
    );
    peer.write('HTTP/1.1 200 Conn');
    setTimeout(() => peer.write('ection established\r\nX: y\r\n\r\nearly bytes'), 20);
  });
  await openTunnel(socket, 'dispatcher:443', { ...plain, authorization: 'Basic eA==' });
  const [first] = await new Promise<Buffer[]>((resolve) => socket.once('data', (data) => resolve([data])));
  expect(first?.toString()).toBe('early bytes');
});

test.each([
  ['HTTP/1.1 407 Proxy Authentication Required\r\n\r\n', /credentials/],
  ['HTTP/1.1 503 No\r\n\r\n', /503/],
  ['SSH-2.0-OpenSSH_9\r\n\r\n', /does not speak HTTP/],
  [`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(20_000)}`, /too long/],
])('a proxy that answers %.40j is an error', async (answer, expected) => {
  const socket = await proxyThat((peer) => void peer.write(answer));
  await expect(openTunnel(socket, 'd:1', plain)).rejects.toThrow(expected);
});

test('a proxy that hangs up is an error', async () => {
  const socket = await proxyThat((peer) => void peer.end());
  await expect(openTunnel(socket, 'd:1', plain)).rejects.toThrow(/closed/);
});
