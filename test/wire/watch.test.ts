import { afterEach, beforeAll, expect, test } from 'vitest';
import { retrying } from '../../src/adapters/wire/backoff.ts';
import { bind } from '../../src/adapters/wire/bind.ts';
import { type Channel, connect } from '../../src/adapters/wire/client.ts';
import { serve } from '../../src/adapters/wire/server.ts';
import { JourneyService } from '../../src/gen/pht/v1/journeys_pb.ts';
import { follow } from '../../src/journey/researcher/follow.ts';
import type { JourneyClient } from '../../src/journey/researcher/journeys.ts';
import type { Researcher } from '../../src/journey/researcher/researcher.ts';
import type { TrainId } from '../../src/model/id.ts';
import type { JourneyView } from '../../src/model/journey-view.ts';
import type { CallContext, Service } from '../../src/ports/wire.ts';
import { type FakeNetwork, makeNetwork, memberIn } from '../fakes/network.ts';
import { clientOptions, collectingLog, openScope } from './harness.ts';

/** Watching over real connections, while the dispatcher is started again and again. */

const trainId = 'trn_0123456789abcdef01234567' as TrainId;
const RESTARTS = 25;
const scope = openScope();
let fake: FakeNetwork;
beforeAll(async () => {
  fake = await makeNetwork({ stations: ['north'], researchers: ['rosa'] });
});
afterEach(() => scope.close());

const tcpSockets = (): number =>
  process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;

/** Says the same until it is told that the journey has arrived; resolves `heard` with each watcher's first word. */
function journeysOf(isOver: () => boolean, heard: () => void): Service<typeof JourneyService> {
  const nobody = async (): Promise<never> => {
    throw new Error('nobody expected that');
  };
  const watch: Service<typeof JourneyService>['watch'] = async function* (_request, { signal }: CallContext) {
    const state = isOver() ? 'arrived' : 'under-way';
    yield { journey: { trainId, title: 'Hello', state, submittedAtMs: 1n, stops: [] } };
    heard();
    if (isOver()) return;
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  };
  const rest = { submit: nobody, depart: nobody, list: nobody, result: nobody, cancel: nobody };
  // biome-ignore lint/correctness/useYield: nobody asks for a plan here
  const plan: Service<typeof JourneyService>['plan'] = async function* () {
    await nobody();
  };
  return { ...rest, datasets: nobody, plan, watch };
}

test('a dispatcher that restarts over and over is found again each time, with one socket and one word', async () => {
  let [over, restarts] = [false, 0];
  let heard = (): void => undefined;
  const { tls } = memberIn(fake, 'dispatcher');
  const open = (listen: string): ReturnType<typeof serve> =>
    serve({
      ...{ listen, tls, network: () => fake.network, log: collectingLog(), limits: { graceMs: 20 } },
      services: [
        bind(
          JourneyService,
          journeysOf(
            () => over,
            () => heard(),
          ),
          {
            roles: ['researcher'],
            methods: { watch: { deadlineMs: 'open' } },
          },
        ),
      ],
    });
  let server = await open('127.0.0.1:0');
  const { address } = server;
  scope.defer(() => server.close());

  let channel: Channel | undefined;
  const dial = async (): Promise<JourneyClient> => {
    channel?.close();
    channel = connect(clientOptions(fake, address, memberIn(fake, 'rosa').tls));
    return channel.client(JourneyService);
  };
  scope.defer(() => channel?.close());

  const seen: JourneyView[] = [];
  const told: string[] = [];
  const researcher = { tell: (line: string) => void told.push(line) } as Partial<Researcher> as Researcher;
  let first = new Promise<void>((resolve) => {
    heard = resolve;
  });
  const watching = follow(
    trainId,
    researcher,
    {
      client: dial,
      retry: (attempt, options) => retrying(attempt, { ...options, limits: { baseMs: 5, maxMs: 20 } }),
    },
    (journey) => seen.push(journey),
    new AbortController().signal,
  );
  const sockets: number[] = [];
  for (; restarts < RESTARTS; restarts++) {
    await first;
    sockets.push(tcpSockets());
    first = new Promise<void>((resolve) => {
      heard = resolve;
    });
    over = restarts === RESTARTS - 1;
    await server.close();
    server = await open(address);
  }
  expect((await watching).state).toBe('arrived');
  expect(seen.map(({ state }) => state)).toEqual(['under-way', 'arrived']);
  // One end here and one there, and what the system has not closed yet.
  expect(Math.max(...sockets.slice(5))).toBeLessThanOrEqual(Math.max(...sockets.slice(0, 5)) + 2);
  expect(told.length).toBeLessThanOrEqual(2 * RESTARTS + 2);
}, 60_000);
