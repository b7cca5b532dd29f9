import { Argument, type Command } from 'commander';
import { PhtError } from '../model/error.ts';
import type { Frame } from './frame.ts';
import type { AdmitOptions } from './network-admit.ts';
import type { FreshenOptions } from './network-freshen.ts';
import type { NetworkInitOptions } from './network-init.ts';
import type { RevokeOptions } from './network-revoke.ts';
import type { RotatedRole, RotateOptions } from './network-rotate.ts';

/** The commands that need the authority's own home. */

const collect = (one: string, before: string[] = []): string[] => [...before, one];

export function addAuthority(network: Command, frame: Frame): void {
  addInit(network, frame);
  addRoleKey(network, frame, 'root', 'new root');
  addRoleKey(network, frame, 'members', 'new list of members');
  addSign(network, frame);
  addAdmit(network, frame);
  addRevoke(network, frame);
  addFreshen(network, frame);
  addTimer(network, frame);
  addRotate(network, frame);
}

function addInit(network: Command, frame: Frame): void {
  withRootOptions(network.command('init').summary('found a network: its root and its first file'))
    .description(
      "Founds a network in the authority's home: the keys of its three roles, its TLS authority, and version 1.",
    )
    .requiredOption('--title <text>', 'the name of the network')
    .option('--organisation <text>', 'who runs the authority (default: the title)')
    .option('--freshness-days <days>', 'for how long one word that nothing is newer is good, 1 to 7', '7')
    .option('--no-passphrase', 'store the private keys in clear')
    .addHelpText('after', "\nExample:\n  $ pht --home net network init --title 'Heart network'")
    .action(async (options: NetworkInitOptions) =>
      (await import('./network-init.ts')).initNetwork(frame, options),
    );
}

function withRootOptions(command: Command): Command {
  return command
    .option('--root-key <file>', "another holder's root-key.json; again for each", collect)
    .option(
      '--root-threshold <k>',
      'how many root keys must sign the next root (default: as it is, at first 1)',
    )
    .option('--members-key <file>', "another holder's members-key.json; again for each", collect)
    .option(
      '--members-threshold <k>',
      'how many members keys must sign each list of members (default: as it is, at first 1)',
    )
    .option('--root-expires-days <days>', 'how long the root is good for', '1825');
}

function addRoleKey(network: Command, frame: Frame, role: 'root' | 'members', agreesTo: string): void {
  network
    .command(`${role}-key`)
    .summary(`make the ${role} key of one further holder`)
    .description(`Makes a folder with one ${role} key, for a person who has to agree to each ${agreesTo}.`)
    .requiredOption('--out <dir>', 'where to make it')
    .option('--no-passphrase', 'store the private key in clear')
    .addHelpText('after', `\nExample:\n  $ pht network ${role}-key --out bea`)
    .action(async (options: { out: string; passphrase: boolean }) =>
      (await import('./network-role-key.ts')).makeRoleKey(frame, role, options),
    );
}

function addAdmit(network: Command, frame: Frame): void {
  withListOptions(network.command('admit').summary('admit members by their enrolments'))
    .description(
      'Admits members, or lists the new keys of one: checks each file, issues TLS certificates, signs the next ' +
        'network file.',
    )
    .argument('[enrolment...]', 'the enrolment.json or renewal.json files that members sent')
    .option(
      '--compromised-since <date>',
      "with one renewal.json: since when the old keys may be in others' hands",
    )
    .option('--renew', 'sign the list anew for --expires-days more, though nobody may be new')
    .option('--accept-look-alike', "admit one whose name passes for another's")
    .addHelpText(
      'after',
      '\nExample:\n  $ pht --home net network admit amsterdam/enrolment.json ana/enrolment.json',
    )
    .action(async (files: string[], options: AdmitOptions) =>
      (await import('./network-admit.ts')).admit(frame, files, options),
    );
}

function withListOptions(command: Command): Command {
  return command
    .option('--expires-days <days>', 'how long the new list of members is good for', '365')
    .option(...CERTIFICATE_DAYS)
    .option(...GIVE_OUT);
}

