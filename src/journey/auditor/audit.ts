import type { TrainId } from '../../model/id.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { ledgerOrigin, logKey } from '../../model/ledger/origin.ts';
import { type Member, membersOf, type Network } from '../../model/network.ts';
import type { LogArchive, LogSource } from '../../ports/log-source.ts';
import { collectFindings, type Finding, type Findings, finding } from './findings.ts';
import { joinLogs, type OpenHop, openHops } from './join.ts';
import { type DispatcherTrace, traceDispatcher } from './trace-dispatcher.ts';
import { type StationTrace, traceStation } from './trace-station.ts';
import { type Anchor, type LogHead, type PinnedLog, servedFinding, verifyLog } from './verify-log.ts';

export type AuditPorts = {
  source: LogSource;
  /** Where verified logs are kept; null to keep nothing. */
  archive: LogArchive | null;
  progress: (member: string, done: number, size: number) => void;
};

export type AuditScope = {
  network: Network;
  /** What this auditor saw of each log before. */
  anchors: ReadonlyMap<string, Anchor>;
  /** Null for a copy: it has no present. */
  nowMs: number | null;
  /** Given every entry as it is read, before its log is known to be sound. */
  onEntry?: (member: Member, index: number, entry: LedgerEntry) => void;
  /** Found before the logs were read, such as a damaged memory of earlier audits. */
  before?: readonly Finding[];
};

export type AuditedLog = {
  member: string;
  role: 'dispatcher' | 'station';
  origin: string;
  /** Null where there is no head that verifies. */
  head: LogHead | null;
  missing: boolean;
};

export type AuditReport = {
  logs: AuditedLog[];
  openHops: OpenHop[];
  findings: Finding[];
  /** Findings of a kind that was already found often. */
  omitted: number;
  /** Whether anything but warnings was found. */
  failed: boolean;
};

type Logs = Map<string, AuditedLog>;
type Traces = { dispatchers: Map<string, DispatcherTrace>; stations: Map<string, StationTrace> };

/**
 * The audit, as the protocol tells it: each log by itself against its pinned key and against what was seen before, the
 * rules of a hop within it, then all logs against one another.
 *
 * Stations are read before dispatchers: an order is on record before a station can see it, so whatever a station has
 * received must be in a dispatcher's log that is read later.
 *
 * @throws PhtError `unreachable`, `timed-out`, `cancelled`, `forbidden`
 */
export async function audit(ports: AuditPorts, scope: AuditScope): Promise<AuditReport> {
  const findings = collectFindings();
  for (const found of scope.before ?? []) findings.add(found);
  const audited = [...membersOf(scope.network, 'station'), ...membersOf(scope.network, 'dispatcher')];
  const offered = await ports.source.members();
  reportUnknown(offered, audited, findings);

  const logs: Logs = new Map();
  const traces: Traces = { dispatchers: new Map(), stations: new Map() };
  for (const member of audited) {
    const log = await readLog(member, offered.includes(member.id), { ports, scope, findings, traces });
    logs.set(member.id, log);
  }
  reportMissing(logs, traces, scope, findings);

  const stations = soundStations(logs, traces);
  const dispatchers = soundOnes(logs, traces.dispatchers);
  for (const trace of [...stations.values()].map(({ trace }) => trace)) addAll(trace.findings(), findings);
  for (const trace of dispatchers.values()) addAll(trace.findings(), findings);
  const dispatchersComplete = dispatchers.size === membersOf(scope.network, 'dispatcher').length;
  addAll(
    joinLogs({ dispatchers, stations, dispatchersComplete, asOfMs: scope.nowMs ?? newestOf(logs) }),
    findings,
  );

  return {
    logs: [...logs.values()],
    openHops: [...openHops(stations)],
    findings: findings.list(),
    omitted: findings.omitted(),
    failed: findings.failed(),
  };
}

function addAll(found: Iterable<Finding>, findings: Findings): void {
  for (const each of found) findings.add(each);
}

type Reading = { ports: AuditPorts; scope: AuditScope; findings: Findings; traces: Traces };

