import { beforeAll, describe, expect, it } from 'vitest';
import { type AuditReport, audit } from '../../src/journey/auditor/audit.ts';
import { FRESH_MS } from '../../src/journey/auditor/cosigned.ts';
import type { FindingCode } from '../../src/journey/auditor/findings.ts';
import { MIRROR_LAG_MS } from '../../src/journey/auditor/join.ts';
import type { AuditScope } from '../../src/journey/auditor/scope.ts';
import { digestOf } from '../../src/model/id.ts';
import { openCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { decodeEntry, encodeEntry, type LedgerEntry } from '../../src/model/ledger/entry.ts';
import { addSignatures, formatNote, parseNote } from '../../src/model/ledger/note.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import type { Network } from '../../src/model/network.ts';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf } from '../fakes/network.ts';
import {
  AFTER_MS,
  encoded,
  encodedLogs,
  filler,
  headOf,
  honestLines,
  type Line,
  type Lines,
  NO_HOP,
  releasedHop,
  type Served,
  type SignedAs,
  START_MS,
  serve,
  servedSource,
  signedLog,
  WITNESSING,
} from './story.ts';

/** What is found out because others have seen the logs, too: witnesses, the counterpart of each hop, an earlier audit. */

let fake: FakeNetwork;
beforeAll(async () => {
  fake = await makeNetwork({ admins: { adam: 'south' }, witnessing: WITNESSING, nowMs: START_MS });
});

const audited = (served: Served, scope: Partial<AuditScope> = {}): Promise<AuditReport> =>
  audit(
    { source: servedSource(served), archive: null, progress: () => undefined },
    { network: fake.network, anchors: new Map(), nowMs: AFTER_MS, ...scope },
  );
const codes = ({ findings }: AuditReport): FindingCode[] => [...new Set(findings.map(({ code }) => code))];
const honest = (member = 'north'): Uint8Array[] => encodedLogs(fake, honestLines()).get(member) ?? [];
/** The honest logs, with that of `north` signed in some other way. */
const northSigned = (as: SignedAs, entries = honest()): Served =>
  serve(fake, honestLines()).set('north', signedLog(fake, 'north', entries, as));
const noteOf = (served: Served): ReturnType<typeof parseNote> =>
  parseNote(served.get('north')?.checkpoint ?? '');

describe('witnesses', () => {
  it('have to be as many as the network asks for', async () => {
    const report = await audited(northSigned({ witnesses: ['south'] }));
    expect(report.findings).toMatchObject([
      { code: 'checkpoint.uncosigned', severity: 'error', log: 'north' },
    ]);
    expect(report.logs[0]?.cosigned).toMatchObject({ quorum: 2, witnesses: ['south'] });
  });

  it('do not count for their own log', async () => {
    const report = await audited(northSigned({ witnesses: ['north', 'south'] }));
    expect(codes(report)).toEqual(['checkpoint.uncosigned', 'cosignature.unknown']);
  });

  it('do not count twice', async () => {
    const [first, second] = [1000, 2000].map((laterMs) =>
      noteOf(northSigned({ witnesses: ['south'], cosignedAtMs: START_MS + 100_000 + laterMs })),
    );
    if (first === undefined || second === undefined) throw new Error('no note');
    const twice = addSignatures(first, second.signatures);
    const served = northSigned({});
    const entries = served.get('north')?.entries ?? [];
    served.set('north', { entries, checkpoint: Buffer.from(formatNote(twice)) });
    expect(codes(await audited(served))).toEqual(['checkpoint.uncosigned']);
  });

  it('each of whose signatures verifies', async () => {
    const served = northSigned({});
    const { text, signatures } = noteOf(served);
    const bad = signatures.map((line, at) => {
      if (at !== 1) return line;
      const signature = Buffer.from(line.signature);
      signature[20] = (signature[20] ?? 0) ^ 1;
      return { ...line, signature };
    });
    const entries = served.get('north')?.entries ?? [];
    served.set('north', { entries, checkpoint: Buffer.from(formatNote({ text, signatures: bad })) });
    const report = await audited(served);
    expect(report.findings).toMatchObject([{ code: 'checkpoint.miscosigned', severity: 'error' }]);
  });

  it('of a network that has none are missed', async () => {
    const without: Network = { ...fake.network, witnessing: { quorum: 'none' } };
    const report = await audited(serve(fake, honestLines()), { network: without });
    expect(report.findings).toMatchObject([{ code: 'quorum.none', severity: 'warning', log: null }]);
    expect(report.failed).toBe(false);
  });

  it('who have not seen a log for a day make it stale, and one of them alone does not make it fresh', async () => {
    const old = northSigned({});
    const seenMs = START_MS + 70_000;
    const nowMs = seenMs + FRESH_MS + 1000;
    const fresh = noteOf(northSigned({ witnesses: ['south'], cosignedAtMs: nowMs }));
    const lines = noteOf(old).signatures.filter(({ name }) => !name.includes('/south/'));
    const mixed = addSignatures({ ...noteOf(old), signatures: lines }, fresh.signatures);
    const entries = old.get('north')?.entries ?? [];
    for (const checkpoint of [old.get('north')?.checkpoint ?? null, Buffer.from(formatNote(mixed))]) {
      const report = await audited(old.set('north', { entries, checkpoint }), { nowMs });
      expect(report.findings).toContainEqual(
        expect.objectContaining({ code: 'log.stale', severity: 'warning', log: 'north' }),
      );
      expect(report.failed).toBe(false);
    }
    expect(codes(await audited(old, { nowMs: null }))).toEqual([]);
  });

  it('have seen a log before some of its entries claim to have been written', async () => {
    const cosignedAtMs = START_MS - 300_000;
    const report = await audited(northSigned({ cosignedAtMs }), { nowMs: null });
    expect(report.findings).toMatchObject([{ code: 'clock.ahead', severity: 'error', log: 'north' }]);
  });
});

describe('a log that was rewritten with its stolen key', () => {
  const REWRITTEN: [string, (entries: Uint8Array[]) => Uint8Array[]][] = [
    ['an entry removed', (entries) => entries.toSpliced(6, 1)],
    ['an entry inserted', (entries) => entries.toSpliced(6, 0, ...encoded('north', filler(1)))],
    ['two entries exchanged', (all) => all.toSpliced(5, 2, ...all.slice(5, 7).toReversed())],
    ['an entry replaced', (entries) => entries.toSpliced(6, 1, ...encoded('north', filler(1)))],
  ];
  const anchors = (): AuditScope['anchors'] => {
    const origin = ledgerOrigin(fake.network.id, 'north');
    const key = logKey(origin, publicOf(memberIn(fake, 'north').keys.log));
    const { checkpoint } = serve(fake, honestLines()).get('north') ?? { checkpoint: null };
    const trust = { origin, logKeys: [key], witnessKeys: [] };
    return new Map([['north', openCheckpoint(checkpoint ?? '', trust).checkpoint]]);
  };

  it.each(REWRITTEN)('%s: no witness has seen it', async (_, rewrite) => {
    const report = await audited(northSigned({ witnesses: [] }, rewrite(honest())));
    expect(codes(report)).toContain('checkpoint.uncosigned');
    expect(report.failed).toBe(true);
  });

  it.each(REWRITTEN)(
    '%s: not even with all witnesses in the plot, if this auditor has been here',
    async (_, rewrite) => {
      const later = [...rewrite(honest()), ...encoded('north', filler(3))];
      const report = await audited(northSigned({}, later), { anchors: anchors() });
      expect(report.findings).toContainEqual(
        expect.objectContaining({ code: 'log.forked', severity: 'misconduct', log: 'north' }),
      );
    },
  );

  it('a head signed with a key that is in other hands, by the word of the authority', async () => {
    const made = await makeNetwork({ admins: { adam: 'south' }, witnessing: WITNESSING, nowMs: START_MS });
    const north = made.network.members.get('north');
    if (north === undefined) throw new Error('no north');
    const keys = { ...north.keys, log: publicOf(ed25519()) };
    const renewed = [{ member: { ...north, keys }, invalidAfterMs: START_MS }];
    const { network } = made.next({ renewed, issuedAtMs: AFTER_MS });
    const report = await audited(serve(made, honestLines()), { network });
    expect(report.findings).toMatchObject([{ code: 'signer.revoked', severity: 'error', log: 'north' }]);
    expect(report.logs.find(({ member }) => member === 'north')?.head?.sound).toBe(false);
  });

  it('a head signed with a key that was never one of its member', async () => {
    const served = serve(fake, honestLines());
    const log = signedLog(fake, 'north', honest('north'), { logKey: memberIn(fake, 'rosa').keys.log });
    const report = await audited(served.set('north', log));
    expect(report.findings).toMatchObject([{ code: 'checkpoint.unsigned', severity: 'error', log: 'north' }]);
  });
});

/** The honest story, with one entry changed and its log signed and witnessed anew. */
function rewritten(member: string, type: string, change: (entry: LedgerEntry) => LedgerEntry): Served {
  const entries = honest(member).map((bytes) => {
    const entry = decodeEntry(bytes);
    return entry.type === type ? encodeEntry(change(entry)) : bytes;
  });
  return serve(fake, honestLines()).set(member, signedLog(fake, member, entries));
}

describe("what each log quotes of the other's", () => {
  const SIDES = [
    ['north', 'order.received'],
    ['dispatcher', 'receipt.received'],
  ] as const;

  it.each(SIDES)('%s has to: %s', async (member, type) => {
    const report = await audited(rewritten(member, type, (entry) => ({ ...entry, prev: null })));
    expect(codes(report)).toEqual(['quote.missing']);
    expect(report.findings[0]).toMatchObject({ severity: 'misconduct', log: member });
  });

  const CHANGES: [string, (prev: NonNullable<LedgerEntry['prev']>) => object][] = [
    ['another place', ({ index }) => ({ index: index === 0 ? 1 : index - 1 })],
    ['another entry', () => ({ leafHash: digestOf('another') })],
    ['another log', () => ({ origin: ledgerOrigin(fake.network.id, 'south') })],
  ];
  it.each(SIDES.flatMap((side) => CHANGES.map((change) => [...side, ...change] as const)))(
    '%s quotes in %s %s',
    async (member, type, _, change) => {
      const served = rewritten(member, type, (entry) => {
        if (entry.prev === null) throw new Error('nothing is quoted');
        return { ...entry, prev: { ...entry.prev, ...change(entry.prev) } };
      });
      const report = await audited(served);
      expect(codes(report)).toEqual(['quote.unmatched']);
      expect(report.findings[0]).toMatchObject({ severity: 'error', log: member });
    },
  );

  it('an order that the head of its dispatcher does not show yet, or holds back', async () => {
    const dispatcher = (honestLines()['dispatcher'] ?? []).slice(0, 1);
    const north = releasedHop('t', 'north').slice(0, 3);
    const served = serve(fake, { ...honestLines(), north, south: filler(1), dispatcher });
    const receivedMs = START_MS + 60_000;
    const soon = await audited(served, { nowMs: receivedMs + MIRROR_LAG_MS });
    expect(soon.findings).toMatchObject([{ code: 'mirror.behind', severity: 'warning', log: 'north' }]);
    const late = await audited(served, { nowMs: receivedMs + MIRROR_LAG_MS + 1 });
    expect(late.findings).toMatchObject([{ code: 'mirror.behind', severity: 'error', log: 'north' }]);
  });
});

describe('a release that waits for witnesses', () => {
  const hop = releasedHop('t', 'north');
  const upTo = (type: string): Line[] => hop.slice(0, hop.findIndex(({ entry }) => entry.type === type) + 1);
  const line = (type: Line['entry']['type'], body: LedgerEntry['body']): Line => {
    const { atMs, entry } = hop.at(-1) ?? { atMs: 0, entry: { ...NO_HOP, type, body } };
    return { atMs, entry: { ...entry, type, body } };
  };
  const withdrawn = line('release.withdrawn', { code: 'witness.unreachable' });
  const receipt = (outcome: string): Line =>
    line('receipt.issued', { ...hop.at(-1)?.entry.body, outcome, code: outcome });
  /** The dispatcher has on record what the receipt says. */
  const northIs = (north: Line[], more: Lines = {}): Served => {
    const { outcome, code } = north.find(({ entry }) => entry.type === 'receipt.issued')?.entry.body ?? {};
    const dispatcher = (honestLines()['dispatcher'] ?? []).map((each) =>
      each.entry.body['station'] === 'north' && outcome !== undefined && code !== undefined
        ? { ...each, entry: { ...each.entry, body: { ...each.entry.body, outcome, code } } }
        : each,
    );
    return serve(fake, { ...honestLines(), dispatcher, ...more, north });
  };

  it('may be withdrawn, and made again', async () => {
    const { manifestDigest } = headOf('t', 'north');
    expect(manifestDigest).toBe(hop[0]?.entry.manifestDigest);
    expect(
      codes(await audited(northIs([...upTo('result.released'), withdrawn, receipt('withheld')]))),
    ).toEqual([]);
    const again = hop.slice(5).map((each) => ({ ...each, atMs: each.atMs + 10_000 }));
    expect(codes(await audited(northIs([...upTo('result.released'), withdrawn, ...again])))).toEqual([]);
  });

  it('is not released once it was withdrawn', async () => {
    const north = [...upTo('result.released'), withdrawn, receipt('released')];
    expect(codes(await audited(northIs(north)))).toEqual(['receipt.contradictory']);
  });

  it('is not withdrawn once its receipt has left', async () => {
    expect(codes(await audited(northIs([...hop, withdrawn])))).toEqual(['receipt.contradictory']);
  });

  it('is not withdrawn before it was made', async () => {
    const north = [...upTo('output.screened'), withdrawn, receipt('withheld')];
    expect(codes(await audited(northIs(north)))).toEqual(['withdrawal.groundless']);
  });

  it('is open until then, and worth a look when it takes long', async () => {
    const { hopId } = headOf('t', 'north');
    const dispatcher = (honestLines()['dispatcher'] ?? []).filter(
      ({ entry }) => entry.type !== 'receipt.received' || entry.hopId !== hopId,
    );
    const served = northIs(upTo('result.released'), { dispatcher });
    const releasedMs = START_MS + 68_000;
    const soon = await audited(served, { nowMs: releasedMs + MIRROR_LAG_MS });
    expect(soon.findings).toEqual([]);
    expect(soon.openHops).toMatchObject([{ hopId, waits: true }]);
    const late = await audited(served, { nowMs: releasedMs + MIRROR_LAG_MS + 1 });
    expect(late.findings).toMatchObject([{ code: 'receipt.missing', severity: 'warning', index: 8 }]);
    const alone: Network = { ...fake.network, witnessing: { quorum: 'none' } };
    expect((await audited(served, { network: alone })).findings).toContainEqual(
      expect.objectContaining({ code: 'receipt.missing', severity: 'misconduct' }),
    );
  });
});

describe('what else is on record', () => {
  const also = (type: Line['entry']['type'], body: LedgerEntry['body']): Promise<AuditReport> => {
    const line: Line = { atMs: START_MS + 200_000, entry: { ...NO_HOP, type, body } };
    return audited(serve(fake, { ...honestLines(), north: [...releasedHop('t', 'north'), line] }));
  };

  it('a log that was restored is worth a look', async () => {
    const report = await also('log.restored', {});
    expect(report.findings).toMatchObject([{ code: 'log.restored', severity: 'warning', index: 10 }]);
    expect(report.notices).toMatchObject([{ type: 'log.restored', log: 'north' }]);
  });

  it('a conflict that a witness saw names whose', async () => {
    const origin = ledgerOrigin(fake.network.id, 'south');
    const report = await also('witness.conflict', { origin, size: 4, conflictDigest: digestOf('x') });
    expect(report.findings).toMatchObject([{ code: 'witness.conflict', severity: 'warning', log: 'north' }]);
    expect(report.findings[0]?.text).toContain('the log of south');
  });

  it('salts that were erased are told', async () => {
    const report = await also('salts.erased', { count: 3 });
    expect([report.findings, report.notices.map(({ text }) => text)]).toEqual([
      [],
      ['erased what tells whom 3 commitments mean'],
    ]);
  });
});
