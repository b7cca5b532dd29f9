import type { Command } from 'commander';
import type { VerifyOptions } from './audit-source.ts';
import type { Frame } from './frame.ts';

/** `pht audit …`: what anybody with the network file can prove, without trusting who keeps the logs. */
export function register(program: Command, frame: Frame): void {
  const audit = program.command('audit').summary('prove what happened from the signed logs');
  audit.description(
    'Checks the ledgers of the dispatcher and of every station, as the dispatcher serves them.',
  );

  addVerify(audit, frame);
  addShow(audit, frame);
  addProof(audit, frame);
  addBundle(audit, frame);
  audit
    .command('witness')
    .summary('cosign the ledgers, as one more witness')
    .description(
      'Stays connected to the dispatcher and cosigns what the other members show of their ledgers, each only if it ' +
        'continues what was seen before. Proof of two histories is kept under audit/ in the home. Ctrl-C ends it.',
    )
    .addHelpText('after', '\nExample:\n  $ pht --home auditor audit witness')
    .action(async () => (await import('./audit-witness.ts')).witnessLogs(frame));

  audit
    .command('misconduct')
    .summary('whether a file proves misconduct')
    .description(
      'Checks a file with two signed heads of one log, as a witness writes it. Exit status 4 when it proves that its ' +
        'member has shown two histories.',
    )
    .argument('<file>', 'the file that a witness wrote')
    .addHelpText('after', '\nExample:\n  $ pht --home auditor audit misconduct north.misconduct')
    .action(async (file: string) => (await import('./audit-misconduct.ts')).judgeMisconduct(frame, file));
}

const LOGS = ['--logs <dir>', 'read a folder of logs instead, without any network'] as const;
const DISCLOSURE = [
  '--disclosure <file...>',
  'what stations have opened to this auditor (pht station disclose)',
] as const;
const TRAIN = ['<train>', 'the id of the train'] as const;

function addVerify(audit: Command, frame: Frame): void {
  audit
    .command('verify')
    .summary('verify every log and hold them against one another')
    .description(
      'Verifies every log down to its pinned key and its witnesses, and all logs against one another and against what ' +
        'the last audit saw. What verified is kept under audit/logs in the home. Exit status 4 when anything is wrong.',
    )
    .option(...LOGS)
    .option(...DISCLOSURE)
    .option('--against <dir>', "compare with another reader's copy of the logs (audit/logs of his home)")
    .option('--evidence <file...>', 'proofs of misconduct that witnesses wrote')
    .option('--new', 'read only what came after the last audit')
    .option('--bundle <file>', 'verify one archive about one train; needs neither a network nor a home')
    .option('--network-id <id>', 'with --bundle: the id of the network, as its authority says it')
    .option(
      '--network <file>',
      'with --bundle: a newer network file to judge it by, which knows who has left since',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  $ pht --home auditor audit verify\n  $ pht --home auditor audit verify --logs copy-of-logs --json' +
        '\n  $ pht audit verify --bundle train.tar --network-id 3f0c...',
    )
    .action(async (options: VerifyOptions) => (await import('./audit-verify.ts')).verifyLogs(frame, options));
}

function addShow(audit: Command, frame: Frame): void {
  audit
    .command('show')
    .summary("one train's life, from all logs")
    .description('Shows on one page what the logs say of one train: when, who, what.')
    .argument(...TRAIN)
    .option(...LOGS)
    .option(...DISCLOSURE)
    .addHelpText('after', '\nExample:\n  $ pht --home auditor audit show trn_0123456789abcdef01234567')
    .action(async (train: string, options: { logs?: string; disclosure?: string[] }) =>
      (await import('./audit-show.ts')).showTrain(frame, train, options),
    );
}

function addProof(audit: Command, frame: Frame): void {
  audit
    .command('proof')
    .summary('write, or check, proofs that entries stand in their logs')
    .description(
      "Writes a C2SP tlog-proof of every entry about a train, which other people's tools verify; with --check, " +
        'verifies one such file with the pinned keys alone.',
    )
    .argument('[train]', 'the id of the train')
    .option(...LOGS)
    .option('--out <dir>', 'where to write them (default: TRAIN-proofs in this folder)')
    .option('--check <file>', 'verify this proof instead')
    .addHelpText(
      'after',
      '\nExamples:\n  $ pht --home auditor audit proof trn_0123456789abcdef01234567 --out proofs' +
        '\n  $ pht --home auditor audit proof --check proofs/north-7.tlog-proof',
    )
    .action(async (train: string | undefined, options: { logs?: string; out?: string; check?: string }) =>
      (await import('./audit-proof.ts')).proveTrain(frame, train, options),
    );
}

function addBundle(audit: Command, frame: Frame): void {
  audit
    .command('bundle')
    .summary('one archive with all that proves what happened to a train')
    .description(
      'Writes one tar archive with the network file, the signed heads, a proof of each entry and the signed ' +
        'statements. Anybody verifies it offline: pht audit verify --bundle FILE --network-id ID',
    )
    .argument(...TRAIN)
    .requiredOption('--out <file>', 'where to write it')
    .option(...LOGS)
    .option(...DISCLOSURE)
    .addHelpText(
      'after',
      '\nExample:\n  $ pht --home auditor audit bundle trn_0123456789abcdef01234567 --out train.tar',
    )
    .action(async (train: string, options: { logs?: string; out: string; disclosure?: string[] }) =>
      (await import('./audit-bundle.ts')).bundleTrain(frame, train, options),
    );
}
