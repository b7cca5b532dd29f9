import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBundle, writeBundle } from '../../src/adapters/bundle/tar.ts';
import { createLogArchive } from '../../src/adapters/ledger/archive.ts';
import { openLogFolder } from '../../src/adapters/ledger/reader.ts';
import { type AuditReport, audit, watchTrain } from '../../src/journey/auditor/audit.ts';
import { type Bundle, bundleIn, filesOf, newLog } from '../../src/journey/auditor/bundle.ts';
import type { FindingCode } from '../../src/journey/auditor/findings.ts';
import { checkProof, proofOf } from '../../src/journey/auditor/prove.ts';
import { verifyBundle } from '../../src/journey/auditor/verify-bundle.ts';
import { encodeEnvelope, parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import { digestOf } from '../../src/model/id.ts';
import { signStatement } from '../../src/model/statement.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import { type SignedStory, signedStory } from './signed-story.ts';
import { AFTER_MS, filler, headOf, START_MS, serve, servedSource, WITNESSING } from './story.ts';

/** Proofs of entries, and the one archive with all that proves what happened to a train. */

const home = mkdtempSync(join(tmpdir(), 'pht-bundle-'));
let fake: FakeNetwork;
let story: SignedStory;
beforeAll(async () => {
  fake = await makeNetwork({ admins: { adam: 'south' }, witnessing: WITNESSING, nowMs: START_MS });
  story = signedStory(fake);
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

const unasked = (): never => {
  throw new Error('nothing was disclosed');
};
const statementName = (bytes: Uint8Array): string => digestOf(payloadOf(parseEnvelope(bytes, 'it')));
const names = { statement: statementName, disclosure: () => 'south' };

let made = 0;
/** What `pht audit bundle` puts together from logs of these lines. */
async function bundleOf(lines = story.lines, of = fake, told = story): Promise<Bundle> {
  const dir = join(home, `logs-${made++}`);
  const watched = watchTrain(told.trainId);
  const report = await audit(
    { source: servedSource(serve(of, lines)), archive: createLogArchive(dir), progress: () => undefined },
    { network: of.network, anchors: new Map(), nowMs: AFTER_MS, onEntry: watched.onEntry },
  );
  const source = await openLogFolder(dir);
  const logs: Bundle['logs'] = new Map();
  for (const { member, index, entry } of watched.entries) {
    const signed = report.logs.find((log) => log.member === member.id)?.head?.signed;
    if (signed === undefined) continue;
    const log = logs.get(member.id) ?? newLog(signed);
    logs.set(member.id, log);
    const placed = { member: member.id, index, entry };
    log.proofs.set(index, await proofOf(placed, signed, { source, network: of.network }));
  }
  const statements = [told.manifest, ...told.orders, ...told.receipts];
  return { network: Buffer.from(JSON.stringify(of.files)), logs, statements, disclosures: [] };
}

const NO_HOP_BODY = { hopId: '', trainId: '', body: {} as Record<string, unknown> };

/** What an honest station has opened of another train, to somebody who mixes it in. */
function otherTrains(of: FakeNetwork): Uint8Array {
  const { trainId, hopId, manifestDigest } = headOf('other', 'south');
  const opening = { index: 3, name: 'byCommitment', commitment: digestOf('x'), erased: true };
  const predicate = {
    ...{ networkId: of.network.id, networkVersion: 1, issuer: 'south', issuedAtMs: AFTER_MS },
    ...{ trainId, to: 'olga', ledgerSize: 20, policies: [] },
    hops: [{ hopId, decisions: [], openings: [opening], clearances: [] }],
  };
  const subject = { name: 'manifest', digest: manifestDigest };
  return encodeEnvelope(
    signStatement('disclosure', subject, predicate, memberIn(of, 'south').signer).envelope,
  );
}

const verified = (bundle: Bundle): AuditReport => verifyBundle(bundle, fake.network, unasked);
const codes = ({ findings }: AuditReport): FindingCode[] => [...new Set(findings.map(({ code }) => code))];
const logIn = (bundle: Bundle, member: string): NonNullable<ReturnType<Bundle['logs']['get']>> => {
  const log = bundle.logs.get(member);
  if (log === undefined) throw new Error(`no log of ${member}`);
  return log;
};

describe('a proof of an entry', () => {
  it('holds wherever in the log it stands', async () => {
    const lines = {
      ...story.lines,
      north: [...filler(700, START_MS), ...(story.lines['north'] ?? []), ...filler(77)],
    };
    const { proofs } = logIn(await bundleOf(lines), 'north');
    expect([...proofs.keys()]).toEqual(Array.from({ length: 10 }, (_, at) => 700 + at));
    for (const [index, bytes] of proofs) {
      const proof = checkProof(bytes, fake.network);
      expect(proof).toMatchObject({ member: 'north', witnesses: ['dispatcher', 'south'], quorum: 2 });
      expect([proof.quote.index, proof.entry.trainId]).toEqual([index, story.trainId]);
    }
  });

  it('does not hold with any byte changed', async () => {
    const [bytes] = [...logIn(await bundleOf(), 'south').proofs.values()];
    if (bytes === undefined) throw new Error('no proof');
    // Signatures of witnesses that it could do without are behind these.
    const end = Buffer.from(bytes).indexOf('\n\n—') + 30;
    fc.assert(
      fc.property(fc.nat(end - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ mask;
        expect(() => checkProof(changed, fake.network)).toThrow(PhtError);
      }),
      { numRuns: 300 },
    );
  });

  it('of another network is none of this one', async () => {
    const [bytes = new Uint8Array()] = [...logIn(await bundleOf(), 'south').proofs.values()];
    const other = await makeNetwork({ witnessing: WITNESSING, nowMs: START_MS });
    expect(() => checkProof(bytes, other.network)).toThrow(/not of this network/);
  });
});

describe('a bundle', () => {
  it('proves all of a train to whoever has the network file, through its one file', async () => {
    const file = await writeBundle(filesOf(await bundleOf(), names));
    const files = await readBundle(file);
    expect([...files.keys()]).toContain('logs/dispatcher/0.tlog-proof');
    expect(Buffer.from(files.get('README.txt') ?? []).toString()).toMatch(/pht audit verify --bundle/);
    const report = verifyBundle(bundleIn(files), fake.network, unasked);
    expect(report.findings).toEqual([]);
    expect(report.trainId).toBe(story.trainId);
    expect(report.entries).toHaveLength(25);
    expect(report.tally).toMatchObject({ decisions: 2, replayed: 0 });
  });

  it('any one byte of its proofs, heads and statements that is changed is found', async () => {
    const files = filesOf(await bundleOf(), names);
    const all = [...files].filter(([name]) => name !== 'README.txt' && name !== 'network.json');
    const place = fc.record({
      file: fc.nat(all.length - 1),
      at: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      mask: fc.integer({ min: 1, max: 255 }),
    });
    fc.assert(
      fc.property(place, ({ file, at, mask }) => {
        const [name, bytes] = all[file] ?? ['', new Uint8Array()];
        const changed = Buffer.from(bytes);
        const position = Math.floor(at * bytes.length);
        changed[position] = (changed[position] ?? 0) ^ mask;
        const report = verified(bundleIn(new Map(files).set(name, changed)));
        // The hint to a key that nobody believes (DSSE keyid) is no part of what was signed.
        const hint = name.startsWith('statements/') && position >= Buffer.from(bytes).indexOf('"signatures"');
        return report.findings.length > 0 || hint;
      }),
      { numRuns: 150 },
    );
  });

  const CHANGED: [string, FindingCode, (bundle: Bundle) => void][] = [
    [
      'a missing proof',
      'release.without-screening',
      (bundle) => void logIn(bundle, 'north').proofs.delete(7),
    ],
    ['a missing log', 'receipt.unmatched', (bundle) => void logIn(bundle, 'north').proofs.clear()],
    [
      'a proof under another name',
      'proof.invalid',
      (bundle) => {
        const { proofs } = logIn(bundle, 'north');
        proofs.set(40, proofs.get(7) ?? new Uint8Array());
      },
    ],
    [
      "one log's proof in another",
      'proof.invalid',
      (bundle) =>
        void logIn(bundle, 'north').proofs.set(7, logIn(bundle, 'south').proofs.get(7) ?? new Uint8Array()),
    ],
    [
      "one log's head in another",
      'checkpoint.unsigned',
      (bundle) => {
        logIn(bundle, 'north').checkpoint = logIn(bundle, 'south').checkpoint;
      },
    ],
    [
      'a head that is none',
      'checkpoint.malformed',
      (bundle) => {
        logIn(bundle, 'north').checkpoint = Buffer.from('head');
      },
    ],
    [
      'a head of nobody',
      'checkpoint.unsigned',
      (bundle) => void bundle.logs.set('nobody', logIn(bundle, 'north')),
    ],
    ['a missing statement', 'bundle.incomplete', (bundle) => void bundle.statements.pop()],
    [
      'a statement that is none',
      'statement.invalid',
      (bundle) => void bundle.statements.push(Buffer.from('{}')),
    ],
    [
      'a disclosure that is none',
      'disclosure.invalid',
      (bundle) => void bundle.disclosures.push(Buffer.from('{}')),
    ],
  ];
  it.each(CHANGED)('with %s', async (_, code, change) => {
    const bundle = await bundleOf();
    change(bundle);
    const report = verified(bundle);
    expect(codes(report)).toContain(code);
    expect(report.failed).toBe(code !== 'bundle.incomplete');
    // Whoever made the bundle may have left it out: that is no proof of misconduct.
    expect(report.findings.filter(({ severity }) => severity === 'misconduct')).toEqual([]);
  });

  const THIN: [string, (bundle: Bundle) => void][] = [
    ['with nothing in it', (bundle) => bundle.logs.clear()],
    [
      'with heads and no proofs',
      (bundle) => {
        for (const { proofs } of bundle.logs.values()) proofs.clear();
        bundle.statements = [];
      },
    ],
    ['without the log of a station that gave a receipt', (bundle) => void bundle.logs.delete('north')],
    ['without the log of the dispatcher', (bundle) => void bundle.logs.delete('dispatcher')],
    [
      "without the dispatcher's log, and without the statements",
      (bundle) => {
        bundle.logs.delete('dispatcher');
        bundle.statements = [];
      },
    ],
  ];
  it.each(THIN)('%s is not sound, and convicts nobody', async (_, change) => {
    const bundle = await bundleOf();
    change(bundle);
    const report = verified(bundle);
    expect(codes(report)).toContain('bundle.incomplete');
    expect(report.failed).toBe(true);
    expect(report.findings.filter(({ severity }) => severity === 'misconduct')).toEqual([]);
  });

  it('with an older network file than its entries and statements speak of', async () => {
    const fakes = await makeNetwork({ admins: { adam: 'south' }, witnessing: WITNESSING, nowMs: START_MS });
    const later = { ...fakes, network: { ...fakes.network, version: 7 } };
    const told = signedStory(later);
    const north = (told.lines['north'] ?? []).map((line) =>
      line.entry.type === 'manifest.verified'
        ? { ...line, entry: { ...line.entry, body: { networkVersion: 7 } } }
        : line,
    );
    const bundle = await bundleOf({ ...told.lines, north }, fakes, told);
    const about = verifyBundle(bundle, fakes.network, unasked).findings.map(({ code, log }) => [code, log]);
    expect(about).toEqual([...Array(5).fill(['bundle.incomplete', null]), ['bundle.incomplete', 'north']]);
    expect(verifyBundle(bundle, later.network, unasked).findings).toEqual([]);
  });

  describe('with disclosures', () => {
    /** What south opens of its decision, honestly. */
    const disclosure = (more: object = {}): Uint8Array => {
      const south = story.lines['south'] ?? [];
      const index = south.findIndex(({ entry }) => entry.type === 'run.ended');
      const { hopId, trainId, body } = south[index]?.entry ?? NO_HOP_BODY;
      const opening = { index, name: 'commitment', commitment: body['commitment'], erased: true };
      const { envelope } = signStatement(
        'disclosure',
        { name: 'manifest', digest: digestOf(payloadOf(parseEnvelope(story.manifest, 'it'))) },
        {
          ...{ networkId: fake.network.id, networkVersion: 1, issuer: 'south', issuedAtMs: AFTER_MS },
          ...{ trainId, to: 'olga', ledgerSize: south.length, policies: [] },
          hops: [{ hopId, decisions: [], openings: [opening], clearances: [] }],
          ...more,
        },
        memberIn(fake, 'south').signer,
      );
      return encodeEnvelope(envelope);
    };

    it('an entry that was left out does not convict the station that opened it', async () => {
      const bundle = await bundleOf();
      bundle.disclosures.push(disclosure());
      const whole = verified(bundle).findings;
      expect(whole.map(({ severity }) => severity)).toEqual(whole.map(() => 'warning'));
      const index = (story.lines['south'] ?? []).findIndex(({ entry }) => entry.type === 'run.ended');
      logIn(bundle, 'south').proofs.delete(index);
      const report = verified(bundle);
      expect(report.findings).toContainEqual(
        expect.objectContaining({ code: 'bundle.incomplete', severity: 'error', log: 'south', index }),
      );
      expect(report.findings.filter(({ severity }) => severity === 'misconduct')).toEqual([]);
    });

    it('one twice counts once, and one of another train not at all', async () => {
      for (const extra of [disclosure(), otherTrains(fake)]) {
        const bundle = await bundleOf();
        bundle.disclosures.push(disclosure(), extra);
        const report = verified(bundle);
        expect(codes(report)).toContain('disclosure.invalid');
        expect(report.opened).toHaveLength(1);
        expect(report.findings.filter(({ severity }) => severity === 'misconduct')).toEqual([]);
      }
    });
  });

  it('with a receipt that says something else than the log', async () => {
    const north = (story.lines['north'] ?? []).map((line) => {
      const { type, body } = line.entry;
      if (type !== 'receipt.issued') return line;
      return { ...line, entry: { ...line.entry, body: { ...body, outcome: 'failed', code: 'run.failed' } } };
    });
    const report = verified(await bundleOf({ ...story.lines, north }));
    expect(report.findings).toContainEqual(
      expect.objectContaining({
        code: 'statement.contradicted',
        severity: 'misconduct',
        log: 'north',
        index: 9,
      }),
    );
  });

  it('with a statement that no entry speaks of', async () => {
    const bundle = await bundleOf();
    const other = signedStory(await makeNetwork({ nowMs: START_MS }));
    bundle.statements.push(other.manifest);
    expect(codes(verified(bundle))).toEqual(['statement.invalid']);
    const entries = logIn(bundle, 'dispatcher').proofs;
    entries.delete(0);
    bundle.statements.pop();
    expect(codes(verified(bundle))).toContain('statement.unrecorded');
  });

  it.each([
    'strange.txt',
    'logs/north/tile',
    'logs/NORTH/checkpoint',
    'logs/north/07.tlog-proof',
    'statements/x.json',
  ])('has no place for %s', async (name) => {
    const files = filesOf(await bundleOf(), names).set(name, Buffer.from('x'));
    expect(() => bundleIn(files)).toThrow(/no place/);
  });
});
