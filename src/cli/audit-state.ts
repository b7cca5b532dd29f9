import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readBounded, writeAtomic } from '../adapters/home/files.ts';
import type { AuditReport } from '../journey/auditor/audit.ts';
import { type Finding, finding } from '../journey/auditor/findings.ts';
import type { LeftOpen } from '../journey/auditor/left-open.ts';
import type { DatedHead } from '../journey/auditor/on-record.ts';
import { trustOf } from '../journey/auditor/prove.ts';
import type { Anchor } from '../journey/auditor/verify-log.ts';
import { PhtError } from '../model/error.ts';
import { type CheckpointTrust, type OpenedCheckpoint, openCheckpoint } from '../model/ledger/checkpoint.ts';
import type { Network } from '../model/network.ts';
import { logKeysOf } from '../model/past-keys.ts';
import { parseWith, Sha256Hex, Slug } from '../model/schema.ts';
import {
  assertBound,
  bindState,
  openResume,
  Resume,
  resumeOf,
  SeenHeads,
  SeenNetwork,
  type StateKey,
} from './audit-resume.ts';

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
  network: SeenNetwork.optional(),
  earlier: SeenHeads.optional(),
});
type State = z.infer<typeof State>;

export type Memory = {
  anchors: ReadonlyMap<string, Anchor>;
  findings: Finding[];
  /** Signed checkpoints by member. Null when the file is damaged: then it is evidence and stays as it is. */
  checkpoints: ReadonlyMap<string, string> | null;
  /** What the last audit left open; null where only an audit of everything can tell. */
  open: ReadonlyMap<string, LeftOpen> | null;
  /** Heads that earlier audits verified, oldest first: what they cover was on record by then. */
  seen: ReadonlyMap<string, readonly SeenHead[]>;
  /** The newest network file that was seen; null before the first. */
  network: { version: number; digest: string } | null;
};

export type SeenHead = DatedHead & { signed: Uint8Array };

const NONE: Pick<Memory, 'anchors' | 'open' | 'seen' | 'network'> = {
  ...{ anchors: new Map(), open: null, seen: new Map(), network: null },
};
/** Of each log; the oldest prove the most. */
const EARLIER_MAX = 100;

export const auditDir = (home: string): string => join(home, 'audit');
export const archiveDir = (home: string): string => join(auditDir(home), 'logs');
const statePath = (home: string): string => join(auditDir(home), 'state.json');

export function readMemory(home: string, network: Network, key: StateKey | null): Memory {
  const path = statePath(home);
  if (!existsSync(path)) {
    const lost = existsSync(archiveDir(home));
    const text = `${path} is not there, though logs were archived`;
    const findings = lost ? [finding('warning', 'state.missing', { log: null }, text)] : [];
    return { ...NONE, findings, checkpoints: new Map() };
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
    return { ...NONE, findings: [damaged(thrown.message)], checkpoints: null };
  }
}

function remembered({ networkId, logs, ...state }: State, path: string, network: Network): Memory {
  if (networkId !== network.id) throw new PhtError('input.malformed', `${path} is of another network`);
  const anchors = new Map<string, Anchor>();
  const seen = new Map<string, SeenHead[]>();
  const findings: Finding[] = networkFindings(state.network, network);
  let intact = true;
  for (const [member, signed] of Object.entries(logs)) {
    // Of whom the network has never heard nothing can be verified, and nothing is read.
    if (logKeysOf(network, member).length === 0) continue;
    try {
      const trust = trustOf(network, member);
      const heads = [...(state.earlier?.[member] ?? []), signed].map((text) => openHead(text, trust));
      const last = heads.at(-1);
      if (last !== undefined)
        anchors.set(member, { ...last.opened.checkpoint, signedBy: last.opened.signedBy });
      seen.set(
        member,
        heads.map(({ head }) => head),
      );
    } catch (thrown) {
      if (!(thrown instanceof PhtError)) throw thrown;
      intact = false;
      findings.push(damaged(`${path}: ${member}: ${thrown.message}`, member));
    }
  }
  const checkpoints = intact ? new Map(Object.entries(logs)) : null;
  return { anchors, findings, checkpoints, open: null, seen, network: state.network ?? null };
}

function openHead(text: string, trust: CheckpointTrust): { opened: OpenedCheckpoint; head: SeenHead } {
  const opened = openCheckpoint(text, trust);
  const { checkpoint, cosignatures } = opened;
  return { opened, head: { size: checkpoint.size, cosignatures, signed: Buffer.from(text) } };
}

/** The home refuses older files itself; this tells of a home that was exchanged together with what it had seen. */
function networkFindings(seen: State['network'], { version, digest }: Network): Finding[] {
  if (seen === undefined) return [];
  if (version < seen.version) {
    const text = `this audit has version ${version} of the network file, and an earlier one had version ${seen.version}`;
    return [finding('error', 'network.rolled-back', { log: null }, text)];
  }
  if (version > seen.version || digest === seen.digest) return [];
  const text = `an earlier audit had another list of members of version ${version}, and both carry the authority's signature`;
  return [finding('misconduct', 'network.forked', { log: null }, text)];
}

function damaged(text: string, member: string | null = null): Finding {
  return finding('error', 'state.damaged', { log: member }, text);
}

/**
 * Remembers what verified; what did not keeps its older checkpoint. The last heads under an earlier network file are kept
 * too, since they show what was there before anybody was revoked by a later one. The folder is there already.
 */
export function writeMemory(
  home: string,
  network: Network,
  { memory, report, key }: { memory: Memory; report: AuditReport; key: StateKey },
): void {
  const checkpoints = new Map(memory.checkpoints);
  for (const { member, head } of report.logs) {
    if (head?.sound === true) checkpoints.set(member, Buffer.from(head.signed).toString('utf8'));
  }
  const isOlder = network.version < (memory.network?.version ?? 0);
  const content = {
    networkId: network.id,
    logs: Object.fromEntries(checkpoints),
    network:
      memory.network !== null && isOlder
        ? memory.network
        : { version: network.version, digest: network.digest },
    earlier: earlierHeads(memory, network),
  };
  const resume = resumeOf(report);
  const whole = textOf({ ...content, ...(resume === undefined ? {} : { resume }) }, key);
  // Without what is open the next audit reads everything, which is always right.
  const fits = Buffer.byteLength(whole) <= STATE_BYTES_MAX;
  writeAtomic(statePath(home), fits ? whole : textOf(content, key));
}

function earlierHeads({ seen, network: last }: Memory, { version }: Network): Record<string, string[]> {
  const changed = last !== null && last.version < version;
  return Object.fromEntries(
    [...seen].map(([member, heads]) => {
      // The last of them is the newest head, which is kept as such.
      const kept = changed ? heads : heads.slice(0, -1);
      return [member, kept.slice(0, EARLIER_MAX).map(({ signed }) => Buffer.from(signed).toString('utf8'))];
    }),
  );
}

function textOf(content: Omit<State, 'v' | 'keyId' | 'mac'>, key: StateKey): string {
  const state: State = { v: 2, ...content, ...bindState(content, key) };
  return `${JSON.stringify(state, null, 1)}\n`;
}
