import type { Command } from 'commander';
import {
  currentNetwork,
  importNetwork,
  networkPath,
  readNetworkFile,
} from '../adapters/home/network-file.ts';
import type { Network } from '../model/network.ts';
import { openNetwork } from '../model/open-network.ts';
import { check, Sha256Hex } from '../model/schema.ts';
import type { Frame } from './frame.ts';
import type { AdmitOptions } from './network-admit.ts';
import { addDatasets } from './network-datasets.ts';
import type { NetworkInitOptions } from './network-init.ts';
import { networkLines, networkView } from './network-view.ts';
import { addWitnesses } from './network-witnesses.ts';

/** `pht network …`: the authority's commands, and what every member does with the file that the authority gives out. */
export function register(program: Command, frame: Frame): void {
  const network = program.command('network').summary('who is a member, with which keys');
  network.description('The members of the network and their keys, as the authority signed them.');

  network
    .command('init')
    .summary('found a network: its root key and its first file')
    .description(
      "Founds a network in the authority's home: root key, TLS authority, and network file version 1.",
    )
    .requiredOption('--title <text>', 'the name of the network')
    .option('--organisation <text>', 'who runs the authority (default: the title)')
    .option('--expires-days <days>', 'how long the network file is good for', '365')
    .option('--no-passphrase', 'store the private keys in clear')
    .addHelpText('after', "\nExample:\n  $ pht --home net network init --title 'Heart network'")
    .action(async (options: NetworkInitOptions) =>
      (await import('./network-init.ts')).initNetwork(frame, options),
    );

  network
    .command('admit')
    .summary('admit members by their enrolments')
    .description(
      'Admits members: checks each enrolment, issues TLS certificates, signs the next network file.',
    )
    .argument('<enrolment...>', 'the enrolment.json files that members sent')
    .option('--expires-days <days>', 'how long the new network file is good for', '365')
    .addHelpText(
      'after',
      '\nExample:\n  $ pht --home net network admit amsterdam/enrolment.json ana/enrolment.json',
    )
    .action(async (files: string[], options: AdmitOptions) =>
      (await import('./network-admit.ts')).admit(frame, files, options),
    );

  network
    .command('import')
    .summary('take over a newer network file')
    .description('Verifies a network file against the pinned network and takes it over if it is newer.')
    .argument('<file>', 'the network file')
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
      'Verifies a network file down to the root key it names. Compare the id with one from another source.',
    )
    .argument('<file>', 'the network file')
    .option('--id <sha256>', 'the network id that the file must have')
    .addHelpText('after', '\nExample:\n  $ pht network verify network.json --id 3f5a...')
    .action((file: string, options: { id?: string }) => {
      const id = options.id === undefined ? null : check(Sha256Hex, options.id, '--id', 'usage.invalid');
      tell(frame, openNetwork(readNetworkFile(file), id), `${file} is sound`);
    });
}

function importFile(frame: Frame, file: string): void {
  const home = frame.openHome();
  const { network, changed } = importNetwork(home, readNetworkFile(file));
  const listed = network.members.has(home.member.id);
  const lines = [
    changed
      ? `imported version ${network.version} of ${network.title}: ${network.members.size} members`
      : `version ${network.version} of ${network.title} is here already; nothing was changed`,
  ];
  if (!listed)
    lines.push(`${home.member.id} is not a member of it (yet): the authority admits with pht network admit`);
  if (frame.nowMs() >= network.expiresMs)
    frame.output.warn('this network file has expired; ask for the current one');
  frame.output.result({ ...summary(network), changed, listed, file: networkPath(home) }, lines);
}

function show(frame: Frame): void {
  const home = frame.openHome();
  const network = currentNetwork(home);
  tell(frame, network, `${home.member.id} (${home.member.role}) has pinned:`);
}

function tell(frame: Frame, network: Network, headline: string): void {
  if (frame.nowMs() >= network.expiresMs)
    frame.output.warn('this network file has expired; ask for the current one');
  frame.output.result(networkView(network), [headline, ...networkLines(network)]);
}

const summary = ({ id, version, digest }: Network): object => ({ networkId: id, version, digest });
