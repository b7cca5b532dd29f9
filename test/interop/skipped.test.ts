import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';

/** A machine that cannot compare must never look like one that did. */

const SCRIPT = fileURLToPath(new URL('../../scripts/interop.ts', import.meta.url));

let bin: string;

beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), 'interop-bin-'));
});

afterEach(() => {
  rmSync(bin, { recursive: true, force: true });
});

function interop(...args: string[]): Promise<{ status: unknown; stdout: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [SCRIPT, ...args], { env: { PATH: bin } }, (failure, stdout) => {
      resolve({ status: failure?.code ?? 0, stdout });
    });
  });
}

/** A go that fails to build and to fetch as told. */
function installGo(build: string, fetch: string): void {
  const script = `#!/bin/sh
case $1 in
  build) echo '${build}' >&2; exit 1 ;;
  *) [ -z '${fetch}' ] && exit 0; echo '${fetch}' >&2; exit 1 ;;
esac
`;
  writeFileSync(join(bin, 'go'), script, { mode: 0o755 });
}

describe('interop on a machine without', () => {
  it('go says that it was skipped, with the status that was asked for', async () => {
    const { status, stdout } = await interop();
    expect(stdout).toMatch(/^SKIPPED interop: there is no go here\./);
    expect(stdout).not.toMatch(/passed|ok/);
    expect(status).toBe(0);
    expect(await interop('--skip-status', '77')).toEqual({ status: 77, stdout });
  });

  it.each([
    ['a go as new as needed', 'go: go.mod requires go >= 1.25.0 (running go 1.24.1)', ''],
    ['the modules', 'no required module', 'go: dial tcp: connection refused'],
  ])('%s says so', async (_, build, fetch) => {
    installGo(build, fetch);
    const { status, stdout } = await interop('--skip-status', '77');
    expect(stdout).toMatch(/^SKIPPED interop: /);
    expect(stdout).toContain(fetch === '' ? build : fetch);
    expect(status).toBe(77);
  });
});

describe('interop fails', () => {
  it.each([
    ['where the program does not build', './check.go:1: undefined: x', ''],
    ['where a module is not the one that was pinned', 'missing', 'verifying module: checksum mismatch'],
  ])('%s', async (_, build, fetch) => {
    installGo(build, fetch);
    const { status, stdout } = await interop('--skip-status', '77');
    expect(stdout).toContain(`FAILED go build (1): ${build}`);
    expect(stdout).toMatch(/\n0 passed, 1 failed\n$/);
    expect(status).toBe(1);
  });
});
