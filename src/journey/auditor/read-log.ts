import type { Digest } from '../../model/id.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { leafHash } from '../../model/ledger/merkle.ts';
import { ledgerOrigin } from '../../model/ledger/origin.ts';
import { formatPastHeads } from '../../model/ledger/past-heads.ts';
import type { Member, Network } from '../../model/network.ts';
import { logKeysOf } from '../../model/past-keys.ts';
import { trustEndsMs } from '../../model/trust-ends.ts';
import type { LogCopy } from '../../ports/log-source.ts';
import { type Cosigned, judgeCosigned } from './cosigned.ts';
import { type Findings, finding } from './findings.ts';
import { keptHeads } from './kept-heads.ts';
import { type DatedHead, datedHead, judgeOwnKey } from './on-record.ts';
import type { PinnedLog } from './open-head.ts';
import { type ClaimedHead, claimedHeads, earlierHeads, mergedHeads } from './past-heads.ts';
import type { AuditPorts, AuditScope } from './scope.ts';
import { servedFinding } from './served.ts';
import { type DispatcherTrace, traceDispatcher } from './trace-dispatcher.ts';
import type { NetworkTraces } from './trace-network.ts';
import { type StationTrace, traceStation } from './trace-station.ts';
import { type LogHead, verifyLog } from './verify-log.ts';

export type AuditedLog = {
  member: string;
  role: 'dispatcher' | 'station';
  origin: string;
  /** Null where there is no head that verifies. */
  head: LogHead | null;
  cosigned: Cosigned | null;
  /** What shows since when its entries have been on record. */
  dated: DatedHead | null;
  /** The same by earlier heads of it. */
  past: readonly DatedHead[];
  missing: boolean;
};

export type Traces = { dispatchers: Map<string, DispatcherTrace>; stations: Map<string, StationTrace> };

/** What else the entries of a log are held against, and kept for. */
export type Watch = {
  take(member: Member, index: number, entry: LedgerEntry): void;
  /** The log is read again from its first entry. */
  forget(member: Member): void;
};

export type Reading = {
  ports: AuditPorts;
  scope: AuditScope;
  findings: Findings;
  traces: Traces;
  networks: NetworkTraces;
  watch: Watch;
};

const UNREAD = { cosigned: null, dated: null, past: [], missing: false };

/** Verifies one log and follows what it says; what does not verify takes no part in anything. */
export async function readLog(member: Member, offered: boolean, reading: Reading): Promise<AuditedLog> {
  const { ports, scope, findings } = reading;
  const role = member.role === 'dispatcher' ? 'dispatcher' : 'station';
  const origin = ledgerOrigin(scope.network.id, member.id);
  const log: AuditedLog = { member: member.id, role, origin, head: null, ...UNREAD };
  const pinned = pinnedLog(scope.network, member, origin);
  if (pinned === null) {
    const text = `${member.id} has no log key in the network file`;
    findings.add(finding('error', 'key.missing', { log: member.id }, text));
    return log;
  }
  // Before its newest head, which then is no smaller than any of them.
  const past = offered ? await wantedHeads(member, reading) : null;
  let signed: Uint8Array | null;
  try {
    signed = offered ? await ports.source.checkpoint(member.id) : null;
  } catch (thrown) {
    findings.add(servedFinding(member.id, thrown));
    return log;
  }
  if (signed === null || signed.byteLength === 0) return { ...log, missing: true };
  return { ...log, ...(await readEntries(member, pinned, { signed, past }, reading)) };
}

/** What nobody's end of trust asks for is fetched only to be kept, for a later reader of the whole log. */
async function wantedHeads(
  member: Member,
  { ports, scope, findings }: Reading,
): Promise<ClaimedHead[] | null> {
  const isKept = ports.archive !== null && scope.open == null;
  if (trustEndsMs(scope.network).length === 0 && !isKept) return null;
  return claimedHeads(member.id, () => ports.source.pastHeads(member.id), findings.add);
}

