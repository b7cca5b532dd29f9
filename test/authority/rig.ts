import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openHome } from '../../src/adapters/home/member.ts';
import { currentNetwork, importNetwork, readNetworkFile } from '../../src/adapters/home/network-file.ts';
import type { Frame } from '../../src/cli/frame.ts';
import { type InitOptions, initMember } from '../../src/cli/init.ts';
import { type AdmitOptions, admit } from '../../src/cli/network-admit.ts';
import { freshen } from '../../src/cli/network-freshen.ts';
import { initNetwork, type NetworkInitOptions } from '../../src/cli/network-init.ts';
import { type RevokeOptions, revoke } from '../../src/cli/network-revoke.ts';
import { type RotatedRole, type RotateOptions, rotateRole } from '../../src/cli/network-rotate.ts';
import { PhtError } from '../../src/model/error.ts';
import type { Network } from '../../src/model/network.ts';

/** An authority and its members in one folder and one process, at any time of day. */

export const DAY_MS = 86_400_000;

export type Rig = {
  readonly dir: string;
  nowMs: number;
  /** What was warned of, and the last answer's JSON. */
  readonly warnings: string[];
  told: Record<string, unknown>;
  /** The same answer as a person reads it. */
  lines: readonly string[];
  at(...names: string[]): string;
  frame(home: string): Frame;
  found(options?: Partial<NetworkInitOptions>, home?: string): Promise<void>;
  enrol(id: string, role: InitOptions['role'], more?: Partial<InitOptions>): Promise<void>;
  admit(ids: readonly string[], options?: Partial<AdmitOptions>): Promise<void>;
  revoke(id: string, options?: Partial<RevokeOptions>): Promise<void>;
  freshen(): Promise<void>;
  rotate(what: RotatedRole, options?: Partial<RotateOptions>): Promise<void>;
  import(id: string): Network;
  network(home?: string): Network;
  copy(from: string, to: string): void;
  close(): void;
};

const LIST = { expiresDays: '365', certificateDays: '90' };
const ROOT = { rootExpiresDays: '1825' };

export function openRig(nowMs: number): Rig {
  const dir = mkdtempSync(join(tmpdir(), 'pht-authority-'));
  const at = (...names: string[]): string => join(dir, ...names);
  const warnings: string[] = [];
  const rig: Rig = {
    ...{ dir, nowMs, warnings, told: {}, lines: [], at },
    frame: (home) => ({
      output: {
        json: true,
        result: (value, lines) => {
          rig.told = value as Record<string, unknown>;
          rig.lines = lines;
        },
        event: () => undefined,
        progress: () => undefined,
        warn: (line) => void warnings.push(line),
        paint: (_style, text) => text,
      },
      env: {},
      signal: new AbortController().signal,
      nowMs: () => rig.nowMs,
      homeDir: () => at(home),
      openHome: (roles) => openHome(at(home), roles),
    }),
    found: (options = {}, home = 'net') =>
      initNetwork(rig.frame(home), {
        ...{ title: 'Heart', passphrase: false, freshnessDays: '7', ...ROOT },
        ...options,
      }),
    enrol: (id, role, more = {}) =>
      initMember(rig.frame(id), {
        ...{ role, id, title: `Title of ${id}`, organisation: 'Org', network: at('net', 'network.json') },
        ...{ dispatcher: 'localhost:7443', passphrase: false },
        ...more,
      }),
    admit: (ids, options = {}) => {
      const files = ids.map((id) => (id.endsWith('.json') ? at(id) : at(id, 'enrolment.json')));
      return admit(rig.frame('net'), files, { ...LIST, ...options });
    },
    revoke: (id, options = {}) => revoke(rig.frame('net'), id, { ...LIST, reason: 'left', ...options }),
    freshen: () => freshen(rig.frame('net'), { certificateDays: '90' }),
    rotate: (what, options = {}) => rotateRole(rig.frame('net'), what, { ...ROOT, ...options }),
    import: (id) => importNetwork(openHome(at(id)), readNetworkFile(at('net', 'network.json'))).network,
    network: (home = 'net') => currentNetwork(openHome(at(home))),
    copy: (from, to) => {
      cpSync(at(from), at(to), { recursive: true });
      for (const folder of [at(to), at(to, 'keys')]) if (existsSync(folder)) chmodSync(folder, 0o700);
    },
    close: () => rmSync(dir, { recursive: true, force: true }),
  };
  return rig;
}

export const textOf = (path: string): string => readFileSync(path, 'utf8');

export async function codeOf(work: () => unknown): Promise<string> {
  try {
    await work();
  } catch (thrown) {
    return thrown instanceof PhtError ? thrown.code : `not ours: ${String(thrown)}`;
  }
  return 'accepted';
}
