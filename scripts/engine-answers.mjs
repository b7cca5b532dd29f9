// Exit status 0 when a container engine answers `GET /_ping` at DOCKER_HOST or the default socket. Plain JavaScript
// without packages: it runs on any Node before anything is installed.
import { access, readFile } from 'node:fs/promises';
import { request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { homedir } from 'node:os';
import { join } from 'node:path';

const TIMEOUT_MS = 5_000;
const address = process.env.DOCKER_HOST ?? '';

async function target() {
  if (address !== '' && !address.startsWith('unix://')) {
    const url = new URL(address.includes('//') ? address : `tcp://${address}`);
    return { host: url.hostname, port: url.port, ...(await certificates(url.port)) };
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

/** As the engine's own client reads them. */
async function certificates(port) {
  if (process.env.DOCKER_TLS_VERIFY !== '1' && port !== '2376') return {};
  const path = process.env.DOCKER_CERT_PATH ?? join(homedir(), '.docker');
  const [ca, cert, key] = await Promise.all(
    ['ca', 'cert', 'key'].map((name) => readFile(join(path, `${name}.pem`))),
  );
  return { protocol: 'https:', ca, cert, key };
}

async function answers() {
  const options = { ...(await target()), path: '/_ping', timeout: TIMEOUT_MS };
  return new Promise((resolve) => {
    const request = options.protocol === 'https:' ? requestTls : requestPlain;
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
