import { verifyDisclosure } from '../../model/disclosure.ts';
import { parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import type { Digest, TrainId } from '../../model/id.ts';
import { openCheckpoint } from '../../model/ledger/checkpoint.ts';
import type { EntryType, LedgerEntry } from '../../model/ledger/entry.ts';
import { openEntryProof } from '../../model/ledger/entry-proof.ts';
import { sameBytes } from '../../model/ledger/strict.ts';
import { LOOKING_BACK, type Member, type Network } from '../../model/network.ts';
import type { ReplayDecision } from '../../ports/replay.ts';
import { type AuditReport, judged, keeperOf } from './audit.ts';
import type { Bundle, BundledLog } from './bundle.ts';
import { gapsIn } from './bundle-gaps.ts';
import { judgeCosigned } from './cosigned.ts';
import type { VerifiedDisclosure } from './disclosed.ts';
import { collectFindings, type Finding, type FindingCode, type Findings, finding } from './findings.ts';
import { type DatedHead, type DatedHeads, datedHead, judgeOwnKey } from './on-record.ts';
import { trustOf } from './prove.ts';
import type { AuditedLog, Traces } from './read-log.ts';
import { followRotations } from './rotations.ts';
import { judgeStatements } from './statements.ts';
import { traceDispatcher } from './trace-dispatcher.ts';
import { traceNetworks } from './trace-network.ts';
import { traceStation } from './trace-station.ts';
import { watchLogs } from './watch.ts';

/** What speaks against a member only as long as nothing was left out of the bundle. */
const BY_ABSENCE: ReadonlySet<FindingCode> = new Set([
  'release.without-order',
  'release.without-verification',
  'release.without-permit',
  'release.without-clearance',
  'release.without-run',
  'release.without-screening',
  'receipt.missing',
  'receipt.unordered',
  'receipt.contradictory',
  'receipt.unmatched',
  'withdrawal.groundless',
  'order.unissued',
  'order.unadmitted',
]);

export type BundleReport = AuditReport & {
  trainId: TrainId | null;
  entries: readonly { member: Member; index: number; entry: LedgerEntry }[];
};

type Proven = { member: Member; index: number; entry: LedgerEntry; leaf: Digest; heads: DatedHead[] };

/** Of the member and not of any train: they tell which key and which network version a log was kept with. */
const OF_THE_LOG: ReadonlySet<EntryType> = new Set(['log.rotated', 'network.changed']);

/**
 * Verifies all that a bundle holds, from the network file alone: each head with its witnesses, each entry's proof, each
 * statement's signature, and all of them against one another.
 *
 * @param network that judges; it may be newer than the one in the bundle, and then knows who has left since
 * @param madeUnder version of the network file in the bundle
 */
export function verifyBundle(
  bundle: Bundle,
  network: Network,
  replay: ReplayDecision,
  madeUnder: number = network.version,
): BundleReport {
  const found = collectFindings();
  const findings: Findings = {
    ...found,
    add: (each) => found.add(BY_ABSENCE.has(each.code) ? onlyPerhaps(each) : each),
  };
  const logs = new Map<string, AuditedLog>();
  const proven: Proven[] = [];
  for (const [name, log] of bundle.logs) {
    const { audited, entries } = verifyLogOf(name, log, { network, madeUnder }, findings);
    logs.set(name, audited);
    proven.push(...entries);
  }
  const trainId = trainOf(proven, findings);
  const disclosures = disclosuresIn(bundle, trainId, network, findings);
  const watch = watchLogs(disclosures, false);
  const networks = traceNetworks();
  for (const { member, index, entry } of proven) networks.take(member.id, index, entry);
  const traces: Traces = { dispatchers: new Map(), stations: new Map() };
  for (const [member] of bundle.logs) {
    const of = proven.filter((each) => each.member.id === member && each.entry.trainId === trainId);
    const role = logs.get(member)?.role;
    const trace = role === 'dispatcher' ? traceDispatcher(member) : traceStation(member);
    if ('orders' in trace) traces.dispatchers.set(member, trace);
    else traces.stations.set(member, trace);
    for (const { index, entry, leaf, member: by } of of) {
      trace.take(index, entry, () => leaf);
      watch.take(by, index, entry);
    }
  }
  for (const each of judgeStatements(bundle.statements, proven, network, datedIn(logs))) findings.add(each);
  for (const each of gapsIn(traces, proven, network)) findings.add(each);
  const scope = { network, anchors: new Map(), nowMs: null, disclosed: { disclosures, replay } };
  const report = judged({ logs, traces, networks, scope, findings, watch });
  const entries = proven.filter(({ entry }) => entry.trainId === trainId);
  return { ...report, trainId, entries };
}

function datedIn(logs: ReadonlyMap<string, AuditedLog>): DatedHeads {
  return new Map([...logs].map(([member, { dated }]) => [member, dated === null ? [] : [dated]]));
}

function onlyPerhaps(found: Finding): Finding {
  return { ...found, severity: 'error', text: `${found.text}, or it was left out of the bundle` };
}

function verifyLogOf(
  name: string,
  { checkpoint: signed, proofs, early }: BundledLog,
  { network, madeUnder }: { network: Network; madeUnder: number },
  findings: Findings,
): { audited: AuditedLog; entries: Proven[] } {
  const member = keeperOf(network, name);
  const role = member?.role === 'dispatcher' ? 'dispatcher' : 'station';
  const nothing = { origin: '', head: null, cosigned: null, dated: null, past: [], missing: false };
  const audited: AuditedLog = { member: name, role, ...nothing };
  const wrong = (code: FindingCode, text: string, index?: number): void =>
    findings.add(finding('error', code, { log: name, ...(index === undefined ? {} : { index }) }, text));
  try {
    if (member === null || (member.role !== 'dispatcher' && member.role !== 'station'))
      throw new PhtError('signer.unknown', `${name} keeps no log in this network`);
    const trust = trustOf(network, name);
    const { checkpoint, signedBy } = openCheckpoint(signed, { ...trust, witnessKeys: [] });
    const rotations = followRotations(trust.logKeys, null);
    const entries: Proven[] = [];
    for (const [index, bytes] of proofs) {
      const read = provenEntry(bytes, { member, index, signed, trust, early: early.get(index) ?? null });
      if (typeof read === 'string') {
        wrong('proof.invalid', read, index);
        continue;
      }
      entries.push(read);
      const broken = read.entry.type === 'log.rotated' ? rotations.take(index, read.entry.body) : null;
      if (broken !== null) wrong('log.rotation', broken, index);
    }
    for (const index of early.keys())
      if (!proofs.has(index)) wrong('proof.invalid', 'an early proof of an entry that is not in it', index);
    const wrongKey = rotations.wrongKey({ size: checkpoint.size, signedBy });
    if (wrongKey !== null) wrong('log.rotation', wrongKey);
    const newestMs = entries.reduce<number | null>((most, { entry }) => Math.max(most ?? 0, entry.ts), null);
    const { origin } = trust;
    const judging = {
      network,
      member,
      origin,
      signed,
      newestEntryMs: newestMs,
      nowMs: null,
      spoken: madeUnder,
    };
    const { cosigned, sound: seen, opened } = judgeCosigned(judging, findings.add);
    const dated = opened && datedHead(opened);
    const kept = { size: checkpoint.size, signedBy, newestMs };
    const own = judgeOwnKey(network, name, kept, [
      ...(dated === null ? [] : [dated]),
      ...earlierOf(kept, entries),
    ]);
    if (own !== null) findings.add(own.found);
    const sound = seen && wrongKey === null && own?.sound !== false;
    const read = { rotations: rotations.list(), newestMs, continues: null, from: 0, past: [], range: null };
    const head = { checkpoint, signed, signedBy, sound, ...read };
    return { audited: { ...audited, origin, head, cosigned, dated }, entries: sound ? entries : [] };
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    wrong(thrown.code === 'ledger.invalid' ? 'checkpoint.malformed' : 'checkpoint.unsigned', thrown.message);
    return { audited, entries: [] };
  }
}

/** @returns why the proof is not used, or the entry */
function provenEntry(
  bytes: Uint8Array,
  at: {
    member: Member;
    index: number;
    signed: Uint8Array;
    trust: ReturnType<typeof trustOf>;
    early: Uint8Array | null;
  },
): Proven | string {
  const { member, index, signed, trust, early } = at;
  try {
    const { entry, quote, note } = openEntryProof(bytes, { ...trust, witnessKeys: [] });
    if (quote.index !== index) return `the proof is of entry ${quote.index}`;
    if (!sameBytes(Buffer.from(note), signed)) return 'the proof is under another head';
    if (entry.actor !== member.id) return `the entry names ${entry.actor} as its author`;
    const before = early === null ? null : openEntryProof(early, trust);
    if (before !== null && (before.quote.index !== index || before.quote.leafHash !== quote.leafHash))
      return 'its early proof is of another entry';
    const heads = before === null ? [] : [datedHead(before.opened)];
    return { member, index, entry, leaf: quote.leafHash, heads };
  } catch (thrown) {
    if (thrown instanceof PhtError) return thrown.message;
    throw thrown;
  }
}

/** Where each entry is proved under an earlier head too, the youngest of these speaks for all that is in the bundle. */
function earlierOf({ size }: { size: number }, entries: readonly Proven[]): DatedHead[] {
  const heads = entries.flatMap((entry) => entry.heads).toSorted((a, b) => b.size - a.size);
  const [youngest] = heads;
  const all = entries.every((entry) => entry.heads.length > 0);
  return youngest === undefined || !all ? [] : [{ size, cosignatures: youngest.cosignatures }];
}

function trainOf(proven: readonly Proven[], findings: Findings): TrainId | null {
  const ofTrains = proven.filter(({ entry }) => entry.trainId !== null || !OF_THE_LOG.has(entry.type));
  const trains = [...new Set(ofTrains.map(({ entry }) => entry.trainId))];
  const trainId = trains.find((each) => each !== null) ?? null;
  if (trains.length > 1) {
    const stray = ofTrains.find(({ entry }) => entry.trainId !== trainId);
    const place = { log: stray?.member.id ?? null, ...(stray === undefined ? {} : { index: stray.index }) };
    findings.add(finding('error', 'proof.invalid', place, 'the bundle speaks of more than one train'));
  }
  if (trainId === null)
    findings.add(finding('error', 'bundle.incomplete', { log: null }, 'it proves nothing about any train'));
  return trainId;
}

/** Those of this train, one of each station: a second one would be counted twice. */
function disclosuresIn(
  { disclosures }: Bundle,
  trainId: TrainId | null,
  network: Network,
  findings: Findings,
): VerifiedDisclosure[] {
  const stations = new Set<string>();
  return disclosures.flatMap((bytes) => {
    try {
      const disclosure = verifyDisclosure(parseEnvelope(bytes, 'disclosure'), network, LOOKING_BACK);
      const { issuer, trainId: of } = disclosure.predicate;
      if (of !== trainId) throw new PhtError('proof.invalid', `it is about ${of}, not about this train`);
      if (stations.has(issuer)) throw new PhtError('proof.invalid', `it is a second one of ${issuer}`);
      stations.add(issuer);
      return [disclosure];
    } catch (thrown) {
      if (!(thrown instanceof PhtError)) throw thrown;
      findings.add(finding('error', 'disclosure.invalid', { log: null }, thrown.message));
      return [];
    }
  });
}
