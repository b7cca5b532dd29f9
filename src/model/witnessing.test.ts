import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { makeLog } from '../../test/fakes/dispatcher-log.ts';
import { type FakeNetwork, makeNetwork } from '../../test/fakes/network.ts';
import { parseVkey } from './ledger/vkey.ts';
import type { Witnessing } from './network.ts';
import { defaultWitnessing, formatTlogPolicy, isWitnessed, witnessPolicy } from './witnessing.ts';

const NOTHING = { trainId: null, hopId: null, attempt: null, epoch: null, manifestDigest: null, prev: null };
const ENTRY = { v: 1, ts: 1, type: 'log.started', ...NOTHING, actor: 'north', body: {} } as const;
const STATIONS = ['north', 'south', 'east', 'west'];
const ALL = ['dispatcher', ...STATIONS];
const of = (witnessing: Witnessing): Promise<FakeNetwork> =>
  makeNetwork({ stations: STATIONS, auditors: ['odo'], witnessing });

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
    expect(isWitnessed(made.network, 'north', head)).toBe(false);
    const north = made.network.members.get('north');
    const south = made.network.members.get('south');
    if (north === undefined || south === undefined) throw new Error('no such members');
    const keys = { ...north.keys, log: south.keys.log };
    const members = new Map(made.network.members).set('north', { ...north, keys });
    expect(isWitnessed({ ...made.network, members }, 'north', head)).toBe(false);
  });

  it('is told to other verifiers as C2SP tlog-policy', async () => {
    const { network } = await of({ quorum: 3, faulty: 1, witnesses: ALL });
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
    expect(
      formatTlogPolicy((await of({ quorum: 'none' })).network)
        .trimEnd()
        .endsWith('\nquorum none'),
    ).toBe(true);
  });
});
