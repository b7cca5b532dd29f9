import { beforeEach, describe, expect, it } from 'vitest';
import { type AuditReport, audit } from '../../src/journey/auditor/audit.ts';
import type { FindingCode } from '../../src/journey/auditor/findings.ts';
import { trustOf } from '../../src/journey/auditor/prove.ts';
import type { AuditScope } from '../../src/journey/auditor/scope.ts';
import { digestOf } from '../../src/model/id.ts';
import { openCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import type { LedgerEntry } from '../../src/model/ledger/entry.ts';
import type { NoteSigner } from '../../src/model/ledger/note.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import { rotationBody } from '../../src/model/ledger/rotation.ts';
import type { Network } from '../../src/model/network.ts';
import { logKeysOf } from '../../src/model/past-keys.ts';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf, signerOf } from '../fakes/network.ts';
import {
  AFTER_MS,
  encodedLogs,
  filler,
  honestLines,
  type Line,
  type Lines,
  NO_HOP,
  type Served,
  START_MS,
  serve,
  servedSource,
  signedLog,
  WITNESSING,
} from './story.ts';

/** Keys that were rotated, members that were revoked, and network files that changed: the logs stay verifiable. */

let fake: FakeNetwork;
beforeEach(async () => {
  fake = await makeNetwork({ admins: { adam: 'south' }, witnessing: WITNESSING, nowMs: START_MS });
});

const MINUTE_MS = 60_000;
const LATE_MS = START_MS + 10 * MINUTE_MS;

const audited = (served: Served, scope: Partial<AuditScope> & { network: Network }): Promise<AuditReport> =>
  audit(
    { source: servedSource(served), archive: null, progress: () => undefined },
    { anchors: new Map(), nowMs: AFTER_MS, ...scope },
  );
const codes = ({ findings }: AuditReport): FindingCode[] =>
  [...new Set(findings.map(({ code }) => code))].toSorted();

function listed(id: string): NonNullable<ReturnType<Network['members']['get']>> {
  const member = fake.network.members.get(id);
  if (member === undefined) throw new Error(`no member ${id}`);
  return member;
}

/** What an audit of what is new goes on from. */
function anchorsOf({ logs }: AuditReport): AuditScope['anchors'] {
  return new Map(
    logs.flatMap(({ member, head }) => {
      if (head?.range == null) return [];
      const { checkpoint, signedBy, range, newestMs } = head;
      return [[member, { ...checkpoint, signedBy, range, newestMs }] as const];
    }),
  );
}

