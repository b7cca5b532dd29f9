// Exit status 0 when a container engine answers `GET /_ping` at DOCKER_HOST or the default socket. Plain JavaScript
// without packages: it runs on any Node before anything is installed.
import { access } from 'node:fs/promises';
import { request } from 'node:http';
import { homedir } from 'node:os';
import { join } from 'node:path';

const TIMEOUT_MS = 5_000;
const address = process.env.DOCKER_HOST ?? '';

async function target() {
  if (address !== '' && !address.startsWith('unix://')) {
    const url = new URL(address.includes('//') ? address : `tcp://${address}`);
    return { host: url.hostname, port: url.port };
  }
  const named = address.slice('unix://'.length);
  if (named !== '') return { socketPath: named };
  const own = join(homedir(), '.docker', 'run', 'docker.sock');
  const there = await access(own).then(
    () => true,
    () => false,
  );
  return { socketPath: there ? own : '/var/run/docker.sock' };
}

async function answers() {
  const options = { ...(await target()), path: '/_ping', timeout: TIMEOUT_MS };
  return new Promise((resolve) => {
    const asking = request(options, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asking.on('timeout', () => asking.destroy());
    asking.on('error', () => resolve(false));
    asking.end();
  });
}

process.exitCode = (await answers().catch(() => false)) ? 0 : 1;
