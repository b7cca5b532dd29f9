import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { writeAtomic } from '../adapters/home/files.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import type { Conflict } from '../gen/pht/v1/admin_pb.ts';
import { openEvidence } from '../journey/admin/evidence.ts';
import { PhtError } from '../model/error.ts';
import { formatMisconduct } from '../model/ledger/misconduct.ts';
import type { Network } from '../model/network.ts';
import type { Frame } from './frame.ts';
import { type Socket, withAgent } from './station-agent.ts';
import { minuteOf } from './station-case.ts';
import { wrap } from './text.ts';

type Told = {
  member: string;
  origin: string;
  size: number;
  conflictDigest: string;
  foundAtMs: number;
  verdict: string;
  decidedAtMs: number | null;
  /** Where its proof was written. */
  file: string | null;
  /** Why the evidence proves nothing to this home; null when it does. */
  problem: string | null;
};

/** `pht station conflicts`: ledgers that this station has seen with two roots for one size. */
export async function conflicts(frame: Frame, options: Socket & { out?: string }): Promise<void> {
  await withAgent(frame, options, async (agent, home) => {
    const network = currentNetwork(home);
    const shown = (await agent.conflicts({})).conflicts;
    const folder = options.out === undefined ? null : resolve(options.out);
    if (folder !== null && shown.length > 0) mkdirSync(folder, { recursive: true });
    const told = shown.map((conflict) => tell(conflict, network, folder));
    frame.output.result({ conflicts: told }, told.length === 0 ? [NONE] : linesOf(told, folder));
  });
}

const NONE = 'No ledger that this station has seen has two roots for one size.';

function tell(conflict: Conflict, network: Network, folder: string | null): Told {
  const { member, origin, size, conflictDigest, foundAtMs, verdict, decidedAtMs } = conflict;
  const facts = { member, origin, size: Number(size), conflictDigest, foundAtMs: Number(foundAtMs), verdict };
  const decided = verdict === '' ? null : Number(decidedAtMs);
  try {
    const { misconduct, digest } = openEvidence(conflict, network);
    const name = `${misconduct.member}-${misconduct.size}-${digest.slice(0, 16)}.misconduct`;
    const file = folder === null ? null : join(folder, name);
    if (file !== null) writeAtomic(file, formatMisconduct(misconduct), 0o644);
    return { ...facts, decidedAtMs: decided, file, problem: null };
  } catch (thrown) {
    if (!(thrown instanceof PhtError) || !EVIDENCE.test(thrown.code)) throw thrown;
    return { ...facts, decidedAtMs: decided, file: null, problem: thrown.message };
  }
}

/** What is wrong with the evidence, and not with this machine. */
const EVIDENCE = /^(?:proof|signer|signature|ledger)\./;

function linesOf(told: readonly Told[], folder: string | null): string[] {
  const open = told.filter(({ verdict }) => verdict !== 'resume');
  const first = open[0];
  return [
    ...told.flatMap((one) => [
      `${one.member}  ${stateOf(one)}`,
      `  conflict ${one.conflictDigest.slice(0, 32)}`,
      ...wrap(`signed two roots for ${one.size} entries; found ${minuteOf(one.foundAtMs)}`, 2),
      ...(one.file === null ? [] : [`  wrote ${one.file}`]),
      ...(one.problem === null ? [] : wrap(`this home cannot verify the evidence: ${one.problem}`, 2)),
    ]),
    ...(folder === null ? [] : wrap('Anybody can verify such a file with: pht audit misconduct FILE')),
    ...(first === undefined
      ? []
      : [
          `Decide with: pht station trust ${first.member} \\`,
          `    --conflict ${first.conflictDigest.slice(0, 32)} --stop --reason TEXT`,
        ]),
  ];
}

function stateOf({ verdict, decidedAtMs }: Told): string {
  if (verdict === '') return 'nobody has decided yet; nothing of it is taken on';
  const since = minuteOf(decidedAtMs ?? 0);
  return verdict === 'resume' ? `trusted again since ${since}` : `stopped since ${since}`;
}
