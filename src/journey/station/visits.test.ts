import { expect, test, vi } from 'vitest';
import type { HopRecord, HopStore } from '../../ports/station-store.ts';
import type { Steps } from './hop.ts';
import type { Station } from './stages.ts';
import { createVisits } from './visits.ts';

const HOP = 'hop_0123456789abcdef01234567';

/** What a hop in this state is said to wait for once it was looked at. */
async function waitedFor(state: HopRecord['state']): Promise<string> {
  const looked = vi.fn();
  const find = (): HopRecord => {
    looked();
    return { hopId: HOP, state, held: null } as HopRecord;
  };
  const visits = createVisits({ clock: { nowMs: () => 0 }, note: () => undefined } as unknown as Station, {
    hops: { find } as unknown as HopStore,
    steps: {} as Steps,
    outbox: { tell: () => undefined },
    runsAtOnceMax: 1,
  });
  visits.start(HOP);
  await expect.poll(() => looked.mock.calls.length).toBeGreaterThan(1);
  await new Promise((resolve) => setImmediate(resolve));
  const problem = visits.waitsFor(HOP);
  await visits.stop();
  return problem;
}

test('a hop that has ended waits for nothing, also when it is looked at again', async () => {
  expect(await waitedFor('sealed')).toBe('');
  expect(await waitedFor('delivered')).toBe('');
});
