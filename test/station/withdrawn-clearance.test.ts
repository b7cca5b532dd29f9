import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createVisits, type Visits } from '../../src/journey/station/visits.ts';
import { withdraw } from '../../src/journey/station/withdraw.ts';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import { verifyExplanation } from '../../src/model/receipt.ts';
import { signStatement } from '../../src/model/statement.ts';
import {
  approved,
  clearanceOf,
  decideOn,
  digestIn,
  endOf,
  lastCounted,
  standingOf,
  stateOf,
  tookHop,
  typesOf,
  waitingHop,
  withdrawalOf,
  withdrawWith,
} from '../fakes/approvals.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import {
  ASK,
  cosignedBy,
  makeStation,
  openSealed,
  type Process,
  type Rig,
  receiptsOf,
} from '../fakes/station.ts';

/** What was taken back lets nothing go, wherever the train stands. */

const NOW = Date.UTC(2026, 5, 1, 12);

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

const admins = { nora: 'north', nils: 'north', sven: 'south' };

async function open(witnessed = false): Promise<void> {
  rig?.close();
  const witnessing = { quorum: 2, faulty: 1, witnesses: ['dispatcher', 'north', 'south'] };
  fake = await makeNetwork({ admins, nowMs: NOW, ...(witnessed ? { witnessing } : {}) });
  rig = makeStation(fake, NOW);
  rig.policy(ASK);
  station = rig.start();
}
beforeEach(() => open());
afterEach(() => rig.close());

async function receiptOf(hopId: string): Promise<string> {
  await station.post();
  return receiptsOf(rig, hopId)
    .map(({ outcome, code }) => `${outcome} ${code}`)
    .join();
}

test('a running train ends at once, with the reason for its researcher', async () => {
  const hopId = await waitingHop(rig, station);
  const digest = await approved(rig, station, hopId);
  const answer: unknown[] = [];
  rig.executor.outcome = async (_spec, signal) => {
    answer.push(await withdrawWith(station, withdrawalOf(rig, digest, 'nils')));
    expect(signal.aborted).toBe(true);
    return { ended: 'aborted', wallMs: 1, detail: '' };
  };
  expect(await station.visit(hopId)).toMatchObject({ is: 'sealed' });
  expect(answer).toEqual([{ hops: 1 }]);
  expect(await receiptOf(hopId)).toBe('refused clearance.withdrawn');
  expect(typesOf(station)).not.toContain('result.released');
  const [receipt] = receiptsOf(rig, hopId);
  const sealed = await openSealed(rig, receipt?.jwe ?? new Uint8Array());
  expect(verifyExplanation(sealed, fake.network, 'north').predicate).toMatchObject({
    code: 'clearance.withdrawn',
    text: expect.stringContaining('took'),
  });
});

test('the entry names neither who nor what, and opens to both', async () => {
  const hopId = await waitingHop(rig, station);
  const digest = await approved(rig, station, hopId);
  const statement = withdrawalOf(rig, digest, 'nils');
  await withdrawWith(station, statement);
  const entry = station.entries().at(-1);
  expect(entry).toMatchObject({ type: 'clearance.withdrawn', trainId: null, hopId: null });
  const opened = (name: string) => station.store.archive.opening(String(entry?.body[name]))?.value;
  expect(['byCommitment', 'withdrawalCommitment', 'withdrawnCommitment'].map(opened)).toEqual([
    'nils',
    digestIn(statement),
    digest,
  ]);
  expect(JSON.stringify(entry)).not.toMatch(new RegExp(`nora|nils|${digest}`));
});

test('a train that waits for another decision goes on waiting', async () => {
  const hopId = await waitingHop(rig, station);
  const clearance = await clearanceOf(rig, station, hopId);
  await decideOn(station, hopId, clearance);
  expect(await withdrawWith(station, withdrawalOf(rig, digestIn(clearance)))).toEqual({ hops: 0 });
  expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  await expect(decideOn(station, hopId, clearance)).rejects.toMatchObject({ code: 'clearance.withdrawn' });
  expect(lastCounted(station)).toBe('clearance clearance.withdrawn');
  await approved(rig, station, hopId, { by: 'nils' });
  expect(await endOf(rig, station, hopId)).toBe('released released');
});

test('a train that was cleared and could not go on yet ends, also after a crash in between', async () => {
  const hopId = await waitingHop(rig, station);
  const digest = await approved(rig, station, hopId);
  rig.lease = async () => {
    throw new PhtError('engine.unreachable', 'the engine is gone');
  };
  expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
  expect(stateOf(station, hopId)).toBe('cleared');
  const bytes = withdrawalOf(rig, digest);
  // The word is on disk, and the process ends before it stopped anything.
  station.store.clearances.withdraw(digest, bytes, () => [], NOW);
  station = rig.start();
  expect(await endOf(rig, station, hopId)).toBe('refused clearance.withdrawn');
  expect(rig.executor.runs).toEqual([]);
});

