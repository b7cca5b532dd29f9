import { expect, test } from 'vitest';
import type { TrackService } from '../../gen/pht/v1/tracks_pb.ts';
import { type ErrorCode, PhtError } from '../../model/error.ts';
import type { Client } from '../../ports/wire.ts';
import { createHold } from './hold.ts';
import type { Station } from './stages.ts';

const noted: string[] = [];
const station = { note: (text: string) => void noted.push(text) } as unknown as Station;
const held = (code: ErrorCode): Promise<void> => {
  const track = { lease: () => Promise.reject(new PhtError(code, 'the ethics board said no')) };
  const hold = createHold(track as unknown as Client<typeof TrackService>, station);
  return hold.hold('hop_x', 1, new AbortController().signal);
};

test('that a hop was ordered anew is told in our own words, not the dispatcher’s', async () => {
  await expect(held('stale.epoch')).rejects.toMatchObject({
    code: 'stale.epoch',
    message: expect.not.stringContaining('ethics'),
  });
});

test.each(['unreachable', 'clearance.rejected', 'internal'] as const)(
  'without a lease, for %s, a cleared hop goes on',
  async (code) => {
    noted.length = 0;
    await expect(held(code)).resolves.toBeUndefined();
    expect(noted).toEqual(['no lease for a hop']);
  },
);
