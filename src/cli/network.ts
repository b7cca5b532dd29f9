import type { Command } from 'commander';
import type { Home } from '../adapters/home/member.ts';
import { isDraft } from '../adapters/home/network-draft.ts';
import {
  currentNetwork,
  importNetwork,
  networkPath,
  readNetworkFile,
} from '../adapters/home/network-file.ts';
import { PhtError } from '../model/error.ts';
import { assertFresh, type Network } from '../model/network.ts';
import type { NetworkFiles } from '../model/network-statements.ts';
import { openMembers, openNetwork, openRoots } from '../model/open-network.ts';
import { assertSamePast } from '../model/same-past.ts';
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
    .argument('<file>', 'the network file; for the authority, a draft that was signed')
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

/** A holder's draft is easily taken for the file that comes of it. */
const draftGiven = (file: string): PhtError =>
  new PhtError('input.malformed', `${file} is a draft: nothing in it is in force`, {
    hint: 'the authority imports it once enough holders have signed, and gives out its network.json then',
  });

function openFile(file: string, id: string | null): Shown {
  if (isDraft(file, 'the network file')) throw draftGiven(file);
  const files = readNetworkFile(file);
  return shownOf(files, openNetwork(files, id));
}

function shownOf(files: NetworkFiles, network: Network): Shown {
  const { root } = openRoots(files.roots, network.id);
  const listExpiresMs = openMembers(files.members, network.id, root).predicate.expiresMs;
  return { network, root: root.predicate, listExpiresMs };
}

async function importFile(frame: Frame, file: string): Promise<void> {
  const home = frame.openHome();
  const what = home.member.role === 'authority' ? 'the network file or draft' : 'the network file';
  if (isDraft(file, what)) {
    if (home.member.role === 'authority') return importSigned(frame, home, file);
    throw draftGiven(file);
  }
  const { network, changed, disowned } = importNetwork(home, readNetworkFile(file));
  const listed = network.members.has(home.member.id);
  const lines = [
    changed
      ? `imported version ${network.version} of ${network.title}: ${network.members.size} members`
      : `version ${network.version} of ${network.title} is here already; nothing was changed`,
  ];
  if (disowned !== null)
    frame.output.warn(
      `the newest root disowns version ${disowned.version} as it was here: whoever signed that had no right to; ` +
        "the authority's own list is in force again",
    );
  if (!listed)
    lines.push(`${home.member.id} is not a member of it (yet): the authority admits with pht network admit`);
  warnOfAge(frame, network);
  frame.output.result({ ...summary(network), changed, disowned, listed, file: networkPath(home) }, lines);
}

async function importSigned(frame: Frame, home: Home, file: string): Promise<void> {
  const [{ importDraft }, { outcomeLines }] = await Promise.all([
    import('./network-draft.ts'),
    import('./network-take-over.ts'),
  ]);
  const network = await importDraft(frame, file);
  const { rootVersion } = network;
  frame.output.result(
    { ...summary(network), rootVersion, changed: true, listed: true, file: networkPath(home) },
    outcomeLines(home, { network }),
  );
}

function show(frame: Frame): void {
  const home = frame.openHome();
  const network = currentNetwork(home);
  const shown = shownOf(readNetworkFile(networkPath(home)), network);
  tell(frame, shown, `${home.member.id} (${home.member.role}) has pinned:`);
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