const GIVE_OUT = ['--give-out', "hand it to the dispatchers in this home's config.yaml"] as const;
const CERTIFICATE_DAYS = [
  '--certificate-days <days>',
  'how long new TLS certificates are good for',
  '90',
] as const;

function addSign(network: Command, frame: Frame): void {
  network
    .command('sign')
    .summary('sign a draft as a holder of a root or members key')
    .description(
      'Shows what a drafted root or list of members says and how it differs from the one before it, and signs it in ' +
        'place with the key of this folder.',
    )
    .argument('<file>', 'the root-draft.json or members-draft.json that the authority sent')
    .option('--yes', 'sign without asking')
    .addHelpText('after', '\nExample:\n  $ pht --home bea network sign root-draft.json')
    .action(async (file: string, options: { yes?: true }) =>
      (await import('./network-draft.ts')).signDraft(frame, file, options),
    );
}

function addRevoke(network: Command, frame: Frame): void {
  withListOptions(network.command('revoke').summary('end a membership at once'))
    .description(
      'Signs the next network file without a member, and without the admins of a station that goes. What it signed ' +
        'before counts where it is proved to be older.',
    )
    .argument('<id>', 'the member')
    .requiredOption('--reason <text>', 'why, for everybody to read')
    .option('--compromised-since <date>', 'since when others may have its keys: what is newer counts no more')
    .addHelpText('after', "\nExample:\n  $ pht --home net network revoke ana --reason 'left' --give-out")
    .action(async (id: string, options: RevokeOptions) =>
      (await import('./network-revoke.ts')).revoke(frame, id, options),
    );
}

function addFreshen(network: Command, frame: Frame): void {
  network
    .command('freshen')
    .summary('say anew that nothing is newer; renew certificates')
    .description(
      'Signs that the list of members is the newest one, and renews TLS certificates in the last third of their ' +
        'life. Needs no passphrase, so that a timer can: pht network timer.',
    )
    .option('--to <file>', 'write the network file there as well')
    .option(...CERTIFICATE_DAYS)
    .option(...GIVE_OUT)
    .addHelpText('after', '\nExample:\n  $ pht --home net network freshen --give-out')
    .action(async (options: FreshenOptions) =>
      (await import('./network-freshen.ts')).freshen(frame, options),
    );
}

function addTimer(network: Command, frame: Frame): void {
  network
    .command('timer')
    .summary('print systemd units that freshen every day')
    .description('Prints a systemd service and a timer that run pht network freshen --give-out every day.')
    .addHelpText('after', '\nExample:\n  $ pht --home net network timer')
    .action(async () => (await import('./network-timer.ts')).tellTimer(frame));
}

const ROTATE_EXAMPLES = `
Examples:
  $ pht --home ams network rotate keys
  $ pht --home net network rotate members
  $ pht --home net network rotate tls-authority`;

function addRotate(network: Command, frame: Frame): void {
  const command = network.command('rotate').summary('replace keys without a break');
  command
    .description(
      "With keys: makes this member's next keys and a renewal.json for the authority. With a role, in the authority's " +
        'home: signs a root that names a new key.',
    )
    .addArgument(new Argument('<what>', 'which keys').choices(ROTATED))
    .option('--use <uses>', 'with keys: which ones, such as statement,tls (default: all)');
  withRootOptions(command)
    .option('--lost', "with root: this home's old root key is lost; the other holders sign")
    .option('--retire', 'with tls-authority: drop the old one')
    .option('--at-once', 'with tls-authority: drop the old one now; members import the file by hand')
    .addHelpText('after', ROTATE_EXAMPLES)
    .action(async (what: 'keys' | RotatedRole, options: RotateOptions & { use?: string }) => {
      if (what === 'keys') return (await import('./network-rotate-keys.ts')).rotateKeys(frame, options);
      if (options.use !== undefined) throw new PhtError('usage.invalid', '--use goes with rotate keys');
      return (await import('./network-rotate.ts')).rotateRole(frame, what, options);
    });
}

const ROTATED = ['keys', 'root', 'members', 'freshness', 'tls-authority'] as const;
