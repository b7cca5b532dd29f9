import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { createLogArchive } from '../../src/adapters/ledger/archive.ts';
import { openLogFolder } from '../../src/adapters/ledger/reader.ts';
import { type AuditReport, audit } from '../../src/journey/auditor/audit.ts';
import { claimedHeads } from '../../src/journey/auditor/past-heads.ts';
import type { AuditScope } from '../../src/journey/auditor/scope.ts';
import { formatPastHeads, PAST_HEADS_MAX, parsePastHeads } from '../../src/model/ledger/past-heads.ts';
import type { Network, Witnessing } from '../../src/model/network.ts';
import type { LogArchive } from '../../src/ports/log-source.ts';
import { ed25519, type FakeNetwork, makeNetwork, publicOf } from '../fakes/network.ts';
import {
  AFTER_MS,
  encodedLogs,
  filler,
  honestLines,
  type Lines,
  type Served,
  type SignedAs,
  START_MS,
  serve,
  servedSource,
  signedLog,
  WITNESSING,
} from './story.ts';

/** An auditor who comes after a revocation has nothing but what is served: earlier heads tell him what was there before. */

const home = mkdtempSync(join(tmpdir(), 'pht-late-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const MINUTE_MS = 60_000;
const SEEN_MS = START_MS + 10 * MINUTE_MS;
/** When the newest heads were cosigned: after everything else. */
const NEW_MS = AFTER_MS - MINUTE_MS;
const NONE: Witnessing = { quorum: 'none' };

let fake: FakeNetwork;
beforeEach(async () => {
  fake = await makeNetwork({ admins: { adam: 'south' }, witnessing: WITNESSING, nowMs: START_MS });
});

const entriesOf = (member: string, lines: Lines = honestLines()): Uint8Array[] =>
  encodedLogs(fake, lines).get(member) ?? [];
/** A head of the first `size` entries of a log. */
function head(member: string, size: number, as: SignedAs = {}, entries = entriesOf(member)): Uint8Array {
  const { checkpoint } = signedLog(fake, member, entries.slice(0, size), { cosignedAtMs: SEEN_MS, ...as });
  return checkpoint ?? new Uint8Array();
}
/** All logs, cosigned anew since; one of them with earlier heads. */
function served(
  member: string,
  heads: Uint8Array | readonly Uint8Array[],
  lines: Lines = honestLines(),
): Served {
  const logs: Served = new Map(
    [...encodedLogs(fake, lines)].map(([id, entries]) => [
      id,
      signedLog(fake, id, entries, { cosignedAtMs: NEW_MS }),
    ]),
  );
  const log = logs.get(member);
  if (log !== undefined) log.pastHeads = heads instanceof Uint8Array ? heads : formatPastHeads(heads);
  return logs;
}

const audited = (
  of: Served,
  scope: Partial<AuditScope> & { network: Network },
  archive: LogArchive | null = null,
) =>
  audit(
    { source: servedSource(of), archive, progress: () => undefined },
    { anchors: new Map(), nowMs: AFTER_MS, ...scope },
  );
const found = ({ findings }: AuditReport): string[] =>
  [...new Set(findings.map(({ severity, code }) => `${severity} ${code}`))].filter(
    (each) => each !== 'warning quorum.none',
  );

const revoked = (id: string, issuedAtMs = SEEN_MS + 1000): Network =>
  fake.next({ revoked: [{ id, reason: 'it left' }], witnessing: NONE, issuedAtMs }).network;
/** North has new keys, and the old ones are in other hands since. */
function stolen(invalidAfterMs: number): Network {
  const north = fake.network.members.get('north');
  if (north === undefined) throw new Error('no north');
  const keys = { ...north.keys, log: publicOf(ed25519()), statement: publicOf(ed25519()) };
  return fake.next({ renewed: [{ member: { ...north, keys }, invalidAfterMs }], issuedAtMs: NEW_MS }).network;
}

const LOST = ['error signer.revoked'];

describe('the log of a member that was revoked before the first audit', () => {
  it.each(['north', 'dispatcher'])('of %s counts by an earlier head, and by nothing else', async (id) => {
    const size = entriesOf(id).length;
    const network = revoked(id);
    expect(found(await audited(served(id, [head(id, size)]), { network }))).toEqual([]);
    expect(found(await audited(served(id, []), { network }))).toEqual(LOST);
    expect(found(await audited(serve(fake, honestLines()), { network: fake.network }))).toEqual([]);
  });

  it('counts as far as an earlier head goes', async () => {
    const { findings } = await audited(served('north', [head('north', 4)]), { network: revoked('north') });
    expect(findings.find(({ code }) => code === 'signer.revoked')).toMatchObject({ log: 'north', index: 4 });
  });

  it('counts by the last of many heads before, whatever came since', async () => {
    const before = Array.from({ length: 10 }, (_, at) =>
      head('north', at + 1, { cosignedAtMs: SEEN_MS - MINUTE_MS + at * 1000 }),
    );
    const since = head('north', 10, { cosignedAtMs: NEW_MS });
    const network = revoked('north');
    expect(found(await audited(served('north', [...before, since]), { network }))).toEqual([]);
    expect(found(await audited(served('north', [since]), { network }))).toEqual(LOST);
  });

  it('does not count by a head that too few had cosigned', async () => {
    const network = revoked('north');
    const alone = head('north', 10, { witnesses: ['south'] });
    expect(found(await audited(served('north', [alone]), { network }))).toEqual(LOST);
  });
});

describe('keys that are in other hands since a date', () => {
  it.each([
    ['after', SEEN_MS + 1, []],
    ['at', SEEN_MS, LOST],
  ])('count for what was seen before: the theft was %s it', async (_, invalidAfterMs, expected) => {
    const report = await audited(served('north', [head('north', 10)]), { network: stolen(invalidAfterMs) });
    expect(found(report)).toEqual(expected);
    expect(report.logs.find(({ member }) => member === 'north')?.head?.sound).toBe(expected !== LOST);
  });
});

describe('a thief of a log key, who serves earlier heads that he signs himself', () => {
  const other = (): Uint8Array[] => entriesOf('north', { ...honestLines(), north: filler(12, START_MS) });
  const audit = async (forged: Uint8Array, invalidAfterMs = SEEN_MS + 1): Promise<[string[], unknown]> => {
    const of = served('north', [head('north', 10), forged]);
    const report = await audited(of, { network: stolen(invalidAfterMs) });
    return [found(report), report.logs.find(({ member }) => member === 'north')?.head?.sound];
  };

  it.each([
    ['of another tree', 8],
    ['of more entries than there are', 12],
  ])('convicts nobody by one %s', async (_, size) => {
    const said = ['warning head.unusable'];
    expect(await audit(head('north', size, { witnesses: [] }, other()))).toEqual([said, true]);
    const late = { cosignedAtMs: NEW_MS };
    expect(await audit(head('north', size, late, other()))).toEqual([said, true]);
  });

  it("but what witnesses had seen before the theft is its member's own", async () => {
    const [findings, sound] = await audit(head('north', 8, {}, other()));
    expect([findings, sound]).toEqual([['misconduct log.forked'], false]);
  });
});

describe('one witness that lies about the time', () => {
  const all = ['dispatcher', 'east', 'south', 'west'];
  const retimed = (bytes: Uint8Array, size: number, atMs: number): Uint8Array => {
    const liar = Buffer.from(head('north', size, { witnesses: ['south'], cosignedAtMs: atMs })).toString();
    const own = Buffer.from(bytes).toString().split('\n');
    const at = own.findIndex((line) => line.includes('/south/witness '));
    own[at] = liar.split('\n').find((line) => line.includes('/south/witness ')) ?? '';
    return Buffer.from(own.join('\n'));
  };
  beforeEach(async () => {
    const witnessing = { quorum: 3, faulty: 1, witnesses: all };
    fake = await makeNetwork({
      ...{ admins: { adam: 'south' }, witnessing, nowMs: START_MS },
      stations: ['north', 'south', 'east', 'west'],
    });
  });
  it.each([
    ['far in the future', Date.UTC(2100, 0, 1)],
    ['at the beginning of time', 1000],
  ])('keeps no earlier head from counting: %s', async (_, atMs) => {
    const early = retimed(head('north', 10, { witnesses: all }), 10, atMs);
    const since = retimed(head('north', 10, { witnesses: all, cosignedAtMs: NEW_MS }), 10, atMs);
    const network = revoked('north');
    const lost = async (heads: Uint8Array[]): Promise<string[]> => {
      const of = served('north', heads);
      const newest = head('north', 10, { witnesses: all, cosignedAtMs: NEW_MS });
      of.set('north', { checkpoint: newest, entries: entriesOf('north'), pastHeads: formatPastHeads(heads) });
      return found(await audited(of, { network })).filter((each) => LOST.includes(each));
    };
    expect(await lost([early, since])).toEqual([]);
    expect(await lost([since])).toEqual(LOST);
  });
});

describe('an earlier head that is not the word of the log', () => {
  const changed = (bytes: Uint8Array, from: string | RegExp, to: string): Uint8Array => {
    const text = Buffer.from(bytes).toString();
    expect(text).toMatch(from);
    return Buffer.from(text.replace(from, to));
  };
  it.each<[string, () => Uint8Array, string]>([
    ['is signed by nobody', () => head('north', 10, { logKey: ed25519() }), 'warning head.unusable'],
    ['is signed by another member', () => head('north', 10, { signer: 'south' }), 'warning head.unusable'],
    ['is of another log', () => head('south', 10, {}, entriesOf('south')), 'warning head.unusable'],
    ['was altered', () => changed(head('north', 9), /\n9\n/, '\n10\n'), 'error head.unusable'],
    [
      'has a cosignature with another time',
      () => {
        const lines = Buffer.from(head('north', 10)).toString().split('\n');
        const at = lines.findIndex((line) => line.includes('/south/witness '));
        const [dash = '', name = '', code = ''] = (lines[at] ?? '').split(' ');
        const bytes = Buffer.from(code, 'base64');
        bytes.writeBigUInt64BE(bytes.readBigUInt64BE(4) - 100n, 4);
        lines[at] = [dash, name, bytes.toString('base64')].join(' ');
        return Buffer.from(lines.join('\n'));
      },
      'error head.unusable',
    ],
    ['is no head', () => Buffer.from('what\n\n— is AAAAAAAA\n'), 'error head.unusable'],
  ])('%s: it is not used, and said', async (_, made, expected) => {
    const network = revoked('north', SEEN_MS + 3000);
    const report = await audited(served('north', [made()]), { network });
    expect(found(report).toSorted()).toEqual([...LOST, expected].toSorted());
    // A good one beside it counts all the same.
    const beside = served('north', [head('north', 10, { cosignedAtMs: SEEN_MS - MINUTE_MS }), made()]);
    expect(found(await audited(beside, { network }))).not.toContain('error signer.revoked');
  });

  it.each<[string, () => Uint8Array]>([
    [
      'too many',
      () => Buffer.from(Array.from({ length: PAST_HEADS_MAX + 1 }, () => 'o\n\n— a A\n').join('\n')),
    ],
    ['too much', () => Buffer.alloc(5 * 1024 * 1024, 0x61)],
    ['no text', () => Buffer.from([0xff, 0xfe, 0x0a])],
  ])('is not read at all where there is %s of it', async (_, made) => {
    const network = revoked('north');
    expect(found(await audited(served('north', made()), { network })).toSorted()).toEqual(
      ['error head.unusable', ...LOST].toSorted(),
    );
  });
});

it('an earlier head of another tree convicts the log', async () => {
  const other = entriesOf('north', { ...honestLines(), north: filler(10, START_MS) });
  const forked = head('north', 8, {}, other);
  const report = await audited(served('north', [forked, head('north', 10)]), { network: revoked('north') });
  expect(found(report)).toEqual(['misconduct log.forked']);
  expect(report.logs.find(({ member }) => member === 'north')?.head?.sound).toBe(false);
});

it('an earlier head of more entries than are served tells that some are held back', async () => {
  const more = {
    ...honestLines(),
    north: [...(honestLines()['north'] ?? []), ...filler(2, START_MS + 200_000)],
  };
  const ahead = head('north', 12, {}, entriesOf('north', more));
  const of = served('north', [head('north', 10), ahead]);
  const network = revoked('rosa');
  expect(found(await audited(of, { network }))).toEqual(['error mirror.behind']);
  expect(found(await audited(of, { network, nowMs: null }))).toEqual(['warning mirror.behind']);
});

it.each([
  ['rosa', []],
  ['north', LOST],
])('an earlier head under a key that the log got only later is none of it: %s has left', async (id, lost) => {
  const next = ed25519();
  const north = fake.network.members.get('north');
  if (north === undefined) throw new Error('no north');
  const keys = { ...north.keys, log: publicOf(next) };
  fake.next({ renewed: [{ member: { ...north, keys } }], issuedAtMs: START_MS + 1 });
  const of = served('north', [head('north', 10, { logKey: next })]);
  expect(found(await audited(of, { network: revoked(id) }))).toEqual(['error log.rotation', ...lost]);
});

describe('an auditor who keeps the logs', () => {
  let made = 0;
  const archive = (): string => join(home, `logs-${made++}`);

  it('keeps earlier heads with them, before and after anybody is revoked, whoever hides them later', async () => {
    const dir = archive();
    const of = served('north', [head('north', 10)]);
    const first = await audited(of, { network: fake.network }, createLogArchive(dir));
    expect(found(first)).toEqual([]);
    const kept = join(dir, 'north', 'past-heads');
    expect(parsePastHeads(readFileSync(kept))).toHaveLength(1);
    const network = revoked('north');
    expect(found(await audited(served('north', []), { network }, createLogArchive(dir)))).toEqual([]);
    expect(parsePastHeads(readFileSync(kept))).toHaveLength(1);

    const copy = await openLogFolder(dir);
    const ports = { source: copy, archive: null, progress: () => undefined };
    const again = await audit(ports, { network, anchors: new Map(), nowMs: null });
    expect(found(again)).toEqual([]);
    const flood = Array.from({ length: PAST_HEADS_MAX }, (_, at) =>
      Buffer.from(`o\n${1000 + at}\n${Buffer.alloc(32, 7).toString('base64')}\n\n\u2014 a AAAAAAAA\n`),
    );
    await audited(served('north', flood), { network: fake.network }, createLogArchive(dir));
    expect(parsePastHeads(readFileSync(kept))).toEqual([head('north', 10)]);
    writeFileSync(kept, 'nothing');
    const damaged = await audit(ports, { network, anchors: new Map(), nowMs: null });
    expect(found(damaged).toSorted()).toEqual(['error head.unusable', ...LOST]);
  });

  it.each([
    ['fit what was seen', (): Uint8Array => head('north', 7), [], true],
    [
      'do not',
      (): Uint8Array => head('north', 7, {}, entriesOf('north', { ...honestLines(), north: filler(10) })),
      ['misconduct log.forked'],
      false,
    ],
  ])(
    'and reads only what is new holds earlier heads against its copy: they %s',
    async (_, made, expected, onlyNew) => {
      const logs = createLogArchive(archive());
      const whole = await audited(served('north', []), { network: fake.network }, logs);
      const anchors = new Map(
        whole.logs.flatMap(({ member, head: last }) => {
          if (last?.range == null) return [];
          const { checkpoint, signedBy, range, newestMs } = last;
          return [[member, { ...checkpoint, signedBy, range, newestMs }] as const];
        }),
      );
      const more = {
        ...honestLines(),
        north: [...(honestLines()['north'] ?? []), ...filler(3, START_MS + 300_000)],
      };
      const of = served('north', [made()], more);
      const network = revoked('rosa');
      const report = await audited(of, { network, anchors, open: whole.left }, logs);
      expect(found(report)).toEqual(expected);
      expect(report.onlyNew).toBe(onlyNew);
    },
  );
});

it('of many heads only those are verified that may prove something, and what stands in them is read alone', async () => {
  const forged = head('north', 5, { logKey: ed25519() });
  const of = served('north', [forged]);
  expect(found(await audited(of, { network: fake.network }))).toEqual([]);
  const read = async (): Promise<Uint8Array | null> => of.get('north')?.pastHeads ?? null;
  const claimed = await claimedHeads('north', read, () => undefined);
  expect(claimed).toMatchObject([{ size: 5, oldestMs: SEEN_MS }]);
});
