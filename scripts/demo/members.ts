import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { appendFile, copyFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { ask, each, ROOT } from './pht.ts';

/** Who takes part, and one directory for each of them. */

export const STATIONS = ['nih', 'us-other', 'amsterdam', 'europe-other'] as const;
export type StationName = (typeof STATIONS)[number];
/** The station whose admin wants to look first. */
export const ASKING: StationName = 'europe-other';
const ORGANISATION = 'Example University';
const RESEARCHER = 'dr-lee';
const TITLES: Readonly<Record<StationName, string>> = {
  nih: 'National Institutes of Health',
  'us-other': 'Other hospitals in the United States',
  amsterdam: 'Amsterdam',
  'europe-other': 'Other hospitals in Europe',
};

/** Where each member lives below the demo's home. */
export type Places = {
  home: string;
  network: string;
  dispatcher: string;
  researcher: string;
  /** Who is a member for a while. */
  secondResearcher: string;
  auditor: string;
  stations: Readonly<Record<StationName, string>>;
  admins: Readonly<Record<StationName, string>>;
};

export function placesIn(home: string): Places {
  const below = (folder: string): Record<StationName, string> => {
    const [a, b, c, d] = STATIONS;
    const at = (name: StationName): string => join(home, folder, name);
    return { [a]: at(a), [b]: at(b), [c]: at(c), [d]: at(d) } as Record<StationName, string>;
  };
  return {
    home,
    network: join(home, 'network'),
    dispatcher: join(home, 'dispatcher'),
    researcher: join(home, 'researcher'),
    secondResearcher: join(home, 'second-researcher'),
    auditor: join(home, 'auditor'),
    stations: below('stations'),
    admins: below('admins'),
  };
}

type NewMember = {
  home: string;
  role: string;
  id: string;
  title: string;
  organisation: string;
  station?: string;
};

function membersOf(places: Places, stations: readonly StationName[]): NewMember[] {
  const hospitals = stations.flatMap((name) => [
    {
      home: places.stations[name],
      role: 'station',
      id: name,
      title: TITLES[name],
      organisation: TITLES[name],
    },
    {
      home: places.admins[name],
      role: 'admin',
      id: `${name}-admin`,
      title: `Admin of ${name}`,
      organisation: TITLES[name],
      station: name,
    },
  ]);
  const lee = { role: 'researcher', id: RESEARCHER, title: 'Dr Lee', organisation: ORGANISATION };
  const kim = { role: 'researcher', id: 'dr-kim', title: 'Dr Kim', organisation: ORGANISATION };
  const dpo = {
    role: 'auditor',
    id: 'auditor',
    title: 'Data protection office',
    organisation: 'Example Audit',
  };
  const hub = { role: 'dispatcher', id: 'dispatcher', title: 'Dispatcher', organisation: 'Example Network' };
  return [
    { home: places.dispatcher, ...hub },
    { home: places.researcher, ...lee },
    { home: places.secondResearcher, ...kim },
    { home: places.auditor, ...dpo },
    ...hospitals,
  ];
}

/** Makes every home and its keys, admits all of them, and hands each the new network file. @returns the network's id */
export async function makeMembers(
  places: Places,
  stations: readonly StationName[] = STATIONS,
): Promise<string> {
  mkdirSync(places.home, { recursive: true, mode: 0o700 });
  const title = 'Demo network';
  const { networkId } = await ask<{ networkId: string }>(places.network, [
    ...['network', 'init', '--title', title, '--organisation', 'Example Network', '--no-passphrase'],
  ]);
  const address = `127.0.0.1:${await freePort()}`;
  const file = join(places.network, 'network.json');
  const members = membersOf(places, stations);
  await each(members, (member) => makeHome(member, file, address));
  const enrolments = members.map(({ home }) => join(home, 'enrolment.json'));
  await ask(places.network, ['network', 'admit', ...enrolments]);
  await each(members, ({ home }) => ask(home, ['network', 'import', file]));
  return networkId;
}

/** One more home; admitting it is another matter. */
export async function makeHome(member: NewMember, networkFile: string, dispatcher: string): Promise<void> {
  const { home, role, id, title, organisation, station } = member;
  await ask(home, [
    ...['init', '--role', role, '--id', id, '--title', title, '--organisation', organisation],
    ...['--network', networkFile, '--dispatcher', dispatcher, '--no-passphrase'],
    ...(station === undefined ? [] : ['--station', station]),
  ]);
}

/** Dataset, description, policy and configuration of each station, as its admin would put them there. */
export async function furnish(
  places: Places,
  csv: Record<string, string>,
  risks: readonly string[],
  stations: readonly StationName[] = STATIONS,
): Promise<void> {
  for (const name of stations) {
    const home = places.stations[name];
    cpSync(join(ROOT, 'stations', name, 'datasets'), join(home, 'datasets'), { recursive: true });
    const patients = csv[name];
    if (patients === undefined) throw new Error(`the export has no patients for ${name}`);
    // A train runs as an unprivileged user, which must be able to read the file; the folders above stay closed.
    await writeFile(join(home, 'datasets/cgd.csv'), patients, { mode: 0o644 });
    const policy = name === ASKING ? 'ask-always' : 'known-researchers';
    await copyFile(join(ROOT, 'stations/policies', `${policy}.cedar`), join(home, 'policy.cedar'));
    await writeFile(join(home, 'lists.yaml'), `researchers:\n  known: [${RESEARCHER}]\n`, { mode: 0o600 });
    const accepted = `\nengine:\n  acceptEngineRisks: [${risks.join(', ')}]\n`;
    if (risks.length > 0) await appendFile(join(home, 'config.yaml'), accepted);
    const socket = JSON.stringify(join(home, 'admin.sock'));
    writeFileSync(join(places.admins[name], 'config.yaml'), `adminSocket:\n  path: ${socket}\n`, {
      mode: 0o600,
    });
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise<void>((resolve) => server.close(() => resolve()));
  if (address === null || typeof address === 'string')
    throw new Error('no free port on the loopback interface');
  return address.port;
}
