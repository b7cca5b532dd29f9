import { describe, expect, it } from 'vitest';
import type { ReportRequest } from '../../src/gen/pht/v1/tracks_pb.ts';
import { type ErrorCode, PhtError } from '../../src/model/error.ts';
import { until } from '../journey/processes.ts';
import { gone } from './lying-dispatcher.ts';
import { everywhere, type Scene } from './rig.ts';
import { type Ordered, signedTrain } from './trains.ts';

const PULL_ORDERS_MAX = 16;
const WAKES = 5_000;
const MIB = 1024 * 1024;

/** Too much, too often, or nothing at all: the station goes on. */
export function floods(scene: () => Scene): void {
  /** A new train whose order has expired: the shortest way from an order to a receipt. */
  const expired = (station: string): Ordered => {
    const { rig, hello, lee } = scene();
    return rig.order(station, signedTrain(hello, lee), { expiresMs: Date.now() - 1 });
  };
  const answers = async (station: string): Promise<void> => {
    const ordered = expired(station);
    scene().rig.send(station, ordered);
    expect((await scene().rig.heard(station, ordered)).end).toBe('expired order.expired');
  };
  const rejects = (station: string): number =>
    scene()
      .rig.entries(station)
      .filter(({ type }) => type === 'rejects.counted').length;

  describe('floods', () => {
    it('takes on no more of 10,000 orders than it asked for', async () => {
      const { rig } = scene();
      const nonsense = Array.from({ length: 10_000 }, (_, at) => ({ order: Buffer.from(`order ${at}`) }));
      await everywhere(async (station) => {
        const before = rejects(station);
        rig.liar.offer(station, { orders: nonsense });
        await until(`${station} looks at them`, async () => rejects(station) >= before + PULL_ORDERS_MAX);
        await answers(station);
        expect(rejects(station)).toBe(before + PULL_ORDERS_MAX);
      });
    });

    const heavy: [string, (ordered: Ordered) => { order: Uint8Array; manifest: Uint8Array }[]][] = [
      ['10,000 good orders', (ordered) => Array<Ordered>(10_000).fill(ordered)],
      ['an order of 5 MiB', (ordered) => [{ ...ordered, order: Buffer.alloc(5 * MIB, ' ') }]],
      ['a manifest of 5 MiB', (ordered) => [{ ...ordered, manifest: Buffer.alloc(5 * MIB, ' ') }]],
    ];
    it.each(heavy)('takes no message beyond its size: %s', async (_name, make) => {
      const { rig } = scene();
      await everywhere(async (station) => {
        const ordered = rig.order(station, scene().hello, { attempt: 77, epoch: 77 });
        const pulls = rig.liar.pulls(station);
        rig.liar.offer(station, { orders: make(ordered) });
        await until(`${station} pulls again`, async () => rig.liar.pulls(station) > pulls + 1);
        await answers(station);
        expect(rig.rows(station, 'SELECT hop_id FROM hops WHERE hop_id = ?', ordered.hopId)).toEqual([]);
      });
    });

    it('answers in the middle of a storm of wake-ups', async () => {
      const { rig } = scene();
      await everywhere(async (station) => {
        const before = rig.entries(station).length;
        rig.liar.wake(station, WAKES);
        await answers(station);
        expect(rig.entries(station).length - before).toBeLessThan(10);
      });
    });

    it('minds no claim about its mirror', async () => {
      const { rig } = scene();
      const claims = [() => 2n ** 64n - 1n, () => 0n, (size: bigint) => size - 1n];
      for (const mirrored of claims) {
        await everywhere(async (station) => {
          rig.liar.script(station, { mirrored });
          await answers(station);
        });
      }
      await everywhere(async (station) => rig.liar.script(station, { mirrored: (size) => size }));
    });
  });

  describe('reports', () => {
    const outbox = (station: string, { hopId }: Ordered): number =>
      scene().rig.rows(station, 'SELECT key FROM outbox WHERE hop_id = ?', hopId).length;
    const state = (station: string, { hopId }: Ordered): unknown =>
      scene().rig.rows(station, 'SELECT state FROM hops WHERE hop_id = ?', hopId)[0]?.['state'];
    const receipts = (station: string, { hopId }: Ordered): ReportRequest[] =>
      scene()
        .rig.liar.reports(station)
        .filter((report) => report.hopId === hopId && report.body.case === 'receipt');
    const keys = (station: string, ordered: Ordered): string[] =>
      receipts(station, ordered).map(({ idempotencyKey }) => idempotencyKey);

    it('keeps what nobody acknowledges, and delivers it once', async () => {
      const { rig } = scene();
      const sent = new Map<string, Ordered>();
      await everywhere(async (station) => {
        const acknowledgesNothing = (request: ReportRequest, signal: AbortSignal): Promise<void> =>
          request.body.case === 'receipt' ? gone(signal) : Promise.resolve();
        rig.liar.script(station, { report: acknowledgesNothing });
        const ordered = expired(station);
        sent.set(station, ordered);
        rig.send(station, ordered);
        await rig.heard(station, ordered);
        expect(state(station, ordered)).toBe('sealed');
        expect(outbox(station, ordered)).toBe(1);
        rig.liar.script(station, { report: async () => undefined });
      });
      await rig.liar.restart();
      await everywhere(async (station) => {
        const ordered = sent.get(station) ?? expired(station);
        await rig.heard(station, ordered, 2);
        await until(`${station} knows`, async () => outbox(station, ordered) === 0);
        expect(state(station, ordered)).toBe('delivered');
        expect(new Set(keys(station, ordered)).size).toBe(1);
        await answers(station);
        expect(receipts(station, ordered)).toHaveLength(2);
      });
    });

    it.each<ErrorCode>(['internal', 'unreachable', 'network.mismatch', 'forbidden'])(
      'sends the same again after the answer %s',
      async (code) => {
        const { rig } = scene();
        await everywhere(async (station) => {
          let failures = 2;
          const report = async ({ body }: ReportRequest): Promise<void> => {
            if (body.case === 'receipt' && failures-- > 0) throw new PhtError(code, 'no');
          };
          rig.liar.script(station, { report });
          const ordered = expired(station);
          rig.send(station, ordered);
          await rig.heard(station, ordered, 3);
          await until(`${station} knows`, async () => outbox(station, ordered) === 0);
          await answers(station);
          expect(receipts(station, ordered)).toHaveLength(3);
          expect(new Set(keys(station, ordered)).size).toBe(1);
          rig.liar.script(station, { report: async () => undefined });
        });
      },
    );

    it('is not held up by a receipt that is refused for good, and still has it when asked', async () => {
      const { rig } = scene();
      await everywhere(async (station) => {
        const refused = expired(station);
        const report = async ({ hopId, body }: ReportRequest): Promise<void> => {
          if (body.case === 'receipt' && hopId === refused.hopId) throw new PhtError('receipt.invalid', 'no');
        };
        rig.liar.script(station, { report });
        rig.send(station, refused);
        await rig.heard(station, refused);
        await answers(station);
        rig.liar.script(station, { report: async () => undefined });
        rig.send(station, refused);
        await rig.heard(station, refused, 2);
      });
    });
  });
}
