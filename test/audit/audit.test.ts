import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { type AuditReport, audit } from '../../src/journey/auditor/audit.ts';
import { FINDING_CODES, type FindingCode, finding } from '../../src/journey/auditor/findings.ts';
import { MIRROR_LAG_MS } from '../../src/journey/auditor/join.ts';
import type { AuditScope } from '../../src/journey/auditor/scope.ts';
import { PhtError } from '../../src/model/error.ts';
import { digestOf } from '../../src/model/id.ts';
import { openCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import { type FakeNetwork, makeNetwork, memberIn, publicOf } from '../fakes/network.ts';
import {
  AFTER_MS,
  dispatched,
  encoded,
  encodedLogs,
  filler,
  headOf,
  honestLines,
  type Line,
  type Lines,
  NO_HOP,
  refusedHop,
  releasedHop,
  type Served,
  type ServedLog,
  START_MS,
  serve,
  servedSource,
  signedLog,
  WITNESSING,
} from './story.ts';

let fake: FakeNetwork;
beforeAll(async () => {
  fake = await makeNetwork({
    admins: { adam: 'south', nora: 'north' },
    auditors: ['olga'],
    witnessing: WITNESSING,
    nowMs: START_MS,
  });
});

type Scope = Partial<AuditScope>;
const audited = (served: Served, scope: Scope = {}, batch?: number): Promise<AuditReport> =>
  audit(
    { source: servedSource(served, batch), archive: null, progress: () => undefined },
    { network: fake.network, anchors: new Map(), nowMs: AFTER_MS, ...scope },
  );
const auditedLines = (lines: Lines, scope: Scope = {}): Promise<AuditReport> =>
  audited(serve(fake, lines), scope);
const codes = ({ findings }: AuditReport): FindingCode[] =>
  [...new Set(findings.map(({ code }) => code))].toSorted();
const logOf = (served: Served, member: string): ServedLog => {
  const log = served.get(member);
  if (log === undefined) throw new Error(`no log of ${member}`);
  return log;
};
const anchorsOf = (served: Served): AuditScope['anchors'] =>
  new Map(
    [...served].map(([member, { checkpoint }]) => {
      const origin = ledgerOrigin(fake.network.id, member);
      const key = logKey(origin, publicOf(memberIn(fake, member).keys.log));
      const trust = { origin, logKeys: [key], witnessKeys: [] };
      return [member, openCheckpoint(checkpoint ?? '', trust).checkpoint];
    }),
  );

describe('sound logs', () => {
  it('give no finding', async () => {
    const report = await auditedLines(honestLines());
    expect(report.findings).toEqual([]);
    expect(report.failed).toBe(false);
    expect(report.openHops).toEqual([]);
    expect(report.logs.map(({ member, head }) => [member, head?.sound, head?.checkpoint.size])).toEqual([
      ['north', true, 10],
      ['south', true, 10],
      ['dispatcher', true, 5],
    ]);
  });

  it.each([1, 7, 256, 1000])('whatever the size of a message: %i', async (batch) => {
    const lines = honestLines();
    const served = serve(fake, { ...lines, north: [...(lines['north'] ?? []), ...filler(600)] });
    const report = await audited(served, { anchors: anchorsOf(serve(fake, honestLines())) }, batch);
    expect(report.findings).toEqual([]);
    expect(report.logs.find(({ member }) => member === 'north')?.head?.continues).toBe(10);
  });

  it('list a hop without a receipt as open', async () => {
    const lines = honestLines();
    const report = await auditedLines({
      ...lines,
      north: (lines['north'] ?? []).slice(0, 3),
      dispatcher: (lines['dispatcher'] ?? []).slice(0, 3),
    });
    expect(report.findings).toEqual([]);
    const { hopId, trainId } = headOf('t', 'north');
    expect(report.openHops).toEqual([
      { station: 'north', hopId, trainId, sinceMs: START_MS + 60_000, waits: false },
    ]);
  });

  it('a run that a crash interrupted and that ran again is sound', async () => {
    const hop = releasedHop('t', 'north');
    const [started, ended] = [hop[5], hop[6]];
    if (started === undefined || ended === undefined) throw new Error('the story changed');
    const north = [...hop.slice(0, 8), ended, started, ...hop.slice(6)].map((line, at) => ({
      ...line,
      atMs: START_MS + 60_000 + at,
    }));
    expect(codes(await auditedLines({ ...honestLines(), north }))).toEqual([]);
  });

  it('a station that was never heard of is no more than a warning', async () => {
    const { dispatcher: _, south: __, ...rest } = honestLines();
    const report = await auditedLines({ ...rest, dispatcher: dispatched('t', ['north']) });
    expect(report.findings).toMatchObject([{ code: 'log.missing', severity: 'warning', log: 'south' }]);
    expect(report.failed).toBe(false);
  });
});

/** Every way in which a log by itself can be wrong. */
const SERVED: [FindingCode, string, (served: Served) => void, Scope?][] = [
  ['log.missing', 'error', (served) => void served.delete('south')],
  ['log.missing', 'error', (served) => void served.delete('dispatcher')],
  ['log.unknown', 'warning', (served) => void served.set('rosa', logOf(served, 'north'))],
  [
    'checkpoint.malformed',
    'error',
    (served) => void served.set('north', { ...logOf(served, 'north'), checkpoint: Buffer.from('nonsense') }),
  ],
  [
    'checkpoint.unsigned',
    'error',
    (served) => {
      const { entries } = logOf(served, 'north');
      served.set('north', signedLog(fake, 'north', entries, { signer: 'dispatcher' }));
    },
  ],
  ['checkpoint.foreign', 'error', (served) => void served.set('north', logOf(served, 'south'))],
  [
    'checkpoint.foreign',
    'error',
    (served) => {
      const origin = ledgerOrigin(digestOf('another network'), 'north');
      served.set('north', signedLog(fake, 'north', logOf(served, 'north').entries, { origin }));
    },
  ],
  ['entries.missing', 'error', (served) => void logOf(served, 'north').entries.pop()],
  [
    'entries.altered',
    'error',
    (served) => {
      const { entries } = logOf(served, 'north');
      const [first = new Uint8Array(), second = new Uint8Array()] = entries;
      entries.splice(0, 2, second, first);
    },
  ],
  [
    'entries.altered',
    'error',
    (served) => {
      logOf(served, 'north').entries = logOf(served, 'south').entries;
    },
  ],
];

describe('a dispatcher that serves something else', () => {
  it.each(SERVED)('%s (%s)', async (code, severity, change) => {
    const served = serve(fake, honestLines());
    change(served);
    const report = await audited(served);
    expect(report.findings).toContainEqual(expect.objectContaining({ code, severity }));
    expect(report.failed).toBe(severity !== 'warning');
  });

  it('more entries than were signed', async () => {
    const served = serve(fake, honestLines());
    const source = servedSource(served);
    const chatty = {
      ...source,
      entries: async function* (member: string, first: number, end: number) {
        yield* source.entries(member, first, end);
        yield encoded(member, filler(1));
      },
    };
    const report = await audit(
      { source: chatty, archive: null, progress: () => undefined },
      { network: fake.network, anchors: new Map(), nowMs: AFTER_MS },
    );
    expect(codes(report)).toEqual(['entries.excess']);
  });

  it('a log that is announced and not handed over', async () => {
    const source = servedSource(serve(fake, honestLines()));
    const ask = (code: 'internal' | 'unreachable') =>
      audit(
        {
          source: {
            ...source,
            entries: (member, first, end) => {
              if (member === 'north') throw new PhtError(code, 'no');
              return source.entries(member, first, end);
            },
          },
          archive: null,
          progress: () => undefined,
        },
        { network: fake.network, anchors: new Map(), nowMs: AFTER_MS },
      );
    expect(codes(await ask('internal'))).toEqual(['log.withheld']);
    // A broken line says nothing about the log.
    await expect(ask('unreachable')).rejects.toMatchObject({ code: 'unreachable' });
  });

  it('a member without a pinned log key', async () => {
    const north = fake.network.members.get('north');
    if (north === undefined) throw new Error('no north');
    const { log: _, ...keys } = north.keys;
    const members = new Map(fake.network.members).set('north', { ...north, keys });
    const spans = fake.network.spans.map((span) => (span.id === 'north' ? { ...span, keys } : span));
    const report = await auditedLines(honestLines(), { network: { ...fake.network, members, spans } });
    expect(codes(report)).toEqual(['key.missing']);
  });

  it('a broken log takes no part in the joins', async () => {
    const served = serve(fake, honestLines());
    logOf(served, 'dispatcher').entries.pop();
    expect(codes(await audited(served))).toEqual(['entries.missing']);
  });
});

describe('against what was seen before', () => {
  const earlier = (): Served =>
    serve(fake, { ...honestLines(), north: [...releasedHop('t', 'north'), ...filler(300)] });

  it('the same logs, grown, continue', async () => {
    const anchors = anchorsOf(earlier());
    const north = [...releasedHop('t', 'north'), ...filler(600)];
    const report = await auditedLines({ ...honestLines(), north }, { anchors });
    expect(report.findings).toEqual([]);
    expect(report.logs.map(({ head }) => head?.continues)).toEqual([310, 10, 5]);
  });

  it('a roll-back', async () => {
    const report = await auditedLines(honestLines(), { anchors: anchorsOf(earlier()) });
    expect(report.findings).toMatchObject([{ code: 'log.rolled-back', severity: 'error', log: 'north' }]);
  });

  it('an older copy is not taken for a roll-back, and says so', async () => {
    const report = await auditedLines(honestLines(), { anchors: anchorsOf(earlier()), nowMs: null });
    expect(report.findings).toMatchObject([{ code: 'log.older-copy', severity: 'warning' }]);
    expect(report.failed).toBe(false);
  });

  it('a split view of the same size', async () => {
    const other = [...releasedHop('t', 'north'), ...filler(300, START_MS + 300_001)];
    const report = await auditedLines({ ...honestLines(), north: other }, { anchors: anchorsOf(earlier()) });
    expect(report.findings).toMatchObject([{ code: 'log.forked', severity: 'misconduct', log: 'north' }]);
  });

  it('a rewritten past behind a longer log', async () => {
    const other = [...releasedHop('t', 'north'), ...filler(400, START_MS + 300_001)];
    const report = await auditedLines({ ...honestLines(), north: other }, { anchors: anchorsOf(earlier()) });
    expect(report.findings).toMatchObject([{ code: 'log.forked', severity: 'misconduct', log: 'north' }]);
  });

  it('an alteration by whoever serves the log is not laid at the door of the member', async () => {
    const served = serve(fake, { ...honestLines(), north: [...releasedHop('t', 'north'), ...filler(400)] });
    logOf(served, 'north').entries[3] = logOf(served, 'north').entries[4] ?? new Uint8Array();
    expect(codes(await audited(served, { anchors: anchorsOf(earlier()) }))).toEqual(['entries.altered']);
  });

  it('a log that is gone', async () => {
    const served = earlier();
    const anchors = anchorsOf(served);
    served.delete('north');
    expect((await audited(served, { anchors })).findings).toMatchObject([
      { code: 'log.missing', severity: 'error' },
    ]);
  });
});

const without = (type: string, lines: Line[] = releasedHop('t', 'north')): Line[] =>
  lines.filter(({ entry }) => entry.type !== type);
const moved = (type: string, behind: string): Line[] => {
  const lines = releasedHop('t', 'north');
  const line = lines.find(({ entry }) => entry.type === type);
  const rest = without(type);
  const at = rest.findIndex(({ entry }) => entry.type === behind);
  return line === undefined ? rest : rest.toSpliced(at + 1, 0, line);
};
const changed = (type: string, change: (line: Line) => Line): Line[] =>
  releasedHop('t', 'north').map((line) => (line.entry.type === type ? change(line) : line));
const body = (type: string, more: Record<string, string>): Line[] =>
  changed(type, (line) => ({ ...line, entry: { ...line.entry, body: { ...line.entry.body, ...more } } }));
const ask = (by: string): Line[] => releasedHop('t', 'north', { verdict: 'ask', by });

/** Every way in which a station's own signed word convicts it, in logs whose signatures are all in order. */
const STATION: [FindingCode, string, () => Line[]][] = [
  ['release.without-order', 'the order', () => without('order.received')],
  ['release.without-verification', 'the verification', () => without('manifest.verified')],
  ['release.without-permit', 'the decision', () => without('policy.decided')],
  ['release.without-permit', 'a permitting one', () => releasedHop('t', 'north', { verdict: 'deny' })],
  ['release.without-permit', 'one before the run', () => moved('policy.decided', 'run.ended')],
  ['release.without-clearance', 'a person', () => ask('policy')],
  ['release.without-clearance', 'a clearance', () => without('clearance.recorded', ask('nora'))],
  ['release.without-run', 'the start', () => without('run.started')],
  ['release.without-run', 'the end', () => without('run.ended')],
  ['release.without-screening', 'the screening', () => without('output.screened')],
  ['release.without-screening', 'one after the run', () => moved('output.screened', 'run.started')],
  ['receipt.missing', 'the receipt', () => without('receipt.issued')],
  ['receipt.contradictory', 'its outcome', () => body('receipt.issued', { outcome: 'refused' })],
  ['receipt.contradictory', 'the release', () => without('result.released')],
  ['receipt.contradictory', 'its order', () => moved('result.released', 'receipt.issued')],
  ['receipt.duplicate', 'one', () => [...releasedHop('t', 'north'), ...releasedHop('t', 'north').slice(9)]],
  ['receipt.unordered', 'the order', () => refusedHop('t', 'north').slice(1)],
  ['entry.contradictory', 'its hop', () => body('order.received', { orderDigest: digestOf('another') })],
  [
    'entry.contradictory',
    'its train',
    () =>
      changed('run.started', (line) => ({
        ...line,
        entry: { ...line.entry, manifestDigest: digestOf('x') },
      })),
  ],
  ['entry.foreign', 'itself', () => changed('run.started', (line) => ({ ...line, actor: 'south' }))],
  ['clock.backwards', 'time', () => changed('run.ended', (line) => ({ ...line, atMs: START_MS - 300_000 }))],
  ['clock.ahead', 'time', () => changed('receipt.issued', (line) => ({ ...line, atMs: AFTER_MS + 300_001 }))],
  [
    'release.duplicate',
    'one attempt',
    () => [
      ...releasedHop('t', 'north'),
      ...releasedHop('t', 'north', { attempt: 2, atMs: START_MS + 80_000 }),
    ],
  ],
];

describe("a station's own log", () => {
  it.each(STATION)('%s: lacks %s', async (code, _, north) => {
    const report = await auditedLines({ ...honestLines(), north: north() });
    expect(codes(report)).toContain(code);
    expect(report.failed).toBe(true);
    expect(report.findings.every(({ means, text }) => means !== '' && text !== '')).toBe(true);
  });

  it('names the entry', async () => {
    const report = await auditedLines({ ...honestLines(), north: without('output.screened') });
    expect(report.findings).toMatchObject([
      { code: 'release.without-screening', severity: 'misconduct', log: 'north', index: 7 },
    ]);
  });

  it('clocks within the skew are no finding', async () => {
    const north = changed('run.ended', (line) => ({ ...line, atMs: line.atMs - 290_000 }));
    expect(codes(await auditedLines({ ...honestLines(), north }))).toEqual([]);
  });

  it('an entry without its exact form', async () => {
    const odd = [...(encodedLogs(fake, honestLines()).get('north') ?? []), Buffer.from(' {}')];
    const served = serve(fake, honestLines()).set('north', signedLog(fake, 'north', odd));
    expect((await audited(served)).findings).toMatchObject([
      { code: 'entry.malformed', log: 'north', index: 10 },
    ]);
  });

  it('findings of a kind are counted when they are many', async () => {
    const north = [...releasedHop('t', 'north'), ...filler(50).map((line) => ({ ...line, actor: 'south' }))];
    const report = await auditedLines({ ...honestLines(), north });
    expect(report.findings).toHaveLength(20);
    expect(report.omitted).toBe(30);
  });
});

describe('logs against one another', () => {
  const { hopId } = headOf('t', 'north');
  const receiptAt = (atMs: number, more: object = {}): Line[] =>
    dispatched('t', ['north', 'south']).map((line) => {
      if (line.entry.type !== 'receipt.received' || line.entry.hopId !== hopId) return line;
      return { atMs, entry: { ...line.entry, body: { ...line.entry.body, ...more } } };
    });
  const RECEIVED_MS = START_MS + 120_000;
  const cut = releasedHop('t', 'north').slice(0, 8);

  it('an order that no dispatcher has on record', async () => {
    const report = await auditedLines({ ...honestLines(), dispatcher: dispatched('t', ['south']) });
    expect(report.findings).toMatchObject([
      { code: 'order.unissued', severity: 'error', log: 'north', index: 0 },
    ]);
  });

  it('an order that was issued for another station', async () => {
    const dispatcher = dispatched('t', ['north', 'south']).map((line) =>
      line.entry.type === 'order.issued' && line.entry.hopId === hopId
        ? { ...line, entry: { ...line.entry, body: { ...line.entry.body, station: 'south' } } }
        : line,
    );
    expect(codes(await auditedLines({ ...honestLines(), dispatcher }))).toContain('order.unissued');
  });

  it('an order before the admission of its train', async () => {
    const [admitted, ...rest] = dispatched('t', ['north', 'south']);
    if (admitted === undefined) throw new Error('no admission');
    expect(codes(await auditedLines({ ...honestLines(), dispatcher: rest }))).toEqual(['order.unadmitted']);
    expect(codes(await auditedLines({ ...honestLines(), dispatcher: [...rest, admitted] }))).toEqual([
      'order.unadmitted',
    ]);
  });

  it('an order that no station has taken on yet is nothing wrong', async () => {
    const dispatcher = dispatched('t', ['north', 'south']).filter(
      ({ entry }) => entry.type !== 'receipt.received' || entry.hopId !== hopId,
    );
    expect(codes(await auditedLines({ ...honestLines(), north: filler(1), dispatcher }))).toEqual([]);
  });

  it('another receipt than the one on record at the station', async () => {
    const dispatcher = receiptAt(RECEIVED_MS, { receiptDigest: digestOf('another') });
    const report = await auditedLines({ ...honestLines(), dispatcher });
    expect(report.findings).toMatchObject([
      { code: 'receipt.unmatched', severity: 'misconduct', log: 'dispatcher' },
    ]);
  });

  it("a receipt that the station's log goes on without", async () => {
    const north = [...cut, ...filler(1, RECEIVED_MS + 300_001)];
    const report = await auditedLines({ ...honestLines(), north });
    expect(report.findings).toMatchObject([{ code: 'receipt.unmatched', severity: 'misconduct' }]);
  });

  it('a mirror that is late, and one that is held back', async () => {
    const lines = { ...honestLines(), north: cut };
    const soon = await auditedLines(lines, { nowMs: RECEIVED_MS + MIRROR_LAG_MS });
    expect(soon.findings).toMatchObject([{ code: 'mirror.behind', severity: 'warning', log: 'dispatcher' }]);
    const late = await auditedLines(lines, { nowMs: RECEIVED_MS + MIRROR_LAG_MS + 1 });
    expect(late.findings).toMatchObject([{ code: 'mirror.behind', severity: 'error' }]);
  });

  it('a receipt for an order that was never issued, and a second one', async () => {
    const all = dispatched('t', ['north', 'south']);
    const unissued = all.filter(({ entry }) => entry.type !== 'order.issued');
    expect(codes(await auditedLines({ ...honestLines(), dispatcher: unissued }))).toContain(
      'receipt.unordered',
    );
    expect(codes(await auditedLines({ ...honestLines(), dispatcher: [...all, ...all.slice(-1)] }))).toEqual([
      'receipt.duplicate',
    ]);
  });

  it('an entry about a hop that names none', async () => {
    const odd: Line = { atMs: RECEIVED_MS, entry: { ...NO_HOP, type: 'order.issued', body: {} } };
    const dispatcher = [...dispatched('t', ['north', 'south']), odd];
    expect(codes(await auditedLines({ ...honestLines(), dispatcher }))).toEqual(['entry.contradictory']);
  });
});

it('every code is shown to be found by some test', () => {
  const here = new Set<string>([...SERVED, ...STATION].map(([code]) => code));
  const elsewhere = [
    ...['entries.excess', 'log.withheld', 'key.missing', 'log.rolled-back', 'log.older-copy', 'log.forked'],
    ...['entry.malformed', 'order.unissued', 'order.unadmitted', 'receipt.unmatched', 'mirror.behind'],
    // in archive.test.ts
    ...['entry.altered', 'file.damaged', 'file.unknown'],
    // in command.test.ts
    ...['state.damaged', 'state.missing', 'copy.unusable'],
    // in attacks.test.ts
    ...['checkpoint.uncosigned', 'checkpoint.miscosigned', 'cosignature.unknown', 'quorum.none', 'log.stale'],
    ...['quote.missing', 'quote.unmatched', 'withdrawal.groundless', 'log.restored', 'witness.conflict'],
    // in disclosure.test.ts
    ...['decision.contradicted', 'disclosure.contradicted', 'disclosure.incomplete'],
    ...['clearance.contradicted', 'clearance.overspent'],
    // in bundle.test.ts
    ...['bundle.incomplete', 'proof.invalid', 'disclosure.invalid'],
    ...['statement.invalid', 'statement.unrecorded', 'statement.contradicted'],
    // in late.test.ts
    'head.unusable',
    // in history.test.ts
    ...['log.rotation', 'network.forked', 'network.rolled-back', 'signer.revoked', 'revocation.unproven'],
  ];
  expect([...here, ...elsewhere].toSorted()).toEqual(FINDING_CODES.toSorted());
});

it('every code and its meaning stand in the manual', () => {
  const manual = readFileSync(new URL('../../docs/auditor.md', import.meta.url), 'utf8');
  const rows = FINDING_CODES.map((code) => {
    const { means } = finding('warning', code, { log: null }, '');
    return `| \`${code}\` | ${means} |`;
  });
  expect(rows.filter((row) => !manual.includes(row))).toEqual([]);
});