describe('a log whose key was rotated', () => {
  const next = ed25519();
  let network: Network;
  beforeEach(() => {
    const north = listed('north');
    const keys = { ...north.keys, log: publicOf(next) };
    network = fake.next({ renewed: [{ member: { ...north, keys } }], issuedAtMs: START_MS + 1 }).network;
  });

  const noted = (jwk: ReturnType<typeof ed25519>, member = 'north'): NoteSigner => {
    const { sign, publicJwk } = signerOf(jwk);
    return { key: logKey(ledgerOrigin(fake.network.id, member), publicJwk), sign };
  };
  const old = (): NoteSigner => noted(memberIn(fake, 'north').keys.log);
  const rotated = (body: LedgerEntry['body']): Line => ({
    atMs: LATE_MS,
    entry: { ...NO_HOP, type: 'log.rotated', body },
  });
  /** North's ten entries, the rotation and one more. */
  const lines = (body: LedgerEntry['body'] | null = rotationBody(10, old(), noted(next))): Lines => {
    const honest = honestLines();
    const between = body === null ? filler(1, LATE_MS) : [rotated(body)];
    return { ...honest, north: [...(honest['north'] ?? []), ...between, ...filler(1, LATE_MS)] };
  };
  const served = (of: Lines, logKey: ReturnType<typeof ed25519> = next): Served => {
    const entries = encodedLogs(fake, of).get('north') ?? [];
    return serve(fake, of).set('north', signedLog(fake, 'north', entries, { logKey }));
  };

  it('verifies with both keys, and the report tells of it', async () => {
    const report = await audited(served(lines()), { network });
    expect(report.findings).toEqual([]);
    expect(report.notices).toMatchObject([{ log: 'north', index: 10, type: 'log.rotated' }]);
  });

  it('verifies up to the boundary with the old key, as if nothing was to come', async () => {
    expect(codes(await audited(serve(fake, honestLines()), { network }))).toEqual([]);
  });

  it('is not signed with the old key beyond the boundary', async () => {
    const report = await audited(served(lines(), memberIn(fake, 'north').keys.log), { network });
    expect(report.findings).toMatchObject([{ code: 'log.rotation', severity: 'error', log: 'north' }]);
    expect(report.logs.find(({ member }) => member === 'north')?.head?.sound).toBe(false);
  });

  it('has its new key by an entry, or an auditor who saw the old one says so', async () => {
    const before = serve(fake, honestLines()).get('north')?.checkpoint ?? '';
    const { checkpoint, signedBy } = openCheckpoint(before, trustOf(network, 'north'));
    const anchors = new Map([['north', { ...checkpoint, signedBy }]]);
    expect(codes(await audited(served(lines(null)), { network, anchors }))).toEqual(['log.rotation']);
    expect(codes(await audited(served(lines()), { network, anchors }))).toEqual([]);
  });

  const south = (): LedgerEntry['body'] =>
    rotationBody(10, noted(memberIn(fake, 'north').keys.log, 'south'), noted(next, 'south'));
  const good = (): LedgerEntry['body'] => rotationBody(10, old(), noted(next));
  it.each<[string, () => LedgerEntry['body']]>([
    ['one signature', () => ({ ...good(), oldSignature: good()['newSignature'] ?? '' })],
    ['the index of another entry', () => rotationBody(9, old(), noted(next))],
    ['the origin of another log', south],
    ['a key that nobody lists', () => rotationBody(10, old(), noted(ed25519()))],
    ['no signature at all', () => ({ oldKeyId: '00000000', newKeyId: '00000001' })],
  ])('is not rotated by an entry with %s', async (_, body) => {
    const report = await audited(served(lines(body())), { network });
    expect(codes(report)).toEqual(['log.rotation']);
    expect(report.failed).toBe(true);
  });

  it('goes on from the key that it had at an audit of what is new', async () => {
    const whole = await audited(serve(fake, honestLines()), { network });
    const anchors = anchorsOf(whole);
    const only = (of: Served): Promise<AuditReport> => audited(of, { network, anchors, open: whole.left });
    const report = await only(served(lines()));
    expect([codes(report), report.onlyNew]).toEqual([[], true]);
    expect(codes(await only(served(lines(null))))).toEqual(['log.rotation']);
  });

  it('whose old key is in other hands counts as far as it was seen before, and no further', async () => {
    const keys = { ...listed('north').keys, log: publicOf(ed25519()), statement: publicOf(ed25519()) };
    const stolen = (invalidAfterMs: number): Network =>
      fake.next({ renewed: [{ member: { ...listed('north'), keys }, invalidAfterMs }], issuedAtMs: AFTER_MS })
        .network;
    const after = stolen(START_MS + MINUTE_MS);
    expect(logKeysOf(after, 'north').map(({ stolen: is }) => is)).toEqual([false, true, false]);
    expect(codes(await audited(served(lines()), { network: after }))).toEqual(['signer.revoked']);
  });
});

