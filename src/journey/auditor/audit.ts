import type { TrainId } from '../../model/id.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { type Member, memberIn, type Network, type Role } from '../../model/network.ts';
import type { Opened } from './disclosed.ts';
import { collectFindings, type Finding, type Findings, finding } from './findings.ts';
import { type JoinedLog, type JoinedLogs, joinLogs, type OpenHop, openHops } from './join.ts';
import { type LeftOpen, leftOpen } from './left-open.ts';
import type { DatedHead, DatedHeads } from './on-record.ts';
import { type AuditedLog, readLog, type Traces } from './read-log.ts';
import type { AuditPorts, AuditScope } from './scope.ts';
import { type NetworkTraces, traceNetworks } from './trace-network.ts';
import { type Notice, watchLogs } from './watch.ts';

/** How many there are, and of how many more than the station's word is known. */
export type Tally = { decisions: number; replayed: number; clearances: number; checked: number };

export type AuditReport = {
  logs: AuditedLog[];
  openHops: OpenHop[];
  findings: Finding[];
  /** Findings of a kind that was already found often. */
  omitted: number;
  /** Whether anything but warnings was found. */
  failed: boolean;
  notices: Notice[];
  opened: Opened[];
  tally: Tally;
  /** Whether only what was new has been read. */
  onlyNew: boolean;
  /** Of every log, for an audit that goes on from here. */
  left: ReadonlyMap<string, LeftOpen>;
};

type Logs = Map<string, AuditedLog>;

/**
 * The audit, as the protocol tells it: each log by itself against its pinned key, its witnesses and what was seen before,
 * the rules of a hop within it, then all logs against one another.
 *
 * Stations are read before dispatchers: an order is on record before a station can see it, so whatever a station has
 * received must be in a dispatcher's log that is read later.
 *
 * @throws PhtError `unreachable`, `timed-out`, `cancelled`, `forbidden`
 */
export async function audit(ports: AuditPorts, scope: AuditScope): Promise<AuditReport> {
  const findings = collectFindings();
  for (const found of scope.before ?? []) findings.add(found);
  const { network } = scope;
  const audited = [...keepersOf(network, 'station'), ...keepersOf(network, 'dispatcher')];
  const offered = await ports.source.members();
  reportUnknown(offered, audited, findings);

  const logs: Logs = new Map();
  const traces: Traces = { dispatchers: new Map(), stations: new Map() };
  const networks = traceNetworks(scope.open ?? undefined);
  const watch = watchLogs(scope.disclosed?.disclosures ?? []);
  for (const member of audited) {
    const reading = { ports, scope, findings, traces, networks, watch };
    logs.set(member.id, await readLog(member, offered.includes(member.id), reading));
  }
  // Where one log had to be read anew, what the others left open is too little to hold it against.
  if (scope.open != null && [...scope.open.keys()].some((member) => logs.get(member)?.head?.from === 0))
    return audit(ports, { ...scope, open: null });
  reportMissing(logs, traces, scope, findings);
  return judged({ logs, traces, networks, scope, findings, watch });
}

type Read = {
  logs: Logs;
  traces: Traces;
  scope: AuditScope;
  findings: Findings;
  networks: NetworkTraces;
  watch: ReturnType<typeof watchLogs>;
};

/** What the logs say, now that it is known which of them are sound. */
export function judged({ logs, traces, networks, scope, findings, watch }: Read): AuditReport {
  const { network, disclosed } = scope;
  if (network.witnessing.quorum === 'none') {
    const text = 'the network file names no quorum of witnesses';
    findings.add(finding('warning', 'quorum.none', { log: null }, text));
  }
  const stations = soundOnes(logs, traces.stations);
  const dispatchers = soundOnes(logs, traces.dispatchers);
  for (const { trace } of [...stations.values(), ...dispatchers.values()]) addAll(trace.findings(), findings);
  const joined: JoinedLogs = {
    dispatchers,
    stations,
    dispatchersComplete: dispatchers.size === keepersOf(network, 'dispatcher').length,
    witnessed: network.witnessing.quorum !== 'none',
    asOfMs: scope.nowMs ?? newestOf(logs),
  };
  addAll(joinLogs(joined), findings);
  const heads = new Map([...stations, ...dispatchers].map(([member, { size }]) => [member, size]));
  const sound = new Set(heads.keys());
  addAll(watch.findings(sound, network), findings);
  addAll(networks.findings(sound, network), findings);
  const dated = datedHeads(logs, scope);
  const opened =
    disclosed === undefined ? [] : watch.opened(heads, { network, replay: disclosed.replay, dated });
  for (const { findings: of } of opened) addAll(of, findings);

  return {
    logs: [...logs.values()],
    openHops: [...openHops(stations)],
    findings: findings.list(),
    omitted: findings.omitted(),
    failed: findings.failed(),
    notices: watch.notices(sound),
    opened,
    tally: tallyOf(stations, opened),
    onlyNew: scope.open != null,
    left: leftOpen(joined, networks),
  };
}