async function readLog(member: Member, offered: boolean, reading: Reading): Promise<AuditedLog> {
  const { ports, scope, findings } = reading;
  const role = member.role === 'dispatcher' ? 'dispatcher' : 'station';
  const origin = ledgerOrigin(scope.network.id, member.id);
  const log: AuditedLog = { member: member.id, role, origin, head: null, missing: false };
  const pinned = pinnedLog(member, origin);
  if (pinned === null) {
    findings.add(
      finding('error', 'key.missing', { log: member.id }, `${member.id} has no log key in the network file`),
    );
    return log;
  }
  let signed: Uint8Array | null;
  try {
    signed = offered ? await ports.source.checkpoint(member.id) : null;
  } catch (thrown) {
    findings.add(servedFinding(member.id, thrown));
    return log;
  }
  if (signed === null || signed.byteLength === 0) return { ...log, missing: true };

  const trace = openTrace(member, reading);
  const copy = (await ports.archive?.begin(member.id)) ?? null;
  let head: LogHead | null = null;
  try {
    head = await verifyLog(ports.source, signed, {
      log: pinned,
      anchor: scope.anchors.get(member.id) ?? null,
      nowMs: scope.nowMs,
      found: findings.add,
      onEntry: (index, entry) => {
        trace.take(index, entry);
        scope.onEntry?.(member, index, entry);
      },
      progress: (done, size) => ports.progress(member.id, done, size),
      copy,
    });
  } finally {
    // What did not verify must not take the place of what did.
    if (head?.sound === true) await copy?.commit(signed);
    else await copy?.discard();
  }
  return { ...log, head };
}

function pinnedLog(member: Member, origin: string): PinnedLog | null {
  const jwk = member.keys.log;
  return jwk === undefined ? null : { member: member.id, origin, key: logKey(origin, jwk) };
}

function openTrace({ id, role }: Member, { scope, traces }: Reading): DispatcherTrace | StationTrace {
  if (role === 'dispatcher') {
    const trace = traceDispatcher(id);
    traces.dispatchers.set(id, trace);
    return trace;
  }
  const isAdmin = (person: string): boolean => {
    const admin = scope.network.members.get(person);
    return admin?.role === 'admin' && admin.station === id;
  };
  const trace = traceStation(id, isAdmin);
  traces.stations.set(id, trace);
  return trace;
}

function reportUnknown(offered: readonly string[], audited: readonly Member[], findings: Findings): void {
  const known = new Set(audited.map(({ id }) => id));
  for (const name of offered) {
    if (known.has(name)) continue;
    findings.add(
      finding(
        'warning',
        'log.unknown',
        { log: name.slice(0, 40) },
        `a log is offered under the name ${name}`,
      ),
    );
  }
}

/** A station that never spoke has nothing to show; a log that is gone or never came is another matter. */
function reportMissing(logs: Logs, traces: Traces, scope: AuditScope, findings: Findings): void {
  const heard = new Set(scope.anchors.keys());
  for (const { orders } of traces.dispatchers.values()) {
    for (const { station, receipt } of orders.values())
      if (station !== null && receipt !== null) heard.add(station);
  }
  for (const { member, role, missing } of logs.values()) {
    if (!missing) continue;
    const never = role === 'station' && !heard.has(member);
    const text = never ? `${member} has no log and was never heard of` : `the log of ${member} is not there`;
    findings.add(finding(never ? 'warning' : 'error', 'log.missing', { log: member }, text));
  }
}

function soundOnes<T>(logs: Logs, traces: ReadonlyMap<string, T>): Map<string, T> {
  return new Map([...traces].filter(([member]) => logs.get(member)?.head?.sound === true));
}

function soundStations(
  logs: Logs,
  traces: Traces,
): Map<string, { trace: StationTrace; newestMs: number | null }> {
  const entries = [...soundOnes(logs, traces.stations)];
  return new Map(
    entries.map(([member, trace]) => [member, { trace, newestMs: logs.get(member)?.head?.newestMs ?? null }]),
  );
}

function newestOf(logs: Logs): number {
  return Math.max(0, ...[...logs.values()].map(({ head }) => head?.newestMs ?? 0));
}

/** Entries of one train as they pass by. */
export function watchTrain(trainId: TrainId): {
  onEntry: NonNullable<AuditScope['onEntry']>;
  entries: { member: Member; index: number; entry: LedgerEntry }[];
} {
  const entries: { member: Member; index: number; entry: LedgerEntry }[] = [];
  return {
    entries,
    onEntry: (member, index, entry) => {
      if (entry.trainId === trainId) entries.push({ member, index, entry });
    },
  };
}