describe('network files that members took up', () => {
  const digest = (version: number): string =>
    version === 1 ? fake.network.digest : digestOf(`list ${version}`);
  const changed = (version: number, of = digest(version), rootVersion = 1): Line => ({
    atMs: LATE_MS,
    entry: { ...NO_HOP, type: 'network.changed', body: { version, digest: of, rootVersion } },
  });
  const withLines = (more: Partial<Lines>): Lines => {
    const lines = honestLines();
    for (const [member, of] of Object.entries(more))
      lines[member] = [...(lines[member] ?? []), ...(of ?? [])];
    return lines;
  };
  const found = async (more: Partial<Lines>): Promise<AuditReport> =>
    audited(serve(fake, withLines(more)), { network: fake.network });

  it('are the same for all of them', async () => {
    const report = await found({ north: [changed(1), changed(1), changed(2)], south: [changed(2)] });
    expect(report.findings).toEqual([]);
  });

  it('with one version and two lists are misconduct', async () => {
    const report = await found({ north: [changed(2)], south: [changed(2, digestOf('another list'))] });
    expect(report.findings).toMatchObject([
      { code: 'network.forked', severity: 'error', log: 'south', index: 10 },
    ]);
    expect(report.failed).toBe(true);
  });

  it('with another list than the file at hand, too', async () => {
    const report = await found({ north: [changed(1, digestOf('another list'))] });
    expect(report.findings).toMatchObject([{ code: 'network.forked', log: 'north', index: 10 }]);
    expect(report.findings[0]?.text).toContain('in the file at hand');
  });

  it('with two lists within one log', async () => {
    expect(codes(await found({ north: [changed(2), changed(2, digestOf('x'))] }))).toEqual([
      'network.forked',
    ]);
  });

  it.each([
    ['versions', () => [changed(3), changed(2)]],
    ['roots', () => [changed(2, digest(2), 2), changed(3, digest(3), 1)]],
  ])('never go backwards in their %s', async (_, lines) => {
    expect(codes(await found({ north: lines() }))).toEqual(['network.rolled-back']);
  });

  it('go back with a newer root alone, which disowns the key that signed them, and then openly', async () => {
    const thief = changed(900, digestOf('by a thief'));
    const report = await found({ north: [changed(2), thief, changed(3, digest(3), 2)] });
    expect(report.findings).toMatchObject([{ code: 'network.rolled-back', severity: 'warning', index: 12 }]);
    expect(report.failed).toBe(false);
    const same = await found({ north: [changed(3, digestOf('by a thief')), changed(3, digest(3), 2)] });
    expect(same.findings).toMatchObject([{ code: 'network.rolled-back', severity: 'warning', index: 11 }]);
    const again = await found({ north: [thief, changed(3, digest(3), 2), changed(2, digest(2), 2)] });
    expect(again.findings.map(({ severity }) => severity).sort()).toEqual(['error', 'warning']);
    const forth = await found({ north: [changed(2), changed(3, digest(3), 2)] });
    expect(forth.findings).toEqual([]);
  });

  it('are what is decided by from then on', async () => {
    const lines = honestLines();
    lines['north'] = [{ ...changed(2), atMs: START_MS }, ...(lines['north'] ?? [])];
    const report = await audited(serve(fake, lines), { network: fake.network });
    expect(report.findings).toMatchObject([{ code: 'network.rolled-back', log: 'north', index: 2 }]);
  });

  it('say which they are', async () => {
    const odd: Line = { ...changed(2), entry: { ...NO_HOP, type: 'network.changed', body: { version: 2 } } };
    expect(codes(await found({ north: [odd] }))).toEqual(['entry.contradictory']);
  });

  it('are remembered for an audit of what is new', async () => {
    const first = await found({ north: [changed(3)], south: [changed(3)] });
    expect(first.left.get('north')?.network).toEqual({
      version: 3,
      rootVersion: 1,
      digests: [[3, digest(3), 10]],
    });
    const anchors = anchorsOf(first);
    const grown = withLines({
      north: [changed(3), changed(2)],
      south: [changed(3), changed(3, digestOf('x'))],
    });
    const report = await audited(serve(fake, grown), { network: fake.network, anchors, open: first.left });
    expect(report.onlyNew).toBe(true);
    expect(codes(report)).toEqual(['network.forked', 'network.rolled-back']);
  });
});

