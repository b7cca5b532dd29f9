import { mkdtempSync, rmSync } from 'node:fs';
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import Docker from 'dockerode';
import { ok, type Server, start, until } from './processes.ts';

/** A whole network on this machine: one directory and one process per member, loopback only. */

export type StationSpec = {
  id: string;
  /** `permit` and `ask` permit any train of this network at once, or after an admin has approved it. */
  policy: 'permit' | 'ask' | 'none';
  csv: string;
  columns: string;
  config?: string;
};

export type Journey = {
  readonly dir: string;
  readonly home: (member: string) => string;
  readonly servers: Map<string, Server>;
  startDispatcher(): Promise<void>;
  startStation(id: string, env?: Record<string, string>): Promise<void>;
  online(count: number): Promise<void>;
  /** How often trains were started at a station, as its own ledger has it. */
  runs(station: string): Promise<number>;
  /** Trains that run now, of this network alone. */
  containers(): Promise<{ id: string; owner: string }[]>;
  close(): Promise<void>;
};

const POLICIES = {
  permit:
    '@id("any") @explain("any train of this network")\npermit (principal, action == Action::"Run", resource);\n',
  ask: '@id("ask") @explain("an admin looks first")\npermit (principal, action == Action::"RunIfApproved", resource);\n',
  none: '',
};

/** The engine of a test machine may be an old one; its admin says so in so many words. */
const CONFIG = `engine:\n  acceptEngineRisks: [runc-break-outs]\n`;

export async function makeJourney(
  stations: readonly StationSpec[],
  options: { dispatcherPort?: number; witnesses?: boolean } = {},
): Promise<Journey> {
  const dir = mkdtempSync(join(tmpdir(), 'pht-'));
  const home = (member: string): string => join(dir, member);
  const port = options.dispatcherPort ?? (await freePort());
  const address = `127.0.0.1:${port}`;
  await makeHomes(stations, home, address, options.witnesses ?? true);
  const servers = new Map<string, Server>();
  return {
    dir,
    home,
    servers,
    startDispatcher: async () =>
      void servers.set('dispatcher', await start(home('dispatcher'), ['dispatcher', 'serve'])),
    startStation: async (id, env) => void servers.set(id, await start(home(id), ['station', 'serve'], env)),
    online: async (count) => {
      await until(`${count} stations online`, async () => {
        const { stations: seen } = await ok<{ stations: { online: boolean }[] }>(home('lee'), [
          'network',
          'datasets',
        ]);
        return seen.filter((station) => station.online).length >= count;
      });
    },
    runs: async (station) => {
      const database = new DatabaseSync(join(home(station), 'state.db'), { readOnly: true });
      try {
        const sql = `SELECT count(*) AS n FROM ledger_entries WHERE instr(CAST(bytes AS TEXT), '"type":"run.started"')`;
        return Number(database.prepare(sql).get()?.['n']);
      } finally {
        database.close();
      }
    },
    containers: async () => {
      const networkId = await networkIdOf(home);
      const running = await new Docker().listContainers({ filters: { label: ['signalbox.hop'] } });
      return running
        .filter(({ Labels }) => Labels['signalbox.owner']?.startsWith(networkId.slice(0, 12)))
        .map(({ Id, Labels }) => ({ id: Id, owner: Labels['signalbox.owner'] ?? '' }));
    },
    close: async () => {
      await Promise.all([...servers.values()].map((server) => server.stop()));
      await untag(await networkIdOf(home));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

async function networkIdOf(home: (id: string) => string): Promise<string> {
  const { networkId } = await ok<{ networkId: string }>(home('net'), ['network', 'show']);
  return networkId;
}

/** The images that this network's members loaded into the shared engine. */
async function untag(networkId: string): Promise<void> {
  const docker = new Docker();
  const images = await docker.listImages();
  const tags = images.flatMap(({ RepoTags }) => RepoTags ?? []);
  for (const tag of tags.filter((name) => name.startsWith(`signalbox/${networkId.slice(0, 12)}/`))) {
    await docker.getImage(tag).remove();
  }
}

async function makeHomes(
  stations: readonly StationSpec[],
  home: (id: string) => string,
  address: string,
  witnesses: boolean,
): Promise<void> {
  await ok(home('net'), ['network', 'init', '--title', 'Test network', '--no-passphrase']);
  const network = join(home('net'), 'network.json');
  const organisation = ['--organisation', 'Example University', '--network', network];
  const member = (role: string, id: string, more: string[] = []): Promise<unknown> =>
    ok(home(id), [
      'init',
      '--role',
      role,
      '--id',
      id,
      '--title',
      id,
      ...organisation,
      '--dispatcher',
      address,
      ...more,
    ]);
  await Promise.all([
    member('dispatcher', 'dispatcher'),
    member('researcher', 'lee', ['--no-passphrase']),
    member('auditor', 'dpo', ['--no-passphrase']),
  ]);
  for (const { id } of stations) {
    await member('station', id);
    await member('admin', `${id}-admin`, ['--station', id, '--no-passphrase']);
  }
  const ids = ['dispatcher', 'lee', 'dpo', ...stations.flatMap(({ id }) => [id, `${id}-admin`])];
  await ok(home('net'), ['network', 'admit', ...ids.map((id) => join(home(id), 'enrolment.json'))]);
  if (!witnesses) await ok(home('net'), ['network', 'witnesses', '--none']);
  for (const id of ids) await ok(home(id), ['network', 'import', network]);
  for (const spec of stations) await furnish(spec, home(spec.id));
}

async function furnish(spec: StationSpec, home: string): Promise<void> {
  await mkdir(join(home, 'data'), { recursive: true, mode: 0o755 });
  await writeFile(join(home, 'data', 'cgd.csv'), spec.csv, { mode: 0o644 });
  await mkdir(join(home, 'datasets'), { recursive: true });
  await writeFile(
    join(home, 'datasets', 'cgd.yaml'),
    `title: Test data\nfile: ../data/cgd.csv\nformat: csv\ncolumns:\n${spec.columns}\n`,
  );
  await writeFile(join(home, 'policy.cedar'), POLICIES[spec.policy]);
  await appendFile(join(home, 'config.yaml'), `${CONFIG}${spec.config ?? ''}`);
}

/** Patients for tests that only count: an arm and nothing else. */
export function arms(placebo: number, treated: number): Pick<StationSpec, 'csv' | 'columns'> {
  const rows = [...Array<string>(placebo).fill('placebo'), ...Array<string>(treated).fill('rIFN-g')];
  return {
    csv: `treat\n${rows.join('\n')}\n`,
    columns: '  - { name: treat, type: category, levels: [placebo, rIFN-g] }',
  };
}

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