/** Whoever keeps or kept a log: with a member its past does not leave the network. */
function keepersOf(network: Network, role: Role): Member[] {
  const ids = new Set(network.spans.filter((span) => span.role === role).map(({ id }) => id));
  return [...ids].flatMap((id) => {
    const keeper = keeperOf(network, id);
    return keeper?.role === role ? [keeper] : [];
  });
}

/** As it is, or as it was when it left. */
export function keeperOf(network: Network, id: string): Member | null {
  const last = network.spans.findLast((span) => span.id === id);
  return network.members.get(id) ?? (last === undefined ? null : memberIn(last));
}

function datedHeads(logs: Logs, { seen }: AuditScope): DatedHeads {
  const heads = new Map<string, DatedHead[]>();
  for (const [member, { dated, past }] of logs) {
    heads.set(member, [...(seen?.get(member) ?? []), ...past, ...(dated === null ? [] : [dated])]);
  }
  return heads;
}

function tallyOf(stations: JoinedLogs['stations'], opened: readonly Opened[]): Tally {
  const counts = [...stations.values()].map(({ trace }) => trace.counts);
  const sum = (of: readonly number[]): number => of.reduce((total, each) => total + each, 0);
  const replayed = opened.map(
    ({ decisions }) => [...decisions.values()].filter((is) => is === 'replayed').length,
  );
  return {
    decisions: sum(counts.map(({ decisions }) => decisions)),
    replayed: sum(replayed),
    clearances: sum(counts.map(({ clearances }) => clearances)),
    checked: sum(opened.map(({ checked }) => checked.size)),
  };
}

function addAll(found: Iterable<Finding>, findings: Findings): void {
  for (const each of found) findings.add(each);
}

function reportUnknown(offered: readonly string[], audited: readonly Member[], findings: Findings): void {
  const known = new Set(audited.map(({ id }) => id));
  for (const name of offered) {
    if (known.has(name)) continue;
    const text = `a log is offered under the name ${name}`;
    findings.add(finding('warning', 'log.unknown', { log: name.slice(0, 40) }, text));
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
    const never = (role === 'station' && !heard.has(member)) || !scope.network.members.has(member);
    const text = !scope.network.members.has(member)
      ? `the log of ${member}, who has left, is not there`
      : never
        ? `${member} has no log and was never heard of`
        : `the log of ${member} is not there`;
    findings.add(finding(never ? 'warning' : 'error', 'log.missing', { log: member }, text));
  }
}

function soundOnes<T>(logs: Logs, traces: ReadonlyMap<string, T>): Map<string, JoinedLog<T>> {
  return new Map(
    [...traces].flatMap(([member, trace]) => {
      const log = logs.get(member);
      if (log?.head?.sound !== true) return [];
      const { checkpoint, newestMs } = log.head;
      return [[member, { trace, origin: log.origin, size: checkpoint.size, newestMs }] as const];
    }),
  );
}

function newestOf(logs: Logs): number {
  return Math.max(0, ...[...logs.values()].map(({ head }) => head?.newestMs ?? 0));
}

/** The report with what was found besides. */
export function alsoFound(report: AuditReport, more: readonly Finding[]): AuditReport {
  const findings = collectFindings();
  addAll([...report.findings, ...more], findings);
  const omitted = report.omitted + findings.omitted();
  return { ...report, findings: findings.list(), omitted, failed: report.failed || findings.failed() };
}

type Placed = { member: Member; index: number; entry: LedgerEntry };

/**
 * Entries of one train as they pass by. `ofLogs`: those about keys and network versions, in the logs that speak of it,
 * which whoever verifies the others needs as well.
 */
export function watchTrain(trainId: TrainId): {
  onEntry: NonNullable<AuditScope['onEntry']>;
  entries: Placed[];
  ofLogs(): Placed[];
} {
  const entries: Placed[] = [];
  const besides: Placed[] = [];
  return {
    entries,
    ofLogs: () => {
      const logs = new Set(entries.map(({ member }) => member.id));
      return besides.filter(({ member }) => logs.has(member.id));
    },
    onEntry: (member, index, entry) => {
      if (entry.trainId === trainId) entries.push({ member, index, entry });
      else if (entry.type === 'log.rotated' || entry.type === 'network.changed')
        besides.push({ member, index, entry });
    },
  };
}