test('a result that is ready when the word comes is not released', async () => {
  const hopId = await waitingHop(rig, station);
  const digest = await approved(rig, station, hopId);
  const { seal } = rig.sealer;
  let sealed = 0;
  rig.sealer = {
    seal: (...parameters) => {
      // The last moment before the transaction, behind every other look.
      if (sealed++ === 0) station.store.clearances.withdraw(digest, withdrawalOf(rig, digest), () => [], NOW);
      return seal(...parameters);
    },
  };
  station = rig.start();
  expect(await endOf(rig, station, hopId)).toBe('refused clearance.withdrawn');
  expect(typesOf(station)).not.toContain('result.released');
});

test('what has been released stays so, and is not said to have been stopped', async () => {
  const hopId = await waitingHop(rig, station);
  const digest = await approved(rig, station, hopId);
  await station.visit(hopId);
  expect(stateOf(station, hopId)).toBe('sealed');
  expect(await withdrawWith(station, withdrawalOf(rig, digest))).toEqual({ hops: 0 });
  expect(await endOf(rig, station, hopId)).toBe('released released');
});

test('what waits for witnesses is withdrawn, too', async () => {
  await open(true);
  const hopId = await waitingHop(rig, station);
  const digest = await approved(rig, station, hopId);
  expect(await station.visit(hopId)).toMatchObject({ is: 'later' });
  expect(stateOf(station, hopId)).toBe('awaiting-witness');
  expect(await withdrawWith(station, withdrawalOf(rig, digest))).toEqual({ hops: 1 });
  rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
  await station.visit(hopId);
  expect(await receiptOf(hopId)).toBe('refused clearance.withdrawn');
  expect(typesOf(station)).toContain('release.withdrawn');
});

test('what witnesses cosign while the word comes is not released', async () => {
  await open(true);
  const hopId = await waitingHop(rig, station);
  const digest = await approved(rig, station, hopId);
  await station.visit(hopId);
  const cosign = cosignedBy(() => rig, 'dispatcher', 'south');
  rig.cosign = async (ledger, signal) => {
    station.store.clearances.withdraw(digest, withdrawalOf(rig, digest), () => [], NOW);
    await cosign(ledger, signal);
  };
  expect(await endOf(rig, station, hopId)).toBe('refused clearance.withdrawn');
});

test('of a standing clearance: every train that it cleared and that is here still', async () => {
  const first = await waitingHop(rig, station);
  const standing = await standingOf(rig, station, first, { runs: 5 });
  await decideOn(station, first, standing);
  const answers = rig.executor.outcome;
  expect(await endOf(rig, station, first)).toBe('released released');
  rig.lease = async () => {
    throw new PhtError('engine.unreachable', 'the engine is gone');
  };
  const cleared = await Promise.all(
    ['a', 'b'].map((digit) => tookHop(rig, station, { nonce: digit.repeat(32) })),
  );
  expect(cleared.map((hopId) => stateOf(station, hopId))).toEqual(['cleared', 'cleared']);
  expect(await withdrawWith(station, withdrawalOf(rig, digestIn(standing)))).toEqual({ hops: 2 });
  rig.executor.outcome = answers;
  for (const hopId of cleared) expect(await endOf(rig, station, hopId)).toBe('refused clearance.withdrawn');
  expect(await receiptOf(first)).toBe('released released');
});

describe('by the visits of a living station', () => {
  let visits: Visits;
  beforeEach(() => {
    const { hops, outbox } = station.store;
    visits = createVisits(station.station, { hops, outbox, steps: station.steps, runsAtOnceMax: 1 });
    visits.open();
  });
  afterEach(() => visits.stop());

  const word = (digest: string) =>
    withdraw(withdrawalOf(rig, digest, 'nils'), station.station, { ...station.store, stop: visits.cancel });

  test('a container that runs is stopped', async () => {
    const hopId = await waitingHop(rig, station);
    const digest = await approved(rig, station, hopId);
    const running = new Promise<void>((started) => {
      rig.executor.outcome = (_spec, signal) => {
        started();
        return new Promise((resolve) => {
          const ended = { ended: 'aborted', wallMs: 1, detail: '' } as const;
          signal.addEventListener('abort', () => resolve(ended), { once: true });
        });
      };
    });
    visits.start(hopId);
    await running;
    expect(stateOf(station, hopId)).toBe('running');
    expect(word(digest)).toEqual({ hops: 1 });
    await expect.poll(() => stateOf(station, hopId)).toBe('sealed');
    expect(await receiptOf(hopId)).toBe('refused clearance.withdrawn');
  });

  test('a train that waits for the engine is, too', async () => {
    const hopId = await waitingHop(rig, station);
    const digest = await approved(rig, station, hopId);
    rig.lease = async () => {
      throw new PhtError('engine.unreachable', 'the engine is gone');
    };
    visits.start(hopId);
    await expect.poll(() => visits.waitsFor(hopId)).not.toBe('');
    expect(word(digest)).toEqual({ hops: 1 });
    await expect.poll(() => stateOf(station, hopId)).toBe('sealed');
    expect(await receiptOf(hopId)).toBe('refused clearance.withdrawn');
  });
});

