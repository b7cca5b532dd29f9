import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readBounded, writeAtomic } from '../adapters/home/files.ts';
import type { AuditReport } from '../journey/auditor/audit.ts';
import { type Finding, finding } from '../journey/auditor/findings.ts';
import type { LeftOpen } from '../journey/auditor/left-open.ts';
import type { Anchor } from '../journey/auditor/verify-log.ts';
import { PhtError } from '../model/error.ts';
import { openCheckpoint } from '../model/ledger/checkpoint.ts';
import { ledgerOrigin, logKey } from '../model/ledger/origin.ts';
import type { Network } from '../model/network.ts';
import { parseWith, Sha256Hex, Slug } from '../model/schema.ts';
import { assertBound, bindState, openResume, Resume, resumeOf, type StateKey } from './audit-resume.ts';

/**
 * `audit/state.json`: the signed checkpoint of each log that the last audit verified, and what it left open, bound by a
 * key of this home, so that whoever alters the file is found out by the next audit.
 */

const STATE_BYTES_MAX = 64 * 1024 * 1024;

const State = z.strictObject({
  v: z.literal(2),
  networkId: Sha256Hex,
  logs: z.record(Slug, z.string().min(1).max(10_000)),
  keyId: Sha256Hex,
  mac: Sha256Hex,
  resume: Resume.optional(),
});
type State = z.infer<typeof State>;

export type Memory = {
  anchors: ReadonlyMap<string, Anchor>;
  findings: Finding[];
  /** Signed checkpoints by member. Null when the file is damaged: then it is evidence and stays as it is. */
  checkpoints: ReadonlyMap<string, string> | null;
  /** What the last audit left open; null where only an audit of everything can tell. */
  open: ReadonlyMap<string, LeftOpen> | null;
};

export const auditDir = (home: string): string => join(home, 'audit');
export const archiveDir = (home: string): string => join(auditDir(home), 'logs');
const statePath = (home: string): string => join(auditDir(home), 'state.json');

export function readMemory(home: string, network: Network, key: StateKey | null): Memory {
  const path = statePath(home);
  if (!existsSync(path)) {
    const lost = existsSync(archiveDir(home));
    const text = `${path} is not there, though logs were archived`;
    const findings = lost ? [finding('warning', 'state.missing', { log: null }, text)] : [];
    return { anchors: new Map(), findings, checkpoints: new Map(), open: null };
  }
  try {
    const state = parseWith(State, readBounded(path, STATE_BYTES_MAX, "the auditor's memory"), {
      bytesMax: STATE_BYTES_MAX,
      what: path,
    });
    const memory = remembered(state, path, network);
    // What a member's own signature contradicts is named first.
    if (memory.checkpoints === null) return memory;
    assertBound(state, path, key);
    return state.resume === undefined ? memory : { ...memory, ...openResume(state.resume, memory.anchors) };
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    return { anchors: new Map(), findings: [damaged(thrown.message)], checkpoints: null, open: null };
  }
}

function remembered({ networkId, logs }: State, path: string, network: Network): Memory {
  if (networkId !== network.id) throw new PhtError('input.malformed', `${path} is of another network`);
  const anchors = new Map<string, Anchor>();
  const findings: Finding[] = [];
  for (const [member, signed] of Object.entries(logs)) {
    const jwk = network.members.get(member)?.keys.log;
    // Of a member who has left nothing can be verified any more, and nothing is read.
    if (jwk === undefined) continue;
    const origin = ledgerOrigin(network.id, member);
    try {
      const trust = { origin, logKeys: [logKey(origin, jwk)], witnessKeys: [] };
      anchors.set(member, openCheckpoint(signed, trust).checkpoint);
    } catch (thrown) {
      if (!(thrown instanceof PhtError)) throw thrown;
      findings.push(damaged(`${path}: ${member}: ${thrown.message}`, member));
    }
  }
  const checkpoints = findings.length > 0 ? null : new Map(Object.entries(logs));
  return { anchors, findings, checkpoints, open: null };
}

function damaged(text: string, member: string | null = null): Finding {
  return finding('error', 'state.damaged', { log: member }, text);
}

/** Remembers what verified; what did not keeps its older checkpoint. The folder is there already. */
export function writeMemory(
  home: string,
  network: Network,
  { memory, report, key }: { memory: Memory; report: AuditReport; key: StateKey },
): void {
  const checkpoints = new Map(memory.checkpoints);
  for (const { member, head } of report.logs) {
    if (head?.sound === true) checkpoints.set(member, Buffer.from(head.signed).toString('utf8'));
  }
  const content = { networkId: network.id, logs: Object.fromEntries(checkpoints) };
  const resume = resumeOf(report);
  const whole = textOf({ ...content, ...(resume === undefined ? {} : { resume }) }, key);
  // Without what is open the next audit reads everything, which is always right.
  const fits = Buffer.byteLength(whole) <= STATE_BYTES_MAX;
  writeAtomic(statePath(home), fits ? whole : textOf(content, key));
}

function textOf(content: Pick<State, 'networkId' | 'logs' | 'resume'>, key: StateKey): string {
  const state: State = { v: 2, ...content, ...bindState(content, key) };
  return `${JSON.stringify(state, null, 1)}\n`;
}
