import { beforeAll, describe, expect, it } from 'vitest';
import { type AuditReport, audit, watchTrain } from '../../src/journey/auditor/audit.ts';
import type { FindingCode } from '../../src/journey/auditor/findings.ts';
import { lifeOf, namesIn } from '../../src/journey/auditor/show.ts';
import { commitmentOf, commitmentsIn } from '../../src/model/commitment.ts';
import { type Disclosure, type Opening, verifyDisclosure } from '../../src/model/disclosure.ts';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import { digestOf } from '../../src/model/id.ts';
import { formatPastHeads } from '../../src/model/ledger/past-heads.ts';
import type { Network } from '../../src/model/network.ts';
import { signStatement } from '../../src/model/statement.ts';
import type { ReplayDecision } from '../../src/ports/replay.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import {
  AFTER_MS,
  answerOf,
  dispatched,
  encoded,
  headOf,
  type Line,
  type Lines,
  releasedHop,
  requestOf,
  SALT,
  type Served,
  START_MS,
  serve,
  servedSource,
  signedLog,
  WITNESSING,
} from './story.ts';

/** What a station has opened to an auditor, held against its own log; the policy is asked again. */

let fake: FakeNetwork;
beforeAll(async () => {
  fake = await makeNetwork({
    admins: { adam: 'south', nora: 'north' },
    auditors: ['olga'],
    witnessing: WITNESSING,
    nowMs: START_MS,
  });
});

const POLICY = 'permit (principal, action, resource);';
const HOP_MS = START_MS + 60_000;
const TRAIN = headOf('t', 'south');

type Signed = { digest: string; text: string };

/** What a person has signed about the case of the story. */
function clearance(by: string, more: object = {}): Signed {
  const predicate = {
    ...{ networkId: fake.network.id, networkVersion: 1, issuer: by, manifestDigest: TRAIN.manifestDigest },
    ...{ station: 'south', verdict: 'approve', reason: 'fine', runsMax: 1 },
    ...{ issuedAtMs: START_MS, expiresMs: AFTER_MS, ...more },
  };
  const subject = { name: 'case', digest: digestOf('case') };
  const { envelope, digest } = signStatement('clearance', subject, predicate, memberIn(fake, by).signer);
  return { digest, text: Buffer.from(encodeEnvelope(envelope)).toString() };
}

function southHop(clearanceDigest: string, by = 'adam'): Line[] {
  const policyDigest = digestOf(POLICY);
  return releasedHop('t', 'south', { verdict: 'ask', by, clearanceDigest }).map((line) =>
    line.entry.type === 'policy.decided'
      ? { ...line, entry: { ...line.entry, body: { ...line.entry.body, policyDigest } } }
      : line,
  );
}

const VALUES = (clearanceDigest: string, by = 'adam'): Record<string, string> => ({
  requestCommitment: requestOf('t', 'south', HOP_MS + 2000),
  answerCommitment: answerOf('ask'),
  byCommitment: by,
  clearanceCommitment: clearanceDigest,
});

/** All that an honest station opens of this hop. */
function disclosed(lines: readonly Line[], { digest, text }: Signed, by = 'adam'): Disclosure {
  const values = VALUES(digest, by);
  const openings = lines.flatMap(({ entry }, index) =>
    commitmentsIn(entry).flatMap(({ name, commitment }): Opening[] => {
      const value = values[name];
      const salt = Buffer.from(SALT).toString('hex');
      if (value === undefined || commitmentOf(SALT, value) !== commitment)
        return [{ index, name, commitment, erased: true }];
      return [{ index, name, commitment, salt, value }];
    }),
  );
  const decided = lines.findIndex(({ entry }) => entry.type === 'policy.decided');
  const body = lines[decided]?.entry.body ?? {};
  const decision = {
    index: decided,
    policyDigest: digestOf(POLICY),
    requestCommitment: String(body['requestCommitment']),
    answerCommitment: String(body['answerCommitment']),
  };
  return {
    ...{ networkId: fake.network.id, networkVersion: 1, issuer: 'south', issuedAtMs: AFTER_MS },
    ...{ trainId: TRAIN.trainId, to: 'olga', ledgerSize: lines.length },
    policies: [{ digest: digestOf(POLICY), text: POLICY }],
    hops: [{ hopId: TRAIN.hopId, decisions: [decision], openings, clearances: [text] }],
  };
}

const saysAsk: ReplayDecision = () => ({
  ...{ verdict: 'ask', rules: ['r1'], reasons: [], approvals: 1, error: false },
});

