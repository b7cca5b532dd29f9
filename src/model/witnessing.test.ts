import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeLog } from '../../test/fakes/dispatcher-log.ts';
import {
  ed25519,
  type FakeNetwork,
  makeNetwork,
  memberIn,
  publicOf,
  signerOf,
} from '../../test/fakes/network.ts';
import { cosignCheckpoint, openCheckpoint, signCheckpoint } from './ledger/checkpoint.ts';
import { leafHash } from './ledger/merkle.ts';
import { addSignatures, formatNote, parseNote } from './ledger/note.ts';
import { ledgerOrigin, logKey, witnessKey } from './ledger/origin.ts';
import { parseVkey } from './ledger/vkey.ts';
import type { Network, Witnessing } from './network.ts';
import { trustIn } from './proven.ts';
import {
  countedBy,
  defaultWitnessing,
  formatTlogPolicy,
  isWitnessed,
  provenAtMs,
  quorumRule,
  witnessPolicy,
} from './witnessing.ts';

const NOTHING = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
const ENTRY = { v: 1, ts: 1, type: 'log.started', ...NOTHING, actor: 'north', body: {} } as const;
const STATIONS = ['north', 'south', 'east', 'west'];
const ALL = ['dispatcher', ...STATIONS];
const of = (witnessing: Witnessing): Promise<FakeNetwork> =>
  makeNetwork({ stations: STATIONS, auditors: ['odo'], witnessing });

const TIME_S = 1_800_000_000;

/** A head of north's log by this key. */
function headBy(made: FakeNetwork, jwk: ReturnType<typeof ed25519>): Uint8Array {
  const origin = ledgerOrigin(made.network.id, 'north');
  const { sign, publicJwk } = signerOf(jwk);
  const head = { origin, size: 1, root: leafHash(Buffer.from('x')), extensions: [] };
  return Buffer.from(signCheckpoint(head, { key: logKey(origin, publicJwk), sign }));
}

function cosigned(made: FakeNetwork, head: Uint8Array, witnesses: readonly string[]): Uint8Array {
  const note = parseNote(head);
  const lines = witnesses.map((id) => {
    const { sign, publicJwk } = signerOf(memberIn(made, id).keys.witness);
    return cosignCheckpoint(note.text, { key: witnessKey(made.network.id, id, publicJwk), sign }, TIME_S);
  });
  return Buffer.from(formatNote(addSignatures(note, lines)));
}

