import { expect, test } from 'vitest';
import type { TrackService } from '../../gen/pht/v1/tracks_pb.ts';
import { PhtError } from '../../model/error.ts';
import type { HopId } from '../../model/id.ts';
import type { Message } from '../../ports/station-store.ts';
import type { Client } from '../../ports/wire.ts';
import { type DeliverPorts, deliver } from './deliver.ts';
import type { Station } from './stages.ts';

test('a receipt whose proof the dispatcher does not take yet holds nothing else up, and is kept', async () => {
  const message = (key: string, releases: boolean): Message => ({
    ...{ key, hopId: `hop_${key}` as HopId, epoch: 1, ledgerSize: 1, kind: 'receipt', releases },
    ...{ receipt: new Uint8Array(), jwe: null },
  });
  let waiting = [message('released', true), message('refused', false)];
  const sent: string[] = [];
  let raised = true;
  const track = {
    report: async ({ idempotencyKey }: { idempotencyKey: string }) => {
      // Its network file asks for more witnesses already than the station's does.
      if (raised && idempotencyKey === 'released') throw new PhtError('proof.invalid', 'only 2 of 3');
      sent.push(idempotencyKey);
    },
  } as unknown as Client<typeof TrackService>;
  const ports = {
    outbox: {
      waiting: () => waiting,
      done: (key: string) => {
        waiting = waiting.filter((each) => each.key !== key);
      },
    },
    ledger: {
      covered: async () => undefined,
      published: () => null,
      tree: { prove: async () => new Uint8Array() },
    },
    witnessing: { covered: async () => undefined },
  } as unknown as DeliverPorts;
  const station = { clock: { nowMs: () => 1 }, note: () => undefined } as unknown as Station;
  const signal = new AbortController().signal;

  await expect(deliver(track, station, ports, signal)).rejects.toMatchObject({ code: 'proof.invalid' });
  expect(sent).toEqual(['refused']);
  raised = false;
  await deliver(track, station, ports, signal);
  expect(sent).toEqual(['refused', 'released']);
  expect(waiting).toEqual([]);
});