type Case = {
  lines?: Line[];
  change?: (disclosure: Disclosure) => Disclosure;
  replay?: ReplayDecision;
  /** As the logs are served. */
  served?: (lines: Lines) => Served;
  /** That judges, where it is newer than the one of the story. */
  network?: Network;
};

async function audited({
  signed,
  by = 'adam',
  ...of
}: Case & { signed?: Signed; by?: string }): Promise<AuditReport> {
  const word = signed ?? clearance('adam');
  const south = of.lines ?? southHop(word.digest, by);
  const predicate = (of.change ?? ((same) => same))(disclosed(south, word, by));
  const subject = { name: 'manifest', digest: TRAIN.manifestDigest };
  const { envelope } = signStatement('disclosure', subject, predicate, memberIn(fake, 'south').signer);
  const disclosure = verifyDisclosure(envelope, fake.network);
  const lines: Lines = {
    north: releasedHop('t', 'north'),
    south,
    dispatcher: dispatched('t', ['north', 'south']),
  };
  return audit(
    {
      source: servedSource((of.served ?? ((all) => serve(fake, all)))(lines)),
      archive: null,
      progress: () => undefined,
    },
    {
      ...{ network: of.network ?? fake.network, anchors: new Map(), nowMs: AFTER_MS },
      disclosed: { disclosures: [disclosure], replay: of.replay ?? saysAsk },
    },
  );
}
const codes = ({ findings }: AuditReport): FindingCode[] => [...new Set(findings.map(({ code }) => code))];
const openings = (disclosure: Disclosure, change: (opening: Opening) => Opening[]): Disclosure => ({
  ...disclosure,
  hops: disclosure.hops.map((hop) => ({ ...hop, openings: hop.openings.flatMap(change) })),
});
const erase = ({ index, name, commitment }: Opening): Opening => ({ index, name, commitment, erased: true });

describe('a disclosure', () => {
  it('lets the decision be made again, and says who approved', async () => {
    const report = await audited({});
    expect(report.findings).toEqual([]);
    // North has disclosed nothing.
    expect(report.tally).toEqual({ decisions: 2, replayed: 1, clearances: 1, checked: 1 });
    expect(namesIn(TRAIN.trainId, report.opened)).toEqual({
      researcher: 'rosa',
      people: ['Approved at south by: adam'],
    });
  });

  it('of an admin who was revoked before the first audit counts by an earlier head, and by nothing else', async () => {
    const revoked = [{ id: 'adam', reason: 'he left' }];
    const { network } = fake.next({ revoked, issuedAtMs: AFTER_MS - 120_000 });
    const late =
      (isShown: boolean) =>
      (lines: Lines): Served =>
        new Map(
          [...serve(fake, lines)].map(([member, { checkpoint, entries }]) => {
            const log = signedLog(fake, member, entries, { cosignedAtMs: AFTER_MS - 60_000 });
            const heads = isShown && checkpoint !== null ? [checkpoint] : [];
            return [member, { ...log, pastHeads: formatPastHeads(heads) }];
          }),
        );
    expect(codes(await audited({ network, served: late(true) }))).toEqual([]);
    expect(codes(await audited({ network, served: late(false) }))).toContain('signer.revoked');
  });

  it('without any, nothing is said to be fine', async () => {
    const lines = { south: southHop(clearance('adam').digest), dispatcher: dispatched('t', ['south']) };
    const { tally, opened } = await audit(
      { source: servedSource(serve(fake, lines)), archive: null, progress: () => undefined },
      { network: fake.network, anchors: new Map(), nowMs: AFTER_MS },
    );
    expect(tally).toEqual({ decisions: 1, replayed: 0, clearances: 1, checked: 0 });
    expect(namesIn(TRAIN.trainId, opened).researcher).toBe('(not disclosed)');
  });

  it('of what was erased says so, and the log still verifies', async () => {
    const report = await audited({ change: (all) => openings(all, (each) => [erase(each)]) });
    expect(report.findings).toEqual([]);
    expect(report.tally).toMatchObject({ replayed: 0, checked: 0 });
    const watched = watchTrain(TRAIN.trainId);
    const south = fake.network.members.get('south');
    if (south === undefined) throw new Error('no south');
    for (const [index, bytes] of encoded('south', southHop(clearance('adam').digest)).entries()) {
      const entry = JSON.parse(Buffer.from(bytes).toString()) as Parameters<typeof watched.onEntry>[2];
      watched.onEntry(south, index, entry);
    }
    const told = lifeOf(watched.entries, report.opened).map(({ text }) => text);
    expect(told).toContain('cleared in person by erased');
    expect(told).toContain('policy says ask, not replayed: erased (r1)');
    expect(namesIn(TRAIN.trainId, report.opened).researcher).toBe('erased');
  });
});

