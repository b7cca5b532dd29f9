import { describe, expect, it } from 'vitest';
import { encodeEnvelope } from '../../src/model/dsse.ts';
import { signStatement } from '../../src/model/statement.ts';
import type { Signer } from '../../src/ports/signer.ts';
import { everywhere, type Scene } from './rig.ts';
import { signedTrain, type Train } from './trains.ts';

const MINTED = [
  [3, 1],
  [1, 3],
  [2, 2],
  [1, 1],
  [2, 1],
  [1000, 1_000_000],
] as const;

/** Whatever the dispatcher repeats, renumbers or mints: at most one release, and the first receipt is quoted. */
export function replays(scene: () => Scene): void {
  describe('replays', () => {
    it('hands out the same receipt and the same sealed bytes for the same order', async () => {
      const { rig, control } = scene();
      await everywhere(async (station) => {
        const { ordered, heard } = control[station] ?? never();
        const runs = await rig.journey.runs(station);
        rig.send(station, ordered);
        const again = await rig.heard(station, ordered, 2);
        expect(again.bytes).toEqual(heard.bytes);
        expect(again.jwe).toEqual(heard.jwe);
        expect(again.end).toBe('released released');
        expect(await rig.journey.runs(station)).toBe(runs);
      });
    });

    it('refuses a new attempt after the release, and quotes its receipt', async () => {
      const { rig, hello, control } = scene();
      await everywhere(async (station) => {
        const runs = await rig.journey.runs(station);
        const ordered = rig.order(station, hello, { attempt: 2, epoch: 2 });
        rig.send(station, ordered);
        const { end, receipt, jwe } = await rig.heard(station, ordered);
        expect(end).toBe('refused replayed');
        expect(receipt.quotes).toBe(control[station]?.heard.receiptDigest);
        expect(jwe).not.toEqual(control[station]?.heard.jwe);
        expect(await rig.journey.runs(station)).toBe(runs);
      });
    });

    it('releases once for attempts and epochs that are minted and reordered, all at once', async () => {
      const { rig, hello, lee } = scene();
      const train = signedTrain(hello, lee);
      await everywhere(async (station) => {
        const minted = MINTED.map(([attempt, epoch]) => rig.order(station, train, { attempt, epoch }));
        const [first, ...later] = minted;
        if (first === undefined) return never();
        const runs = await rig.journey.runs(station);
        rig.send(station, ...minted, ...minted.toReversed());
        if (station === 'east') {
          await rig.waiting(station, first);
          await rig.approve(station, first);
        }
        expect((await rig.heard(station, first)).end).toBe('released released');
        for (const ordered of later) expect((await rig.heard(station, ordered)).end).toBe('refused replayed');
        expect(await rig.journey.runs(station)).toBe(runs + 1);
      });
    });
  });

  describe('cancellations', () => {
    it('ignores what the dispatcher forges, and heeds the researcher', async () => {
      const { rig, hello, lee } = scene();
      const train = signedTrain(hello, lee);
      const station = 'east';
      const ordered = rig.order(station, train);
      rig.send(station, ordered);
      await rig.waiting(station, ordered);
      const dispatcher = await rig.signer('dispatcher');
      const other = signedTrain(hello, lee);
      const lies = [
        cancellation(train, dispatcher),
        cancellation(train, dispatcher, { issuer: 'dispatcher' }),
        cancellation(train, await rig.signer('east-admin'), { issuer: 'east-admin' }),
        cancellation(train, lee, { networkId: 'ab'.repeat(32) }),
        cancellation(other, lee),
        train.manifest,
        new Uint8Array(),
        Buffer.alloc(1024 * 1024 + 1, '['),
      ];
      rig.liar.offer(station, { cancellations: lies });
      // Asked in order: once this one is answered, the cancellations have been looked at.
      const marker = rig.order(station, hello, { attempt: 9, epoch: 9 });
      rig.send(station, marker);
      await rig.heard(station, marker);
      const stateOf = (): unknown =>
        rig.rows(station, 'SELECT state FROM hops WHERE hop_id = ?', ordered.hopId);
      expect(stateOf()).toEqual([{ state: 'awaiting-clearance' }]);
      rig.liar.offer(station, { cancellations: [cancellation(train, lee)] });
      expect((await rig.heard(station, ordered)).end).toBe('cancelled cancelled');
    });
  });
}

export function cancellation({ digest, predicate }: Train, signer: Signer, changes: object = {}): Uint8Array {
  const { networkId, networkVersion, issuer } = predicate;
  const content = {
    networkId,
    networkVersion,
    issuer,
    reason: 'not now',
    issuedAtMs: Date.now(),
    ...changes,
  };
  const subject = { name: 'manifest', digest };
  return encodeEnvelope(signStatement('cancellation', subject, content, signer).envelope);
}

function never(): never {
  throw new Error('the control was not released');
}