describe('the log of a member that was revoked', () => {
  const revoked = (atMs: number): Network =>
    fake.next({
      revoked: [{ id: 'north', reason: 'it left' }],
      witnessing: { quorum: 'none' },
      issuedAtMs: atMs,
    }).network;
  const served = (cosignedAtMs: number): Served => {
    const entries = encodedLogs(fake, honestLines()).get('north') ?? [];
    return serve(fake, honestLines()).set('north', signedLog(fake, 'north', entries, { cosignedAtMs }));
  };

  it('is audited still, and counts as far as witnesses saw it before', async () => {
    const report = await audited(served(LATE_MS - 1000), { network: revoked(LATE_MS) });
    expect(codes(report)).toEqual(['quorum.none']);
    expect(report.logs.map(({ member, head }) => [member, head?.sound])).toContainEqual(['north', true]);
  });

  it('does not count where they saw it only afterwards', async () => {
    const network = revoked(LATE_MS);
    const report = await audited(served(LATE_MS), { network });
    expect(report.findings).toContainEqual(
      expect.objectContaining({ code: 'signer.revoked', severity: 'error', log: 'north', index: 0 }),
    );
    // An auditor who had seen a part of it before knows that part.
    const before = served(LATE_MS - 1000).get('north')?.checkpoint ?? '';
    const { checkpoint, cosignatures } = openCheckpoint(before, trustOf(network, 'north'));
    const seen = new Map([['north', [{ size: checkpoint.size, cosignatures }]]]);
    expect(codes(await audited(served(LATE_MS), { network, seen }))).toEqual(['quorum.none']);
  });

  it('that is gone accuses nobody', async () => {
    const logs = served(LATE_MS);
    logs.delete('north');
    const report = await audited(logs, { network: revoked(LATE_MS) });
    expect(report.findings).toContainEqual(
      expect.objectContaining({ code: 'log.missing', severity: 'warning', log: 'north' }),
    );
    expect(report.failed).toBe(false);
  });

  it('without witnesses has only its own dates', async () => {
    fake = await makeNetwork({ admins: { adam: 'south' }, nowMs: START_MS });
    const left = (atMs: number): Network => fake.without('north') && fake.next({ issuedAtMs: atMs }).network;
    const report = (network: Network): Promise<AuditReport> =>
      audited(serve(fake, honestLines()), { network });
    fake.next({ revoked: [{ id: 'north', reason: 'it left' }], issuedAtMs: LATE_MS });
    const late = fake.next({ issuedAtMs: LATE_MS }).network;
    expect(codes(await report(late))).toEqual(['quorum.none', 'revocation.unproven']);
    fake = await makeNetwork({ admins: { adam: 'south' }, nowMs: START_MS });
    expect(codes(await report(left(START_MS)))).toEqual(['quorum.none', 'signer.revoked']);
  });
});

describe('a rule that was made stricter', () => {
  it('is not what an older head is held against; the report says so, and for how long', async () => {
    const changed = (version: number, of: string): Line => ({
      atMs: LATE_MS,
      entry: { ...NO_HOP, type: 'network.changed', body: { version, digest: of, rootVersion: 1 } },
    });
    fake = await makeNetwork({
      ...{ stations: ['north', 'south', 'west'], nowMs: START_MS },
      witnessing: { quorum: 3, faulty: 1, witnesses: ['dispatcher', 'north', 'south', 'west'] },
    });
    const of = (member: string): Line[] => [
      ...(honestLines()[member] ?? []),
      changed(1, fake.network.digest),
    ];
    const lines = { north: of('north'), south: of('south'), dispatcher: of('dispatcher') };
    const strict = fake.next({
      witnessing: { quorum: 4, faulty: 1, witnesses: ['dispatcher', 'north', 'south', 'west', 'olga'] },
      admitted: [{ ...listed('west'), id: 'olga', role: 'auditor', keys: keysOf() }],
      issuedAtMs: AFTER_MS - MINUTE_MS,
    }).network;
    const logs: Served = new Map(
      [...encodedLogs(fake, lines)].map(([member, entries]) => {
        const witnesses = ['dispatcher', 'north', 'south', 'west'].filter((id) => id !== member);
        return [member, signedLog(fake, member, entries, { witnesses })];
      }),
    );
    const uncosigned = async (nowMs: number | null): Promise<string[]> => {
      const { findings } = await audited(logs, { network: strict, nowMs });
      return findings.filter(({ code }) => code === 'checkpoint.uncosigned').map(({ severity }) => severity);
    };
    expect(await uncosigned(AFTER_MS)).toEqual(['warning', 'warning', 'warning']);
    expect(await uncosigned(AFTER_MS + 8 * 86_400_000)).toEqual(['error', 'error', 'error']);
    expect(await uncosigned(null)).toEqual(['warning', 'warning', 'warning']);
  });

  function keysOf() {
    return { statement: publicOf(ed25519()), witness: publicOf(ed25519()) };
  }
});