test('twice is once', async () => {
  const hopId = await waitingHop(rig, station);
  const digest = await approved(rig, station, hopId);
  await withdrawWith(station, withdrawalOf(rig, digest));
  await withdrawWith(station, withdrawalOf(rig, digest, 'nils'));
  expect(typesOf(station).filter((type) => type === 'clearance.withdrawn')).toHaveLength(1);
});

describe('a word that is none', () => {
  const forged = (digest: string, changes: object, by = 'nora'): Uint8Array => {
    const { network } = rig.settings;
    const predicate = {
      ...{ networkId: network.id, networkVersion: network.version, issuer: by, station: 'north' },
      ...{ clearanceDigest: digest, reason: 'so', issuedAtMs: NOW, ...changes },
    };
    const subject = { name: 'network', digest: network.id };
    const { envelope } = signStatement('withdrawal', subject, predicate, memberIn(fake, by).signer);
    return encodeEnvelope(envelope);
  };
  const cases: [string, string, (digest: string) => Uint8Array][] = [
    ["another station's admin", 'signer.unknown', (digest) => forged(digest, {}, 'sven')],
    ['the researcher', 'signer.unknown', (digest) => forged(digest, {}, 'rosa')],
    ['the station itself', 'signer.unknown', (digest) => forged(digest, {}, 'north')],
    ['for another station', 'forbidden', (digest) => forged(digest, { station: 'south' })],
    ['of yesterday', 'conflict', (digest) => forged(digest, { issuedAtMs: NOW - 86_400_000 })],
    ['another network', 'network.mismatch', (digest) => forged(digest, { networkId: 'f'.repeat(64) })],
    ['an unknown member', 'statement.malformed', (digest) => forged(digest, { also: 1 })],
    ['of nothing that is here', 'not-found', () => forged('f'.repeat(64), {})],
    ['a clearance', 'statement.type', () => new Uint8Array()],
  ];
  test.each(cases)('%s: %s', async (_name, code, make) => {
    const hopId = await waitingHop(rig, station);
    const clearance = await clearanceOf(rig, station, hopId);
    await decideOn(station, hopId, clearance);
    const bytes = code === 'statement.type' ? clearance : make(digestIn(clearance));
    await expect(withdrawWith(station, bytes)).rejects.toMatchObject({ code });
    expect(lastCounted(station)).toBe(`withdrawal ${code}`);
    expect(typesOf(station)).not.toContain('clearance.withdrawn');
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });

  test('under a clock that went back', async () => {
    const hopId = await waitingHop(rig, station);
    const digest = await approved(rig, station, hopId);
    station.store.log.saw(NOW + 3_600_000);
    await expect(withdrawWith(station, withdrawalOf(rig, digest))).rejects.toMatchObject({
      code: 'clock.untrusted',
    });
    expect(typesOf(station)).not.toContain('clearance.withdrawn');
  });

  test('of an admin who has left', async () => {
    const hopId = await waitingHop(rig, station);
    const digest = await approved(rig, station, hopId);
    const bytes = withdrawalOf(rig, digest, 'nils');
    rig.settings.network = fake.without('nils').network;
    await expect(withdrawWith(station, bytes)).rejects.toMatchObject({ code: 'signer.revoked' });
    expect(lastCounted(station)).toBe('withdrawal signer.revoked');
  });
});

describe('an admin who has left', () => {
  test('approves nothing, with whatever was signed before', async () => {
    const hopId = await waitingHop(rig, station);
    const clearance = await clearanceOf(rig, station, hopId);
    rig.settings.network = fake.without('nora').network;
    await expect(decideOn(station, hopId, clearance)).rejects.toMatchObject({ code: 'signer.revoked' });
    expect(lastCounted(station)).toBe('clearance signer.revoked');
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
  });

  test('between approval and run: another person is asked', async () => {
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    rig.settings.network = fake.without('nora').network;
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    await approved(rig, station, hopId, { by: 'nils' });
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });

  test('during the run: nothing is released before another person has approved', async () => {
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    const answers = rig.executor.outcome;
    rig.executor.outcome = (spec, signal) => {
      rig.settings.network = fake.without('nora').network;
      return answers(spec, signal);
    };
    expect(await station.visit(hopId)).toMatchObject({ is: 'later', error: { code: 'clearance.invalid' } });
    rig.executor.outcome = answers;
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    expect(typesOf(station)).not.toContain('result.released');
    await approved(rig, station, hopId, { by: 'nils' });
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });

  test('while it waits for witnesses: it is taken back and asked about again', async () => {
    await open(true);
    const hopId = await waitingHop(rig, station);
    await approved(rig, station, hopId);
    await station.visit(hopId);
    expect(stateOf(station, hopId)).toBe('awaiting-witness');
    rig.settings.network = fake.without('nora').network;
    rig.cosign = cosignedBy(() => rig, 'dispatcher', 'south');
    expect(await station.visit(hopId)).toMatchObject({ is: 'later', error: { code: 'clearance.invalid' } });
    expect(typesOf(station)).toContain('release.withdrawn');
    expect(await station.visit(hopId)).toEqual({ is: 'waiting' });
    await approved(rig, station, hopId, { by: 'nils' });
    expect(await endOf(rig, station, hopId)).toBe('released released');
  });
});
