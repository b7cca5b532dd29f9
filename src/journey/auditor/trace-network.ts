import type { LedgerEntry } from '../../model/ledger/entry.ts';
import type { Network } from '../../model/network.ts';
import { textIn } from './entry.ts';
import { type Finding, type FindingCode, finding, type Severity } from './findings.ts';

/** What one log has said of the network files that its member took up. */
export type NetworkSeen = {
  readonly version: number;
  readonly rootVersion: number;
  /** Digest of each version of the list of members, with the entry that says so. */
  readonly digests: readonly (readonly [version: number, digest: string, index: number])[];
};

export type NetworkTraces = {
  take(member: string, index: number, entry: LedgerEntry): void;
  /** The log is read again from its first entry. */
  forget(member: string): void;
  /** The newest version that this log has spoken of, however; null where it has of none. */
  versionIn(member: string): number | null;
  /** What is wrong within logs that are sound, and between them and the file at hand. */
  findings(sound: ReadonlySet<string>, network: Network): Finding[];
  left(member: string): NetworkSeen | undefined;
};

/** A list changes a few times a year; a liar could say so in every entry. */
const DIGESTS_MAX = 1000;
const FINDINGS_MAX = 1000;

type Trace = {
  version: number;
  rootVersion: number;
  spoken: number;
  digests: Map<number, { digest: string; index: number }>;
  found: Finding[];
};

/** Follows the network through the logs: forwards only, and one list for one version, whoever is asked. */
export function traceNetworks(open?: ReadonlyMap<string, { network?: NetworkSeen }>): NetworkTraces {
  const traces = new Map<string, Trace>();

  const traceOf = (member: string): Trace => {
    const known = traces.get(member);
    if (known !== undefined) return known;
    const seen = open?.get(member)?.network;
    const trace: Trace = {
      version: seen?.version ?? 0,
      rootVersion: seen?.rootVersion ?? 0,
      spoken: seen?.version ?? 0,
      digests: new Map(seen?.digests.map(([version, digest, index]) => [version, { digest, index }])),
      found: [],
    };
    traces.set(member, trace);
    return trace;
  };

  return {
    take: (member, index, { type, body }) => {
      const wrong: Wrong = (code, text, severity = 'error') => {
        const { found } = traceOf(member);
        if (found.length < FINDINGS_MAX) found.push(finding(severity, code, { log: member, index }, text));
      };
      if (type === 'network.changed') change(traceOf(member), index, body, wrong);
      else if (type === 'manifest.verified') decide(traceOf(member), body, wrong);
    },
    forget: (member) => {
      traces.set(member, { version: 0, rootVersion: 0, spoken: 0, digests: new Map(), found: [] });
    },
    versionIn: (member) => traces.get(member)?.spoken || null,
    findings: (sound, network) => {
      const own = [...traces].flatMap(([member, { found }]) => (sound.has(member) ? found : []));
      return [...own, ...forksIn(traces, sound, network)];
    },
    left: (member) => {
      const trace = traces.get(member);
      if (trace === undefined || trace.version === 0) return undefined;
      const { version, rootVersion, digests } = trace;
      const told = [...digests].map(([of, { digest, index }]) => [of, digest, index] as const);
      return { version, rootVersion, digests: told };
    },
  };
}

type Wrong = (code: FindingCode, text: string, severity?: Severity) => void;

function change(trace: Trace, index: number, body: LedgerEntry['body'], wrong: Wrong): void {
  const { version, rootVersion } = body;
  const digest = textIn(body, 'digest');
  if (typeof version !== 'number' || typeof rootVersion !== 'number' || digest === null) {
    wrong('entry.contradictory', 'it does not say which version of the network file was taken up');
    return;
  }
  takeBack(trace, { version, rootVersion, digest }, wrong);
  if (version < trace.version)
    wrong('network.rolled-back', `version ${version} was taken up after version ${trace.version}`);
  if (rootVersion < trace.rootVersion)
    wrong('network.rolled-back', `root ${rootVersion} was taken up after root ${trace.rootVersion}`);
  const before = trace.digests.get(version);
  if (before !== undefined && before.digest !== digest)
    wrong('network.forked', `version ${version} is another list here than at entry ${before.index}`);
  if (before === undefined && trace.digests.size < DIGESTS_MAX) trace.digests.set(version, { digest, index });
  trace.version = Math.max(trace.version, version);
  trace.rootVersion = Math.max(trace.rootVersion, rootVersion);
  trace.spoken = Math.max(trace.spoken, version);
}

/** A newer root may disown lists that a thief of the members key has signed, and begin again before them. */
function takeBack(
  trace: Trace,
  { version, rootVersion, digest }: { version: number; rootVersion: number; digest: string },
  wrong: Wrong,
): void {
  const { digest: before = digest } = trace.digests.get(version) ?? {};
  const isOther = version < trace.version || (version === trace.version && before !== digest);
  if (rootVersion <= trace.rootVersion || !isOther) return;
  const text = `root ${rootVersion} came with version ${version}, and took back what was version ${trace.version}`;
  wrong('network.rolled-back', text, 'warning');
  for (const known of trace.digests.keys()) if (known >= version) trace.digests.delete(known);
  trace.version = version;
}

function decide(trace: Trace, body: LedgerEntry['body'], wrong: Wrong): void {
  const { networkVersion } = body;
  if (typeof networkVersion !== 'number') return;
  if (networkVersion < trace.version) {
    const text = `it was verified under version ${networkVersion}, after version ${trace.version} was taken up`;
    wrong('network.rolled-back', text);
  }
  trace.spoken = Math.max(trace.spoken, networkVersion);
}

/** The first log that speaks of a version is what the others are held against, where the file itself is not at hand. */
function* forksIn(
  traces: ReadonlyMap<string, Trace>,
  sound: ReadonlySet<string>,
  network: Network,
): Generator<Finding> {
  const first = new Map([
    [network.version, { digest: network.digest as string, where: 'in the file at hand' }],
  ]);
  for (const [member, { digests }] of traces) {
    if (!sound.has(member)) continue;
    for (const [version, { digest, index }] of digests) {
      const other = first.get(version);
      if (other === undefined) {
        first.set(version, { digest, where: `in the log of ${member}` });
        continue;
      }
      if (other.digest === digest) continue;
      const [here, there] = [digest.slice(0, 16), other.digest.slice(0, 16)];
      const text = `version ${version} of the list of members is ${here} here and ${there} ${other.where}`;
      yield finding('error', 'network.forked', { log: member, index }, text);
    }
  }
}
