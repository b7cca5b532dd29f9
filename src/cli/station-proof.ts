import { mkdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeAtomic } from '../adapters/home/files.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import type { AdminService } from '../gen/pht/v1/admin_pb.ts';
import { openDecisionProof, type ProvenDecision } from '../journey/admin/decision-proof.ts';
import { PhtError } from '../model/error.ts';
import { type HopState, isSealed } from '../model/hop.ts';
import { HopIdText } from '../model/id.ts';
import { check } from '../model/schema.ts';
import type { Client } from '../ports/wire.ts';
import { foreseen } from './foreseen.ts';
import type { Frame } from './frame.ts';
import { type Socket, stationOf, withAgent } from './station-agent.ts';
import { wrap } from './text.ts';

/** The `.tlog-proof` of a decision, kept in the home of the person who made it. */

const WAIT_MS_MAX = 10_000;
const LOOK_EVERY_MS = 200;
const CALL_DEADLINE_MS = 5_000;

type Agent = Pick<Client<typeof AdminService>, 'proof'>;
/** `whole`: an approval that another person's is waited for is not the one that is meant. */
type Wanted = { hopId: string; caseDigest?: string; verdict?: 'approve' | 'reject'; whole?: boolean };
type Found = { bytes: Uint8Array; proven: ProvenDecision };

export type KeptProof =
  | (Omit<ProvenDecision, 'hopId' | 'caseDigest' | 'verdict' | 'partial'> & { file: string })
  | { problem: string };

/**
 * Waits a while for the decision to stand under a checkpoint that the witnesses have cosigned, keeps the proof, and is
 * content with a signed checkpoint when they cannot be reached. The decision itself holds whatever comes of this.
 */
export async function keepProof(agent: Agent, home: Home, wanted: Wanted, frame: Frame): Promise<KeptProof> {
  const untilMs = frame.nowMs() + WAIT_MS_MAX;
  const station = stationOf(home);
  let found: Found | null = null;
  let problem = 'the station has not acted on it yet';
  do {
    try {
      const looked = await look(agent, home, station, wanted);
      if (typeof looked === 'string') problem = looked;
      else found = looked;
      if (found?.proven.witnessed === true || looked === ENDED) break;
    } catch (thrown) {
      problem = foreseen(thrown).message;
    }
    await sleep(LOOK_EVERY_MS);
  } while (frame.nowMs() < untilMs);
  if (found === null) return { problem };
  const { hopId: _hop, caseDigest: _case, verdict: _verdict, partial: _partial, ...where } = found.proven;
  try {
    return { ...where, file: save(home, wanted.hopId, found.bytes) };
  } catch (thrown) {
    return { problem: foreseen(thrown).message };
  }
}

const ENDED = 'the train ended before the decision was used';

/** @returns why there is none, in words */
async function look(agent: Agent, home: Home, station: string, wanted: Wanted): Promise<Found | string> {
  const { hopId, caseDigest, verdict, whole } = wanted;
  const { proof, state } = await agent.proof({ hopId }, { deadlineMs: CALL_DEADLINE_MS });
  const none = isSealed(state as HopState) ? ENDED : `the station has not acted on it yet (${state})`;
  if (proof.byteLength === 0) return none;
  const proven = openDecisionProof(proof, { network: currentNetwork(home), station });
  if (proven.hopId !== hopId)
    throw new PhtError('proof.invalid', `the station proves ${proven.hopId} instead`);
  // An older decision, on a case that has changed since.
  if (caseDigest !== undefined && proven.caseDigest !== caseDigest) return none;
  if (verdict !== undefined && proven.verdict !== verdict) return none;
  if (whole === true && proven.partial) return none;
  return { bytes: proof, proven };
}

function save(home: Home, hopId: string, bytes: Uint8Array): string {
  const folder = join(home.dir, 'approvals');
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = resolve(folder, `${check(HopIdText, hopId, 'the hop', 'usage.invalid')}.tlog-proof`);
  writeAtomic(file, bytes);
  return file;
}

/** Enough for whoever knows the home; `--json` has the whole path. */
const inThisHome = (file: string): string => `approvals/${basename(file)} in this home`;

export function proofLines(kept: KeptProof, hopId: string): string[] {
  const later = `pht station proof ${hopId}`;
  if ('problem' in kept)
    return [...wrap(`There is no proof of it yet: ${kept.problem}.`), `fetch it later with: ${later}`];
  const { file, index, cosigned, quorum, witnessed } = kept;
  const where = `entry ${index} of the station's ledger`;
  if (!witnessed)
    return [
      `proof: ${inThisHome(file)}`,
      ...wrap(
        `It is ${where}, under a checkpoint that the station has signed and ${cosigned} of ${quorum} witnesses have cosigned: the others could not be reached.`,
      ),
      `fetch it again later with: ${later}`,
    ];
  const by =
    quorum === 0 ? 'the station; this network has no witnesses' : `the station and ${cosigned} witnesses`;
  return [
    `proof: ${inThisHome(file)}`,
    ...wrap(`It is ${where}, under a published checkpoint signed by ${by}.`),
  ];
}

/** `pht station proof HOP`. */
export async function fetchProof(frame: Frame, hop: string, options: Socket): Promise<void> {
  const hopId = check(HopIdText, hop, 'the hop', 'usage.invalid');
  frame.openHome(['admin']);
  await withAgent(frame, options, async (agent, home) => {
    const looked = await look(agent, home, stationOf(home), { hopId });
    if (typeof looked === 'string')
      throw new PhtError('not-found', `there is no decision of a person about ${hopId} on record: ${looked}`);
    const { hopId: _, ...proven } = looked.proven;
    const kept = { ...proven, file: save(home, hopId, looked.bytes) };
    frame.output.result({ hopId, ...kept }, proofLines(kept, hopId));
  });
}
