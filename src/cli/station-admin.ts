import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import type { AdminService, InboxEntry } from '../gen/pht/v1/admin_pb.ts';
import { type OpenedCase, openCase, signClearance } from '../journey/admin/case.ts';
import { PhtError } from '../model/error.ts';
import { type HopState, isSealed } from '../model/hop.ts';
import type { Client } from '../ports/wire.ts';
import { type Frame, signerOf } from './frame.ts';
import { type Socket, stationOf, withAgent } from './station-agent.ts';
import { caseLines } from './station-case.ts';
import { keepProof, proofLines } from './station-proof.ts';
import { wrap } from './text.ts';

/** What a person at the hospital does: look, approve, reject. */

export async function inbox(frame: Frame, options: Socket & { all?: boolean }): Promise<void> {
  await withAgent(frame, options, async (agent) => {
    const { entries } = await agent.inbox({ all: options.all === true });
    const status = await agent.status({});
    const lines = [
      ...(entries.length === 0 ? [NOTHING[options.all === true ? 'all' : 'waiting']] : inboxLines(entries)),
      ...(status.connected ? [] : [`The station has no connection to its dispatcher: ${status.problem}`]),
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
        hops: entries.map(plain),
      },
      lines,
    );
  });
}

function distrustLine(members: readonly string[]): string {
  return `Two signed histories, not believed until you decide: ${members.join(', ')}. See: pht station conflicts`;
}

function plain({ $typeName: _, receivedAtMs, ...entry }: InboxEntry): object {
  return { ...entry, receivedAtMs: Number(receivedAtMs) };
}

const NOTHING = { waiting: 'No train waits for a decision.', all: 'No train came here yet.' } as const;

/** Three short lines a train: the id stands alone with its state, to be copied whole. */
function inboxLines(entries: InboxEntry[]): string[] {
  return entries.flatMap(({ hopId, title, researcher, dataset, receivedAtMs, problem, ...entry }) => [
    `${hopId}  ${stateOf(entry)}`,
    ...wrap(`${title === '' ? 'a train without a readable manifest' : title}`, 2),
    ...wrap(
      [
        `came ${new Date(Number(receivedAtMs)).toISOString().slice(0, 10)}`,
        ...(researcher === '' ? [] : [`from ${researcher}`]),
        ...(dataset === '' ? [] : [`for ${dataset}`]),
        ...(problem === '' ? [] : [`waits: ${problem}`]),
      ].join(', '),
      2,
    ),
  ]);
}

function stateOf({ state, outcome, code }: Pick<InboxEntry, 'state' | 'outcome' | 'code'>): string {
  if (outcome === '') return state;
  return code === '' || code === outcome ? outcome : `${outcome} (${code})`;
}

export async function show(frame: Frame, hopId: string, options: Socket): Promise<void> {
  await withAgent(frame, options, async (agent, home) => {
    const { opened, state, reasons, log } = await look(agent, home, hopId, (is) =>
      isSealed(is as HopState) ? null : frame.nowMs(),
    );
    frame.output.result(
      { hopId, state, reasons, case: opened.file, caseDigest: opened.digest, log },
      caseLines({ hopId, opened, state, reasons, log }, frame.output),
    );
  });
}

type Looked = { opened: OpenedCase; state: string; reasons: string[]; log: string };

async function look(
  agent: Client<typeof AdminService>,
  home: Home,
  hopId: string,
  nowMsFor: (state: string) => number | null,
): Promise<Looked> {
  const answer = await agent.show({ hopId });
  const station = stationOf(home);
  const opened = openCase(answer, { station, network: currentNetwork(home), nowMs: nowMsFor(answer.state) });
  return {
    opened,
    state: answer.state,
    reasons: answer.reasons,
    log: Buffer.from(answer.log).toString('utf8'),
  };
}

/** What is signed is what was looked at: data or policy may have changed between `show` and now. */
function assertSameCase({ digest }: OpenedCase, seen: string | undefined): void {
  if (seen === undefined) return;
  if (!/^[0-9a-f]{16,64}$/.test(seen)) {
    throw new PhtError(
      'usage.invalid',
      '--case takes 16 to 64 hexadecimal digits, as `station show` prints them',
    );
  }
  if (digest.startsWith(seen)) return;
  throw new PhtError('clearance.invalid', 'the case has changed since it was looked at', {
    hint: 'look again with: pht station show HOP',
  });
}

export async function decide(
  frame: Frame,
  hopId: string,
  verdict: 'approve' | 'reject',
  options: Socket & { reason: string; case?: string },
): Promise<void> {
  frame.openHome(['admin']);
  await withAgent(frame, options, async (agent, home) => {
    const { opened } = await look(agent, home, hopId, () => frame.nowMs());
    assertSameCase(opened, options.case);
    const signer = await signerOf(home, 'statement');
    const admin = { id: home.member.id, network: currentNetwork(home), signer, nowMs: frame.nowMs() };
    const clearance = signClearance(opened, { verdict, reason: options.reason }, admin);
    await agent.decide({ hopId, clearance });
    const said = verdict === 'approve' ? 'approved' : 'rejected';
    frame.output.progress(`${said}; waiting for the proof of it`);
    const proof = await keepProof(agent, home, { hopId, verdict, caseDigest: opened.digest }, frame);
    frame.output.result({ hopId, verdict, caseDigest: opened.digest, proof }, [
      `${said} ${hopId}: ${opened.file.manifest.title}`,
      `signed by ${home.member.id} over case ${opened.digest.slice(0, 16)}…`,
      ...proofLines(proof, hopId),
    ]);
  });
}
