import { beforeAll, describe, expect, it } from 'vitest';
import { type AuditReport, audit } from '../../src/journey/auditor/audit.ts';
import type { FindingCode } from '../../src/journey/auditor/findings.ts';
import type { AuditScope } from '../../src/journey/auditor/scope.ts';
import { digestOf, trainIdOf } from '../../src/model/id.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import {
  AFTER_MS,
  headOf,
  honestLines,
  type Line,
  type Lines,
  releasedHop,
  START_MS,
  serve,
  servedSource,
  WITNESSING,
} from './story.ts';

/** Members who write what passes for a hop, and members who write what would convict another one. */

let fake: FakeNetwork;
beforeAll(async () => {
  fake = await makeNetwork({ admins: { adam: 'south' }, witnessing: WITNESSING, nowMs: START_MS });
});

const audited = (lines: Lines, scope: Partial<AuditScope> = {}): Promise<AuditReport> =>
  audit(
    { source: servedSource(serve(fake, lines)), archive: null, progress: () => undefined },
    { network: fake.network, anchors: new Map(), nowMs: AFTER_MS, ...scope },
  );
const codes = ({ findings }: AuditReport): FindingCode[] => [...new Set(findings.map(({ code }) => code))];
const changed = (lines: readonly Line[] | undefined, type: string, more: object): Line[] =>
  (lines ?? []).map((line) =>
    line.entry.type === type ? { ...line, entry: { ...line.entry, ...more } } : line,
  );

describe('a station', () => {
  it.each(['policy.decided', 'manifest.verified', 'output.screened', 'result.released', 'receipt.issued'])(
    'whose %s is about another train than its order',
    async (type) => {
      const other = { manifestDigest: digestOf('other'), trainId: trainIdOf(digestOf('other')) };
      const lines = { ...honestLines(), north: changed(honestLines()['north'], type, other) };
      const report = await audited(lines);
      expect(codes(report)).toContain('entry.contradictory');
      expect(report.failed).toBe(true);
    },
  );

  it("that takes a person's rejection for a clearance", async () => {
    const [said] = honestLines()['south']?.filter(({ entry }) => entry.type === 'clearance.recorded') ?? [];
    const body = { ...said?.entry.body, verdict: 'reject' };
    const south = changed(honestLines()['south'], 'clearance.recorded', { body });
    expect(codes(await audited({ ...honestLines(), south }))).toEqual(['release.without-clearance']);
  });
});

describe('a dispatcher', () => {
  it('whose record of a receipt has another outcome than the station gave', async () => {
    const dispatcher = changed(honestLines()['dispatcher'], 'receipt.received', {}).map((line) =>
      line.entry.type === 'receipt.received' && line.entry.body['station'] === 'north'
        ? {
            ...line,
            entry: { ...line.entry, body: { ...line.entry.body, outcome: 'failed', code: 'run.failed' } },
          }
        : line,
    );
    const report = await audited({ ...honestLines(), dispatcher });
    expect(report.findings).toMatchObject([
      { code: 'receipt.unmatched', severity: 'error', log: 'dispatcher' },
    ]);
  });

  it('that ordered the hop for another train than the station took on', async () => {
    const other = { manifestDigest: digestOf('other'), trainId: trainIdOf(digestOf('other')) };
    const [admitted] = honestLines()['dispatcher'] ?? [];
    const more = admitted === undefined ? [] : [{ ...admitted, entry: { ...admitted.entry, ...other } }];
    const hopId = headOf('t', 'north').hopId;
    const dispatcher = (honestLines()['dispatcher'] ?? []).map((line) =>
      line.entry.hopId === hopId ? { ...line, entry: { ...line.entry, ...other } } : line,
    );
    const report = await audited({ ...honestLines(), dispatcher: [...more, ...dispatcher] });
    expect(codes(report)).toContain('entry.contradictory');
  });
});

describe('a second dispatcher', () => {
  it('that puts the order of the first on record does not convict the station', async () => {
    const two = await makeNetwork({ admins: { adam: 'south' }, nowMs: START_MS, dispatchers: ['second'] });
    const honest = honestLines();
    const second = honest['dispatcher']?.filter(({ entry }) => entry.type !== 'receipt.received') ?? [];
    for (const lines of [
      { ...honest, second },
      { second, ...honest },
    ]) {
      const report = await audit(
        { source: servedSource(serve(two, lines)), archive: null, progress: () => undefined },
        { network: two.network, anchors: new Map(), nowMs: AFTER_MS },
      );
      expect(report.findings.filter(({ log }) => log === 'north' || log === 'south')).toEqual([]);
    }
  });
});

it('an honest hop that was withdrawn and released again is sound', async () => {
  const hop = releasedHop('t', 'north');
  const released = hop.findIndex(({ entry }) => entry.type === 'result.released');
  const again = hop.slice(released - 3, released + 1);
  const withdrawn = changed(again.slice(-1), 'result.released', {
    type: 'release.withdrawn',
    body: { code: 'disclosure.changed' },
  });
  const lines = [...hop.slice(0, released + 1), ...withdrawn, ...again, ...hop.slice(released + 1)];
  const north = lines.map((line, at) => ({ ...line, atMs: START_MS + 60_000 + at * 1000 }));
  expect((await audited({ ...honestLines(), north })).findings).toEqual([]);
});
