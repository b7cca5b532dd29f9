import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Runs the real `./pht` in a folder of its own, without a terminal, for tests of the command line. */

export const PHT: string = fileURLToPath(new URL('../pht', import.meta.url));

export type Run = { status: number | null; stdout: string; stderr: string };

export type Desk = {
  readonly dir: string;
  pht(args: readonly string[], env?: Record<string, string>): Run;
  /** `pht init` with every option that it needs, without a passphrase. */
  init(home: string, role: string, id: string, ...more: string[]): Run;
  /** @returns the name, to be used as an argument */
  write(name: string, content: string | Uint8Array, mode?: number): string;
  read(name: string): string;
  clear(): void;
};

export function openDesk(): Desk {
  const dir = mkdtempSync(join(tmpdir(), 'pht-cli-'));
  const pht = (args: readonly string[], env: Record<string, string> = {}): Run => {
    const { PATH = '', HOME = '' } = process.env;
    const options = { cwd: dir, env: { PATH, HOME, ...env }, encoding: 'utf8', timeout: 20_000 } as const;
    const { status, stdout, stderr } = spawnSync(PHT, args, options);
    return { status, stdout, stderr };
  };
  return {
    dir,
    pht,
    init: (home, role, id, ...more) =>
      pht([
        ...['--home', home, 'init', '--role', role, '--id', id, '--title', id, '--organisation', 'Org'],
        ...['--network', 'net/network.json', '--no-passphrase', ...more],
      ]),
    write: (name, content, mode = 0o644) => {
      rmSync(join(dir, name), { force: true });
      writeFileSync(join(dir, name), content, { mode });
      return name;
    },
    read: (name) => readFileSync(join(dir, name), 'utf8'),
    clear: () => rmSync(dir, { recursive: true, force: true }),
  };
}

/** The code of the error that `--json` printed. */
export function errorCode(run: Run): string {
  return (JSON.parse(run.stdout) as { error: { code: string } }).error.code;
}
