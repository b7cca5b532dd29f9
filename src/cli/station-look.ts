import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import type { AdminService, Gate, ImageHistory } from '../gen/pht/v1/admin_pb.ts';
import { type OpenedCase, openCase } from '../journey/admin/case.ts';
import { openStatements, type ShownStatement } from '../journey/admin/statements.ts';
import { PhtError } from '../model/error.ts';
import type { Network } from '../model/network.ts';
import type { Client } from '../ports/wire.ts';
import { foreseen } from './foreseen.ts';
import { stationOf } from './station-agent.ts';

/** What the agent shows of a hop, each part verified with this home's own network file as far as it can be. */

export type Looked = {
  opened: OpenedCase;
  state: string;
  reasons: string[];
  log: string;
  network: Network;
  image: ImageHistory | undefined;
  approvalsNeeded: number;
  statements: ShownStatement[];
  /** Empty unless it was asked for; whoever uses it holds it against the manifest. */
  config: Uint8Array;
};

/** @param nowMsFor null for a state that is looked back at */
export async function look(
  agent: Client<typeof AdminService>,
  home: Home,
  { hopId, config = false }: { hopId: string; config?: boolean },
  nowMsFor: (state: string) => number | null,
): Promise<Looked> {
  const answer = await agent.show({ hopId, config });
  const station = stationOf(home);
  const network = currentNetwork(home);
  const opened = openCase(answer, { station, network, nowMs: nowMsFor(answer.state) });
  return {
    ...{ opened, network, state: answer.state, reasons: answer.reasons, image: answer.image },
    log: Buffer.from(answer.log).toString('utf8'),
    approvalsNeeded: answer.approvalsNeeded,
    statements: openStatements(answer.clearances, { network, station }),
    config: answer.config,
  };
}

/** What the hop would meet now; a station that cannot say keeps nobody from looking at the rest. */
export async function gatesOf(
  agent: Client<typeof AdminService>,
  hopId: string,
): Promise<{ gates: Pick<Gate, 'name' | 'state' | 'code' | 'text'>[]; problem: string | null }> {
  try {
    const { gates } = await agent.dryRun({ hopId });
    return {
      gates: gates.map(({ name, state, code, text }) => ({ name, state, code, text })),
      problem: null,
    };
  } catch (thrown) {
    return { gates: [], problem: foreseen(thrown).message };
  }
}

/** What is signed is what was looked at: data or policy may have changed between `show` and now. */
export function assertSameCase({ digest }: OpenedCase, seen: string | undefined): void {
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