/** Those that are served, and those that an earlier audit kept: who serves them now may have thought better of it. */
async function allHeads(
  { id }: Member,
  past: readonly ClaimedHead[] | null,
  copy: LogCopy | null,
  { findings, scope }: Reading,
): Promise<ClaimedHead[]> {
  if (copy === null) return mergedHeads(past ?? []);
  const before = await claimedHeads(id, copy.lastPastHeads, findings.add);
  const kept = keptHeads(before, past ?? [], { network: scope.network, member: id });
  if (kept.length > 0) await copy.keepPastHeads(formatPastHeads(kept.map(({ signed }) => signed)));
  return mergedHeads(before, past ?? []);
}

async function readEntries(
  member: Member,
  pinned: PinnedLog,
  { signed, past: served }: { signed: Uint8Array; past: readonly ClaimedHead[] | null },
  reading: Reading,
): Promise<Pick<AuditedLog, 'head' | 'cosigned' | 'dated' | 'past'>> {
  const { ports, scope, findings, networks, watch } = reading;
  const { network } = scope;
  const copy = (await ports.archive?.begin(member.id)) ?? null;
  let trace = openTrace(member, reading, true);
  let head: LogHead | null = null;
  try {
    const claimed = await allHeads(member, served, copy, reading);
    const endsMs = trustEndsMs(network);
    const past = earlierHeads(claimed, { network, member: member.id, endsMs, found: findings.add });
    head = await verifyLog(ports.source, signed, {
      log: pinned,
      anchor: scope.anchors.get(member.id) ?? null,
      past,
      from: scope.open?.has(member.id) === true ? 'anchor' : 'first',
      nowMs: scope.nowMs,
      found: findings.add,
      restarted: () => {
        trace = openTrace(member, reading, false);
        watch.forget(member);
        networks.forget(member.id);
      },
      onEntry: (index, entry, bytes) => {
        trace.take(index, entry, () => Buffer.from(leafHash(bytes)).toString('hex') as Digest);
        watch.take(member, index, entry);
        networks.take(member.id, index, entry);
        scope.onEntry?.(member, index, entry);
      },
      progress: (done, size) => ports.progress(member.id, done, size),
      copy,
    });
    if (head === null) return { head, cosigned: null, dated: null, past: [] };
    // Nobody cosigns the log of a former member anew.
    const nowMs = network.members.has(member.id) ? scope.nowMs : null;
    const spoken = networks.versionIn(member.id);
    const { newestMs: newestEntryMs } = head;
    const judging = { network, member, origin: pinned.origin, signed, newestEntryMs, nowMs, spoken };
    const { cosigned, sound, opened } = judgeCosigned(judging, findings.add);
    if (!sound) head = { ...head, sound: false };
    const dated = opened && datedHead(opened);
    const earlier = head.past.map(datedHead);
    const heads = [...(scope.seen?.get(member.id) ?? []), ...earlier, ...(dated === null ? [] : [dated])];
    const kept = { size: head.checkpoint.size, signedBy: head.signedBy, newestMs: newestEntryMs };
    const own = head.sound ? judgeOwnKey(network, member.id, kept, heads) : null;
    if (own !== null) findings.add(own.found);
    if (own?.sound === false) head = { ...head, sound: false };
    return { head, cosigned, dated, past: earlier };
  } finally {
    // What did not verify must not take the place of what did.
    if (head?.sound === true) await copy?.commit(signed, head.from > 0 ? 'extend' : 'replace');
    else await copy?.discard();
  }
}

function pinnedLog(network: Network, { id }: Member, origin: string): PinnedLog | null {
  const keys = logKeysOf(network, id).map(({ key }) => key);
  return keys.length === 0 ? null : { member: id, origin, keys };
}

/** @param resume whether to go on with what the last audit left open */
function openTrace(
  { id, role }: Member,
  { scope, traces }: Reading,
  resume: boolean,
): DispatcherTrace | StationTrace {
  const open = resume ? scope.open?.get(id) : undefined;
  if (role === 'dispatcher') {
    const trace = traceDispatcher(id, open?.dispatcher);
    traces.dispatchers.set(id, trace);
    return trace;
  }
  const trace = traceStation(id, open?.station);
  traces.stations.set(id, trace);
  return trace;
}