type Change = NonNullable<Case['change']>;
const decisionIs =
  (more: object): Change =>
  (all) => ({
    ...all,
    hops: all.hops.map((hop) => ({
      ...hop,
      decisions: hop.decisions.map((decision) => ({ ...decision, ...more })),
    })),
  });

const CAUGHT: [string, FindingCode, () => Parameters<typeof audited>[0]][] = [
  [
    'a policy that gives another answer',
    'decision.contradicted',
    () => ({ replay: () => ({ verdict: 'deny', rules: [], reasons: [], approvals: 0, error: false }) }),
  ],
  [
    'other rules behind the same answer',
    'decision.contradicted',
    () => ({ replay: () => ({ verdict: 'ask', rules: ['r2'], reasons: [], approvals: 0, error: false }) }),
  ],
  [
    'a policy that no station would load',
    'decision.contradicted',
    () => ({
      replay: () => {
        throw new PhtError('policy.error', 'it does not parse');
      },
    }),
  ],
  [
    'an answer in the log that is not the archived one',
    'decision.contradicted',
    () => {
      const lines = southHop(clearance('adam').digest).map((line) =>
        line.entry.type === 'policy.decided'
          ? { ...line, entry: { ...line.entry, body: { ...line.entry.body, rules: ['r9'] } } }
          : line,
      );
      return { lines };
    },
  ],
  [
    'a question that was asked at another time',
    'decision.contradicted',
    () => ({
      lines: southHop(clearance('adam').digest).map((line) => ({ ...line, atMs: line.atMs + 301_000 })),
    }),
  ],
  [
    'another policy than the one on record',
    'disclosure.contradicted',
    () => ({ change: decisionIs({ policyDigest: digestOf('x') }) }),
  ],
  ['a decision that is nowhere', 'disclosure.contradicted', () => ({ change: decisionIs({ index: 4 }) })],
  [
    'an opening of what the entry does not hold',
    'disclosure.contradicted',
    () => ({
      change: (all) => openings(all, (each) => [{ ...each, index: each.index === 3 ? 4 : each.index }]),
    }),
  ],
  [
    'no decision at all',
    'disclosure.incomplete',
    () => ({ change: (all) => ({ ...all, hops: all.hops.map((hop) => ({ ...hop, decisions: [] })) }) }),
  ],
  [
    'no clearance',
    'disclosure.incomplete',
    () => ({ change: (all) => ({ ...all, hops: all.hops.map((hop) => ({ ...hop, clearances: [] })) }) }),
  ],
  [
    'an admin of another station',
    'release.without-clearance',
    () => ({ signed: clearance('nora'), by: 'nora' }),
  ],
  [
    'a researcher who clears himself',
    'release.without-clearance',
    () => ({ signed: clearance('rosa'), by: 'rosa' }),
  ],
  [
    'a person who rejected',
    'clearance.contradicted',
    () => ({ signed: clearance('adam', { verdict: 'reject' }) }),
  ],
  [
    'a clearance that had expired',
    'clearance.contradicted',
    () => ({ signed: clearance('adam', { expiresMs: START_MS + 1 }) }),
  ],
  [
    'a clearance for another train',
    'clearance.contradicted',
    () => ({ signed: clearance('adam', { manifestDigest: digestOf('x') }) }),
  ],
];

describe('a disclosure convicts its station of', () => {
  it.each(CAUGHT)('%s', async (_, code, of) => {
    const report = await audited(of());
    expect(codes(report)).toContain(code);
    const severity = code === 'disclosure.incomplete' ? 'warning' : 'misconduct';
    expect(report.findings.find((each) => each.code === code)).toMatchObject({ severity, log: 'south' });
    expect(report.tally.replayed + report.tally.checked).toBeLessThan(2);
  });

  it('more runs than a person allowed', async () => {
    const word = clearance('adam');
    const first = southHop(word.digest);
    const second = releasedHop('t', 'south', {
      ...{ verdict: 'ask', by: 'adam', clearanceDigest: word.digest },
      ...{ attempt: 2, atMs: HOP_MS + 20_000 },
    }).slice(0, 4);
    const lines = [...first, ...second];
    const change: Change = (all) => {
      const { hopId } = headOf('t', 'south', 2);
      const of = all.hops.flatMap((hop) => hop.openings);
      const hops = all.hops.map((hop) => ({ ...hop, openings: of.filter(({ index }) => index < 10) }));
      const late = of.filter(({ index }) => index >= 10);
      return { ...all, hops: [...hops, { hopId, decisions: [], openings: late, clearances: [word.text] }] };
    };
    expect(codes(await audited({ signed: word, lines, change }))).toContain('clearance.overspent');
  });
});
