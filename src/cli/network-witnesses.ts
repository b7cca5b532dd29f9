import type { Command } from 'commander';
import { Option } from 'commander';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { PhtError } from '../model/error.ts';
import type { Network, Witnessing } from '../model/network.ts';
import { defaultWitnessing, formatTlogPolicy } from '../model/witnessing.ts';
import type { Frame } from './frame.ts';
import { type Authority, DAY_MS, openAuthority } from './network-desk.ts';
import { CERTIFICATE_DAYS } from './network-found.ts';
import type { Outcome } from './network-take-over.ts';
import { table, wrap } from './text.ts';

/** `pht network witnesses`: who has to have seen a ledger before anything leaves on the strength of it. */

type Options = {
  quorum?: string;
  faulty: string;
  witness: string[];
  auto?: boolean;
  none?: boolean;
  policy?: boolean;
};

export function addWitnesses(network: Command, frame: Frame): void {
  const command = network.command('witnesses').summary('show or set who cosigns the ledgers');
  command
    .description(
      'Without options: shows the witnesses and how many of them must have cosigned a ledger before a result leaves. ' +
        'With options: the authority signs the next network file with other ones. Admitting keeps what was set here.',
    )
    .option('--quorum <k>', 'how many witnesses must cosign')
    .option('--faulty <f>', 'how many of them may lie', '1')
    .option('--witness <id>', 'a dispatcher, station or auditor; again for each', collect, [])
    .addOption(
      new Option('--auto', 'every dispatcher and station, and as many of them as one liar needs').conflicts([
        'quorum',
        'none',
        'witness',
      ]),
    )
    .addOption(
      new Option('--none', 'no quorum: results leave on the word of the station alone').conflicts([
        'quorum',
        'witness',
      ]),
    )
    .option('--policy', "print it as C2SP tlog-policy, for other people's verifiers")
    .addHelpText(
      'after',
      '\nExamples:\n  $ pht --home ana network witnesses --policy > policy.txt\n' +
        '  $ pht --home net network witnesses --quorum 2 \\\n        --witness hub --witness ams --witness eva',
    )
    .action((options: Options) => witnesses(frame, options));
}

function collect(id: string, before: string[]): string[] {
  return [...before, id];
}

async function witnesses(frame: Frame, options: Options): Promise<void> {
  const { quorum, witness, auto, none, policy } = options;
  const changes = quorum !== undefined || witness.length > 0 || auto === true || none === true;
  if (!changes) {
    const network = currentNetwork(frame.openHome());
    if (policy === true)
      return frame.output.result({ policy: formatTlogPolicy(network) }, policyLines(network));
    return tell(frame, network, []);
  }
  const { concluded, issueList } = await import('./network-issue.ts');
  const authority = openAuthority(frame);
  const witnessing = wanted(authority.network, options);
  const outcome = await inputChecked(() =>
    issueList(frame, authority, { witnessing }, daysLeft(frame, authority)),
  );
  const { json, lines } = await concluded(authority, outcome, {});
  if ('network' in outcome) return tell(frame, outcome.network, ['', ...lines], json);
  frame.output.result({ ...json, witnessing }, ['drafted: other witnesses', '', ...lines]);
}

/** The list ends when it would have. */
function daysLeft(frame: Frame, { network }: Authority): { expires: number; certificate: number } {
  const left = Math.ceil((network.expiresMs - frame.nowMs()) / DAY_MS);
  return { expires: Math.max(1, left), certificate: CERTIFICATE_DAYS };
}

/** A quorum that does not hold is the authority's own wrong input, and nothing was signed with it. */
async function inputChecked(issued: () => Promise<Outcome>): Promise<Outcome> {
  try {
    return await issued();
  } catch (thrown) {
    if (!(thrown instanceof PhtError) || thrown.code !== 'network.invalid') throw thrown;
    throw new PhtError('usage.invalid', thrown.message, {
      cause: thrown,
      hint: 'see docs/network-authority.md, Witnesses, for which quorums hold',
    });
  }
}

/** @throws PhtError `usage.invalid`; whether the quorum holds is the network file's own check */
function wanted(network: Network, { quorum, faulty, witness, auto, none }: Options): Witnessing {
  if (auto === true) return defaultWitnessing([...network.members.values()]);
  if (none === true) return { quorum: 'none' };
  if (quorum === undefined || witness.length === 0)
    throw new PhtError(
      'usage.invalid',
      'a quorum needs its witnesses: --quorum K with --witness ID for each',
    );
  return { quorum: count('--quorum', quorum), faulty: count('--faulty', faulty), witnesses: witness };
}

function count(option: string, text: string): number {
  if (/^[0-9]{1,2}$/.test(text)) return Number(text);
  throw new PhtError('usage.invalid', `${option} takes a whole number below 100`);
}

function policyLines(network: Network): string[] {
  return formatTlogPolicy(network).trimEnd().split('\n');
}

function tell(frame: Frame, network: Network, next: readonly string[], more: object = {}): void {
  const { witnessing } = network;
  const head = { ...more, networkId: network.id, version: network.version, witnessing };
  if (witnessing.quorum === 'none') {
    frame.output.warn(
      'this network has no quorum of witnesses: nobody but a station says what its ledger was',
    );
    frame.output.result(head, [`${network.title}: no quorum`, ...next]);
    return;
  }
  const { quorum, faulty, witnesses } = witnessing;
  const rows = witnesses.map((id) => {
    const member = network.members.get(id);
    return [id, member?.role ?? '-', member?.organisation ?? '-'];
  });
  frame.output.result(head, [
    ...wrap(
      `${network.title}: ${quorum} witnesses must have cosigned a ledger, its own member not counted; that holds with ` +
        `${faulty} of them lying`,
    ),
    '',
    ...table(['WITNESS', 'ROLE', 'ORGANISATION'], rows),
    ...next,
  ]);
}
