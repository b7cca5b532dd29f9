import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';

const script = fileURLToPath(new URL('engine', import.meta.url));

it('stops with the commands to type where the named engine does not answer', () => {
  const env = { ...process.env, DOCKER_HOST: 'unix:///nonexistent/engine.sock' };
  const { status, stderr, stdout } = spawnSync(script, { env, encoding: 'utf8' });
  expect(status).toBe(1);
  expect(stdout).toBe('');
  expect(stderr).toContain('no container engine answers at DOCKER_HOST=unix:///nonexistent/engine.sock');
  expect(stderr).toContain('sudo apt-get install -y --no-install-recommends docker.io');
});

it('leaves an engine that answers alone, and does not take a server that is none for one', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-engine-'));
  const socket = join(directory, 'engine.sock');
  let status = 200;
  const server = createServer((asked, answer) => {
    answer.statusCode = asked.url === '/_ping' ? status : 404;
    answer.end();
  }).listen(socket);
  await once(server, 'listening');
  const ask = async (): Promise<unknown> => {
    const asking = spawn(script, {
      env: { ...process.env, DOCKER_HOST: `unix://${socket}` },
      stdio: 'ignore',
    });
    return (await once(asking, 'close'))[0];
  };
  expect(await ask()).toBe(0);
  status = 500;
  expect(await ask()).toBe(1);
  server.close();
  rmSync(directory, { recursive: true });
});