describe('the quorum of a network', () => {
  it('is by default the smallest that holds with one liar, and none for fewer than three', async () => {
    for (const [stations, expected] of [
      [['a'], 'none'],
      [['a', 'b'], 2],
      [['a', 'b', 'c'], 3],
      [['a', 'b', 'c', 'd'], 3],
      [['a', 'b', 'c', 'd', 'e'], 4],
    ] as const) {
      const { network } = await makeNetwork({ stations });
      const witnessing = defaultWitnessing([...network.members.values()]);
      expect(witnessing.quorum).toBe(expected);
      // What is the default is also valid.
      await makeNetwork({ stations, witnessing });
    }
  });

  it('leaves out the operator of the ledger itself', async () => {
    const { network } = await of({ quorum: 3, faulty: 1, witnesses: ALL });
    for (const operator of ALL) {
      const policy = witnessPolicy(network, operator);
      expect(policy?.quorum).toBe(3);
      expect(policy?.witnesses.map(({ member }) => member)).toEqual(ALL.filter((id) => id !== operator));
    }
    expect(witnessPolicy((await of({ quorum: 'none' })).network, 'north')).toBeNull();
  });

  it.each<[string, Witnessing]>([
    ['too few to share an honest witness', { quorum: 2, faulty: 1, witnesses: ALL }],
    ['more liars than it bears', { quorum: 3, faulty: 2, witnesses: ALL }],
    ['more than there are without the operator', { quorum: 5, faulty: 1, witnesses: ALL }],
    ['one named twice', { quorum: 3, faulty: 1, witnesses: [...STATIONS, 'north'] }],
    ['a stranger', { quorum: 3, faulty: 1, witnesses: [...STATIONS, 'nobody'] }],
    // With five ledgers beside three witnesses, n is 3 for some of them.
    ['too few for a ledger of an outsider', { quorum: 2, faulty: 1, witnesses: ['north', 'south', 'odo'] }],
  ])('is refused with %s', async (_name, witnessing) => {
    await expect(of(witnessing)).rejects.toMatchObject({ code: 'network.invalid' });
  });

  it('may be held by auditors', async () => {
    await of({ quorum: 3, faulty: 1, witnesses: ['dispatcher', 'north', 'south', 'odo'] });
  });

  it('never lets two quorums meet in liars alone', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.subarray([...ALL, 'odo'], { minLength: 3 }),
        fc.integer({ min: 2, max: 6 }),
        fc.integer({ min: 1, max: 5 }),
        async (witnesses, quorum, faulty) => {
          const made = await of({ quorum, faulty, witnesses }).catch(() => null);
          if (made === null) return;
          for (const operator of ALL) {
            const n = witnessPolicy(made.network, operator)?.witnesses.length ?? 0;
            expect(quorum).toBeLessThanOrEqual(n);
            // Two quorums of k among n share at least 2k - n.
            expect(2 * quorum - n).toBeGreaterThan(faulty);
          }
        },
      ),
      { numRuns: 40 },
    );
  });

  it('is not met by a head that was signed with a log key that the network does not name any more', async () => {
    const made = await of({ quorum: 3, faulty: 1, witnesses: ALL });
    const text = Buffer.from(makeLog(made, 'north').prove(ENTRY)).toString().split('\n\n');
    const head = Buffer.from(text.slice(1).join('\n\n'));
    const seen = cosigned(made, head, ['south', 'east', 'west']);
    expect(isWitnessed(made.network, 'north', head)).toBe(false);
    expect(isWitnessed(made.network, 'north', seen)).toBe(true);
    const north = made.network.members.get('north');
    if (north === undefined) throw new Error('no north');
    const renewed = { member: { ...north, keys: { ...north.keys, log: publicOf(ed25519()) } } };
    // Retired it is as good as before, and in other hands it is not.
    const retired = made.next({ renewed: [renewed] }).network;
    expect(isWitnessed(retired, 'north', seen)).toBe(true);
    const again = { ...renewed.member, keys: { ...renewed.member.keys, log: publicOf(ed25519()) } };
    const stolen = made.next({ renewed: [{ member: again, invalidAfterMs: 1 }] }).network;
    const other = cosigned(made, headBy(made, ed25519()), ['south', 'east', 'west']);
    expect([isWitnessed(stolen, 'north', seen), isWitnessed(stolen, 'north', other)]).toEqual([true, false]);
  });

  it('counts a witness that was revoked for what is older, and two keys of one witness once', async () => {
    const made = await of({ quorum: 3, faulty: 1, witnesses: ALL });
    const head = headBy(made, memberIn(made, 'north').keys.log);
    const seen = cosigned(made, head, ['south', 'east', 'west']);
    const rest = { quorum: 3, faulty: 1, witnesses: ['dispatcher', 'north', 'south', 'east'] } as const;
    const without = (issuedAtMs: number): Network => {
      const revoked = [{ id: 'west', reason: 'x' }];
      return made.next({ revoked, witnessing: { ...rest, witnesses: [...rest.witnesses] }, issuedAtMs })
        .network;
    };
    const after = without(TIME_S * 1000 + 1);
    const opened = openCheckpoint(seen, trustIn(made.network, 'north', 'station'));
    const rule = quorumRule(after, 'north', 1);
    expect(rule && countedBy(rule, opened.cosignatures).map(({ member }) => member)).toEqual([
      'south',
      'east',
      'west',
    ]);
    expect(provenAtMs(rule, opened)).toBe(TIME_S * 1000);
    // Two of them are more than may lie, and no quorum.
    const few = openCheckpoint(
      cosigned(made, head, ['south', 'east']),
      trustIn(made.network, 'north', 'station'),
    );
    expect([few.cosignatures.length, provenAtMs(rule, few)]).toEqual([2, null]);
    expect(quorumRule(after, 'north')?.witnesses.map(({ member }) => member)).toEqual([
      'dispatcher',
      'south',
      'east',
    ]);
    expect(isWitnessed(after, 'north', seen)).toBe(false);
  });

  it('is told to other verifiers as C2SP tlog-policy', async () => {
    const made = await of({ quorum: 3, faulty: 1, witnesses: ALL });
    const { network } = made;
    const lines = formatTlogPolicy(network).trimEnd().split('\n');
    const logs = lines.filter((line) => line.startsWith('log '));
    expect(logs).toHaveLength(5);
    const witnesses = lines.filter((line) => line.startsWith('witness ')).map((line) => line.split(' '));
    expect(witnesses.map(([, name]) => name)).toEqual(ALL);
    for (const [, , vkey = ''] of witnesses) expect(parseVkey(vkey).type).toBe(4);
    expect(lines.slice(-2)).toEqual([
      `group quorum-of-witnesses 3 ${ALL.join(' ')}`,
      'quorum quorum-of-witnesses',
    ]);
    const north = network.members.get('north');
    if (north === undefined) throw new Error('no north');
    const keys = { ...north.keys, log: publicOf(ed25519()) };
    const rotated = made.next({ renewed: [{ member: { ...north, keys } }] }).network;
    const ofNorth = formatTlogPolicy(rotated)
      .split('\n')
      .filter((line) => line.includes('/north+') && line.startsWith('log '));
    expect(new Set(ofNorth.map((line) => parseVkey(line.slice('log '.length)).keyId)).size).toBe(2);
    expect(
      formatTlogPolicy((await of({ quorum: 'none' })).network)
        .trimEnd()
        .endsWith('\nquorum none'),
    ).toBe(true);
  });
});
