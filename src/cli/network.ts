import type { Command } from 'commander';
import type { Home } from '../adapters/home/member.ts';
import {
  currentNetwork,
  importNetwork,
  networkPath,
  readNetworkFile,
} from '../adapters/home/network-file.ts';
import { isRootDraft } from '../adapters/home/root-draft.ts';
import { PhtError } from '../model/error.ts';
import { assertFresh, type Network } from '../model/network.ts';
import { assertSamePast, openNetwork, openRoots } from '../model/open-network.ts';
import { check, Sha256Hex } from '../model/schema.ts';
import type { Frame } from './frame.ts';
import { addAuthority } from './network-authority.ts';
import { addDatasets } from './network-datasets.ts';
import { networkLines, networkView, type Shown } from './network-view.ts';
import { addWitnesses } from './network-witnesses.ts';

/** `pht network …`: the authority's commands, and what every member does with the file that the authority gives out. */
export function register(program: Command, frame: Frame): void {
  const network = program.command('network').summary('who is a member, with which keys');
  network.description('The members of the network and their keys, as the authority signed them.');

  addAuthority(network, frame);

  network
    .command('import')
    .summary('take over a newer network file')
    .description('Verifies a network file against the pinned network and takes it over if it is newer.')
    .argument('<file>', 'the network file; for the authority, a root-draft.json that was signed')
    .addHelpText('after', '\nExample:\n  $ pht --home ana network import network.json')
    .action((file: string) => importFile(frame, file));

  network
    .command('show')
    .summary('list the members and their keys')
    .description("Lists the members of this home's network.")
    .addHelpText('after', '\nExample:\n  $ pht --home ana network show --json')
    .action(() => show(frame));

  addDatasets(network, frame);
  addWitnesses(network, frame);

  network
    .command('verify')
    .summary('check a network file without a home')
    .description(
      'Verifies every part of a network file, from its first root to its freshness. Compare the id with one from ' +
        'another source.',
    )
    .argument('<file>', 'the network file')
    .option('--id <sha256>', 'the network id that the file must have')
    .option('--against <file>', 'another network file, which must tell the same past')
    .addHelpText('after', '\nExample:\n  $ pht network verify network.json --id 3f5a...')
    .action((file: string, options: VerifyOptions) => verify(frame, file, options));
}

type VerifyOptions = { id?: string; against?: string };

function verify(frame: Frame, file: string, { id: text, against }: VerifyOptions): void {
  const id = text === undefined ? null : check(Sha256Hex, text, '--id', 'usage.invalid');
  const shown = openFile(file, id);
  if (against !== undefined) {
    const other = openFile(against, shown.network.id).network;
    const [older, newer] =
      other.version <= shown.network.version ? [other, shown.network] : [shown.network, other];
    assertSamePast(older, newer);
  }
  tell(
    frame,
    shown,
    against === undefined ? `${file} is sound` : `${file} and ${against} tell the same past`,
  );
}

function openFile(file: string, id: string | null): Shown {
  const files = readNetworkFile(file);
  return { network: openNetwork(files, id), root: openRoots(files.roots, id).root.predicate };
}

async function importFile(frame: Frame, file: string): Promise<void> {
  const home = frame.openHome();
  if (home.member.role === 'authority' && isRootDraft(file)) return importDraft(frame, home, file);
  const { network, changed } = importNetwork(home, readNetworkFile(file));
  const listed = network.members.has(home.member.id);
  const lines = [
    changed
      ? `imported version ${network.version} of ${network.title}: ${network.members.size} members`
      : `version ${network.version} of ${network.title} is here already; nothing was changed`,
  ];
  if (!listed)
    lines.push(`${home.member.id} is not a member of it (yet): the authority admits with pht network admit`);
  warnOfAge(frame, network);
  frame.output.result({ ...summary(network), changed, listed, file: networkPath(home) }, lines);
}

async function importDraft(frame: Frame, home: Home, file: string): Promise<void> {
  const { importRoot, rootTold } = await import('./network-root.ts');
  const network = await importRoot(frame, file);
  const { rootVersion } = network;
  frame.output.result(
    { ...summary(network), rootVersion, changed: true, listed: true, file: networkPath(home) },
    rootTold(home, { network }),
  );
}

function show(frame: Frame): void {
  const home = frame.openHome();
  const network = currentNetwork(home);
  const { root } = openRoots(readNetworkFile(networkPath(home)).roots, network.id);
  tell(frame, { network, root: root.predicate }, `${home.member.id} (${home.member.role}) has pinned:`);
}

function tell(frame: Frame, shown: Shown, headline: string): void {
  warnOfAge(frame, shown.network);
  frame.output.result(networkView(shown), [headline, ...networkLines(shown, frame.nowMs())]);
}

function warnOfAge(frame: Frame, network: Network): void {
  try {
    assertFresh(network, frame.nowMs());
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    frame.output.warn(`${thrown.message}; ask for the current one`);
  }
}

const summary = ({ id, version, digest }: Network): object => ({ networkId: id, version, digest });
