import { create } from '@bufbuild/protobuf';
import { beforeEach, describe, expect, test } from 'vitest';
import { WatchResponseSchema } from '../../src/gen/pht/v1/journeys_pb.ts';
import { follow } from '../../src/journey/researcher/follow.ts';
import type { JourneyClient } from '../../src/journey/researcher/journeys.ts';
import type { Researcher } from '../../src/journey/researcher/researcher.ts';
import { PhtError } from '../../src/model/error.ts';
import type { TrainId } from '../../src/model/id.ts';
import type { JourneyView } from '../../src/model/journey-view.ts';
import { clientOf, NOW_MS, retry } from './rig.ts';

/** Weeks of watching, with a dispatcher that comes and goes, in milliseconds. */

const trainId = 'trn_0123456789abcdef01234567' as TrainId;
const DAY_MS = 86_400_000;
const signal = new AbortController().signal;
let told: string[];
let seen: JourneyView[];
const researcher = { tell: (line) => void told.push(line) } as Partial<Researcher> as Researcher;

beforeEach(() => {
  told = [];
  seen = [];
});

function said(state: 'under-way' | 'arrived', seenMs: number, online = true) {
  const open = state === 'under-way';
  return create(WatchResponseSchema, {
    journey: {
      trainId,
      title: 'Hello',
      state,
      submittedAtMs: BigInt(NOW_MS),
      stops: [
        {
          station: 'north',
          state: open ? 'awaiting-clearance' : 'released',
          changedAtMs: BigInt(NOW_MS),
          attempt: 1,
          waitsFor: open ? 'admin' : '',
          waitsSinceMs: BigInt(open ? NOW_MS : 0),
          stationOnline: online,
          stationSeenMs: BigInt(seenMs),
        },
      ],
    },
  });
}

const following = (client: JourneyClient, dialled: boolean[] = []): Promise<JourneyView> =>
  follow(
    trainId,
    researcher,
    {
      client: async (again) => {
        dialled.push(again);
        return client;
      },
      retry,
    },
    (journey) => seen.push(journey),
    signal,
  );

describe('weeks of watching', () => {
  test('a thousand breaks in twelve weeks: what is the same is seen once, and each break dials anew', async () => {
    const [breaks, days] = [1000, 84];
    let connections = 0;
    let open = 0;
    let mostOpen = 0;
    const client = clientOf({
      watch: async function* () {
        const at = connections++;
        open += 1;
        mostOpen = Math.max(mostOpen, open);
        try {
          if (at === breaks) {
            yield said('arrived', NOW_MS);
            return;
          }
          // The dispatcher repeats itself to keep the line open.
          for (let beat = 0; beat < 5; beat++)
            yield said('under-way', NOW_MS + (at * days * DAY_MS) / breaks + beat);
          throw new PhtError(at % 2 === 0 ? 'unreachable' : 'timed-out', 'the line broke');
        } finally {
          open -= 1;
        }
      },
    });
    const dialled: boolean[] = [];
    expect((await following(client, dialled)).state).toBe('arrived');
    expect(seen.map(({ state }) => state)).toEqual(['under-way', 'arrived']);
    expect(dialled).toHaveLength(breaks + 1);
    expect(dialled.filter((again) => !again)).toHaveLength(1);
    expect([open, mostOpen]).toEqual([0, 1]);
  });

  test('an outage is told once, and that it is over', async () => {
    let connections = 0;
    const client = clientOf({
      watch: async function* () {
        connections += 1;
        if (connections === 1) yield said('under-way', NOW_MS);
        if (connections <= 300) throw new PhtError('unreachable', 'the dispatcher is away');
        yield said('arrived', NOW_MS);
      },
    });
    await following(client);
    expect(told).toEqual([
      'the dispatcher is away; trying again until it answers',
      'the dispatcher answers again',
    ]);
  });

  test('a station that goes and comes is news; that it was there again is none', async () => {
    const client = clientOf({
      watch: async function* () {
        yield said('under-way', NOW_MS);
        yield said('under-way', NOW_MS + 1);
        yield said('under-way', NOW_MS + 1, false);
        yield said('under-way', NOW_MS + 2);
        yield said('arrived', NOW_MS + 2);
      },
    });
    await following(client);
    expect(seen.map(({ stops }) => stops[0]?.stationOnline)).toEqual([true, false, true, true]);
  });

  test.each(['certificate.invalid', 'internal', 'ledger.unchecked'] as const)(
    '%s of a dispatcher that was heard may pass',
    async (code) => {
      let connections = 0;
      const client = clientOf({
        watch: async function* () {
          connections += 1;
          yield said(connections > 2 ? 'arrived' : 'under-way', NOW_MS);
          throw new PhtError(code, 'for now');
        },
      });
      expect((await following(client)).state).toBe('arrived');
      expect(connections).toBe(3);
    },
  );

  test.each(['not-found', 'forbidden', 'signer.revoked'] as const)('%s ends it', async (code) => {
    const client = clientOf({
      watch: async function* () {
        yield said('under-way', NOW_MS);
        throw new PhtError(code, 'no');
      },
    });
    await expect(following(client)).rejects.toMatchObject({ code });
  });

  test('a dispatcher that repeats itself and hangs up is not asked faster and faster', async () => {
    const progress: number[] = [];
    let connections = 0;
    const client = clientOf({
      watch: async function* () {
        connections += 1;
        yield said(connections > 20 ? 'arrived' : 'under-way', NOW_MS);
      },
    });
    const counting: typeof retry = (attempt, options) =>
      retry(({ number, progressed }) => {
        const counted = (): void => {
          progress.push(connections);
          progressed();
        };
        return attempt({ number, progressed: counted });
      }, options);
    await follow(
      trainId,
      researcher,
      { client: async () => client, retry: counting },
      () => undefined,
      signal,
    );
    // Only the first word and the last one were news.
    expect(progress).toEqual([1, 21]);
  });
});
