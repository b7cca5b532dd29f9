import type { Command } from 'commander';
import type { Frame } from './frame.ts';
import type { Socket } from './station-agent.ts';
import type { DecisionOptions } from './station-approve.ts';
import type { DifferenceOptions } from './station-difference.ts';
import { addStationInit } from './station-init.ts';
import { addPolicy } from './station-policy.ts';
import type { TrustOptions } from './station-trust.ts';

/** `pht station …`. What a command does is loaded when it is asked for. */
export function register(program: Command, frame: Frame): void {
  const station = program.command('station').summary('run and govern a station');
  station.description('Runs and governs one station.');
  addStationInit(station, frame);
  addServe(station, frame);
  addLooking(station, frame);
  addDeciding(station, frame);
  addTrusting(station, frame);
  addOpening(station, frame);
  addDoctor(station, frame);
  addRestore(station, frame);
  addPolicy(station, frame);
}

function addServe(station: Command, frame: Frame): void {
  station
    .command('serve')
    .summary('run this station')
    .description(
      'Runs the station: dials the dispatcher, runs cleared trains, listens on a local admin socket alone.',
    )
    .addHelpText('after', '\nExample:\n  $ pht --home stations/amsterdam station serve')
    .action(async () => (await import('./station-serve.ts')).serveStation(frame));
}

/** A command that asks the running agent. */
function asking(station: Command, name: string, summary: string, example: string): Command {
  return station
    .command(name)
    .summary(summary)
    .description(summary)
    .option('--socket <path>', "the agent's admin socket (default: from config.yaml)")
    .addHelpText('after', `\nExample:\n  $ pht --home admins/amsterdam station ${example}`);
}

function addLooking(station: Command, frame: Frame): void {
  asking(station, 'inbox', 'trains that wait for a decision', 'inbox')
    .option('--all', 'every train that came here, with how it ended')
    .action(async (options: Socket & { all?: boolean }) =>
      (await import('./station-admin.ts')).inbox(frame, options),
    );
  const example = 'show hop_0123456789abcdef01234567';
  asking(station, 'show <hop>', 'everything that a decision is about', example)
    .option('--no-difference', 'do not look into the image, nor fetch it')
    .option('--full', 'sources that differ without cutting them')
    .action(async (hop: string, options: Socket & DifferenceOptions) =>
      (await import('./station-admin.ts')).show(frame, hop, options),
    );
}

function addDeciding(station: Command, frame: Frame): void {
  const deciding = (verdict: 'approve' | 'reject', summary: string, why: string, reason: string): Command => {
    const example = `${verdict} \\\n        hop_0123456789abcdef01234567 --reason '${reason}'`;
    return asking(station, `${verdict} <hop>`, summary, example)
      .requiredOption('--reason <text>', why)
      .option('--case <digest>', 'the case as `show` named it; refused when it has changed since')
      .option('--expires <duration>', 'how long it is good for, such as 12h (default and at most 7d)')
      .action(async (hop: string, options: DecisionOptions) =>
        (await import('./station-approve.ts')).decide(frame, hop, verdict, options),
      );
  };
  deciding('approve', 'let a train run', 'why; signed and kept with the decision', 'ethics 2026-17')
    .option('--standing', 'and further trains that differ in nothing that you saw but their parameters')
    .option('--runs <n>', 'how often, this train among them: 1 to 1000 (with --standing)')
    .option('--until <day>', 'its last day, as YYYY-MM-DD, within a year (with --standing)')
    .option('--scope <what>', 'image, or code: the image built again (with --standing)');
  deciding('reject', 'refuse a train', 'why; the researcher reads it', 'no ethics vote');
  asking(station, 'standing', 'clearances for trains to come', 'standing').action(async (options: Socket) =>
    (await import('./station-standing.ts')).standing(frame, options),
  );
  const example = "withdraw \\\n        hop_0123456789abcdef01234567 --reason 'consent was withdrawn'";
  asking(station, 'withdraw <clearance|hop>', 'take a clearance back, for good', example)
    .requiredOption('--reason <text>', 'why; signed and kept')
    .action(async (wanted: string, options: Socket & { reason: string }) =>
      (await import('./station-standing.ts')).withdraw(frame, wanted, options),
    );
}

function addTrusting(station: Command, frame: Frame): void {
  const proof = 'proof hop_0123456789abcdef01234567';
  asking(station, 'proof <hop>', "fetch the ledger's proof of a decision", proof).action(
    async (hop: string, options: Socket) =>
      (await import('./station-proof.ts')).fetchProof(frame, hop, options),
  );
  asking(station, 'conflicts', 'ledgers seen with two histories', 'conflicts --out evidence')
    .option('--out <dir>', 'write each as a file that proves it to anybody')
    .action(async (options: Socket & { out?: string }) =>
      (await import('./station-conflicts.ts')).conflicts(frame, options),
    );
  const example = "trust hub \\\n        --conflict 0123456789abcdef --stop --reason 'operator was called'";
  asking(station, 'trust <member>', 'decide whether a member with two histories is believed', example)
    .requiredOption('--conflict <digest>', 'the evidence that was looked at, as `conflicts` names it')
    .option('--resume', 'take its orders again')
    .option('--stop', 'keep refusing them')
    .requiredOption('--reason <text>', 'why; signed and kept')
    .action(async (member: string, options: TrustOptions) =>
      (await import('./station-trust.ts')).trust(frame, member, options),
    );
}

function addOpening(station: Command, frame: Frame): void {
  const example = 'disclose \\\n        trn_0123456789abcdef01234567 --to carla';
  asking(station, 'disclose <train>', "open a train's decisions to one auditor", example)
    .requiredOption('--to <auditor>', 'the auditor who alone can read the file')
    .option('--out <file>', 'where to write it (default: TRAIN.STATION.disclosure in this folder)')
    .action(async (train: string, options: Socket & { to: string; out?: string }) =>
      (await import('./station-disclose.ts')).disclose(frame, train, options),
    );
  const wish = "forget lee --reason 'request of 3 May'";
  asking(station, 'forget <member>', 'delete what tells whom the ledger means by a person', wish)
    .requiredOption('--reason <text>', 'why; signed, and not kept')
    .action(async (member: string, options: Socket & { reason: string }) =>
      (await import('./station-disclose.ts')).forget(frame, member, options),
    );
}

const DOCTOR_EXAMPLES = `
Example:
  $ pht --home stations/amsterdam station doctor

Exit status: 0 when nothing fails, otherwise that of the first failure.`;

function addDoctor(station: Command, frame: Frame): void {
  station
    .command('doctor')
    .summary('look for what would keep trains from running')
    .description(
      'Checks home, keys, clock, network file, policy, datasets, connection, engine and sandbox. Changes nothing, and may run beside the agent.',
    )
    .option('--no-engine', 'leave out the container engine and the proof of its sandbox')
    .addHelpText('after', DOCTOR_EXAMPLES)
    .action(async (options: { engine: boolean }) =>
      (await import('./station-doctor.ts')).doctor(frame, options),
    );
}

function addRestore(station: Command, frame: Frame): void {
  station
    .command('restore')
    .summary('bring a home that came from an old backup up to date')
    .description(
      "Restores this station's ledger from the dispatcher's mirror, verified against its own signature and what the witnesses have seen. Stop the agent first, and make sure that no other copy of this home runs.",
    )
    .option('--yes', 'do not ask')
    .addHelpText('after', '\nExample:\n  $ pht --home stations/amsterdam station restore')
    .action(async (options: { yes?: boolean }) =>
      (await import('./station-restore.ts')).restoreStation(frame, options),
    );
}
