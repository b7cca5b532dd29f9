import { currentNetwork } from '../adapters/home/network-file.ts';
import type { InboxEntry } from '../gen/pht/v1/admin_pb.ts';
import { type HopState, isSealed } from '../model/hop.ts';
import type { Frame } from './frame.ts';
import { warningLines, warningsFor } from './name-warnings.ts';
import { type Socket, withAgent } from './station-agent.ts';
import { caseLines, titlesIn } from './station-case.ts';
import { type DifferenceOptions, showDifference } from './station-difference.ts';
import { gatesOf, type Looked, look } from './station-look.ts';
import { approvalLines, approvals, gateLines, imageLines } from './station-shown.ts';
import { wrap } from './text.ts';

/** What a person at the hospital looks at before deciding. */

export async function inbox(frame: Frame, options: Socket & { all?: boolean }): Promise<void> {
  await withAgent(frame, options, async (agent, home) => {
    const { entries } = await agent.inbox({ all: options.all === true });
    const status = await agent.status({});
    const senders = entries.map(({ researcher }) => researcher);
    const warnings = warningsFor(senders, currentNetwork(home));
    const lines = [
      ...warningLines(warnings),
      ...(entries.length === 0 ? [NOTHING[options.all === true ? 'all' : 'waiting']] : inboxLines(entries)),
      ...(status.connected ? [] : [`The station has no connection to its dispatcher: ${status.problem}`]),
      ...(status.connected && status.problem !== '' ? wrap(`Attention: ${status.problem}`, 0) : []),
      ...(status.connected && status.ledgerProblem !== ''
        ? wrap(`The station's ledger is not published: ${status.ledgerProblem}`)
        : []),
      ...(status.distrusted.length === 0 ? [] : [distrustLine(status.distrusted)]),
    ];
    frame.output.result(
      {
        station: status.station,
        connected: status.connected,
        distrusted: status.distrusted,
        ledgerProblem: status.ledgerProblem,
        warnings,
        hops: entries.map(plain),
      },
      lines,
    );
  });
}

function distrustLine(members: readonly string[]): string {
  return `Two signed histories, not believed until you decide: ${members.join(', ')}. See: pht station conflicts`;
}

function plain({ $typeName: _, receivedAtMs, waitingSinceMs, ...entry }: InboxEntry): object {
  return { ...entry, receivedAtMs: Number(receivedAtMs), waitingSinceMs: Number(waitingSinceMs) };
}

const NOTHING = { waiting: 'No train waits for a decision.', all: 'No train came here yet.' } as const;

/** Three short lines a train: the id stands alone with its state, to be copied whole. */
function inboxLines(entries: InboxEntry[]): string[] {
  return entries.flatMap((each) => {
    const { hopId, title, researcher, dataset, receivedAtMs, problem, approvalsNeeded, approvedBy } = each;
    return [
      `${hopId}  ${stateOf(each)}`,
      ...wrap(`${title === '' ? 'a train without a readable manifest' : title}`, 2),
      ...wrap(
        [
          `came ${new Date(Number(receivedAtMs)).toISOString().slice(0, 10)}`,
          ...(researcher === '' ? [] : [`from ${researcher}`]),
          ...(dataset === '' ? [] : [`for ${dataset}`]),
          ...(problem === '' ? [] : [`waits: ${problem}`]),
          ...(approvalsNeeded < 2 ? [] : [approvals(approvedBy.length, approvalsNeeded, approvedBy)]),
        ].join(', '),
        2,
      ),
    ];
  });
}

function stateOf({ state, outcome, code }: Pick<InboxEntry, 'state' | 'outcome' | 'code'>): string {
  if (outcome === '') return state;
  return code === '' || code === outcome ? outcome : `${outcome} (${code})`;
}

function approvalsIn({ approvalsNeeded, statements }: Looked): object {
  return {
    approvalsNeeded,
    approvals: statements.map((shown) =>
      shown.opened === null
        ? { digest: shown.digest, by: null, problem: shown.problem }
        : {
            digest: shown.digest,
            by: shown.opened.admin,
            person: shown.opened.person,
            standing: shown.opened.standing !== null,
            expiresMs: shown.opened.expiresMs,
          },
    ),
  };
}

function plainHistory(image: Looked['image']): object | null {
  if (image === undefined) return null;
  const { $typeName: _, firstSeenMs, lastApprovedMs, ...rest } = image;
  return { ...rest, firstSeenMs: Number(firstSeenMs), lastApprovedMs: Number(lastApprovedMs) };
}

export async function show(frame: Frame, hopId: string, options: Socket & DifferenceOptions): Promise<void> {
  await withAgent(frame, options, async (agent, home) => {
    const looked = await look(agent, home, { hopId }, (is) =>
      isSealed(is as HopState) ? null : frame.nowMs(),
    );
    const { opened, state, reasons, log, network } = looked;
    const ended = isSealed(state as HopState);
    const { gates, problem } = ended ? { gates: [], problem: null } : await gatesOf(agent, hopId);
    const { researcher, recipients } = opened.file;
    const people = [researcher.id, ...recipients.map(({ member }) => member)];
    const warnings = warningsFor(people, network);
    const image = await showDifference(agent, { hopId, state }, frame.output, options);
    const section = (title: string, lines: string[]): string[] => [
      '',
      frame.output.paint('bold', title),
      ...lines,
    ];
    frame.output.result(
      {
        ...{ hopId, state, reasons, case: opened.file, caseDigest: opened.digest, warnings, log },
        ...image.shown,
        ...{ imageHistory: plainHistory(looked.image), ...approvalsIn(looked), gates },
      },
      [
        ...warningLines(warnings),
        ...caseLines({ hopId, opened, state, reasons, log, network }, frame.output),
        ...section('Approvals', approvalLines(looked.approvalsNeeded, looked.statements, titlesIn(network))),
        ...section('The image at this station', imageLines(looked.image)),
        ...image.lines,
        ...(ended ? [] : section('What it would meet now', gateLines(gates, problem))),
      ],
    );
  });
}
