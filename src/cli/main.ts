#!/usr/bin/env node
import { readFileSync } from 'node:fs';

/** The entry. It loads nothing that answering `--version` does not need. */

const NODE_MAJOR = 24;
const NODE_MINOR = 15;
const LINGER_MS = 3000;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < NODE_MAJOR || (major === NODE_MAJOR && minor < NODE_MINOR)) {
  process.stderr.write(
    `pht: needs Node.js ${NODE_MAJOR}.${NODE_MINOR} or newer; this is ${process.versions.node}\n`,
  );
  process.exit(1);
}

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};
const [first, ...others] = process.argv.slice(2);
if (others.length === 0 && (first === '--version' || first === '-V')) {
  process.stdout.on('error', () => process.exit(1));
  process.stdout.write(`${version}\n`);
} else {
  const { main } = await import('./program.ts');
  process.exitCode = await main(version);
  // The command has ended and closed what it opened; a connection that a peer holds open must not keep the process.
  setTimeout(() => process.exit(), LINGER_MS).unref();
}
