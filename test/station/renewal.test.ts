import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import type { Home } from '../../src/adapters/home/member.ts';
import { createNetworkCopy } from '../../src/adapters/home/network-copy.ts';
import { currentNetwork, importNetwork, storeNetwork } from '../../src/adapters/home/network-file.ts';
import { bind } from '../../src/adapters/wire/bind.ts';
import { issueCertificate } from '../../src/adapters/wire/certificates.ts';
import type { TlsFiles } from '../../src/adapters/wire/identity.ts';
import { NetworkService } from '../../src/gen/pht/v1/network_pb.ts';
import { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import type { Desk } from '../../src/journey/dispatcher/desk.ts';
import { networkService } from '../../src/journey/dispatcher/network-service.ts';
import { createNetworkFollower } from '../../src/journey/station/follow-network.ts';
import type { NetworkFiles } from '../../src/model/network-statements.ts';
import { type FakeNetwork, makeNetwork, memberIn, publicOf, tlsOf } from '../fakes/network.ts';
import { makeStation } from '../fakes/station.ts';
import { clientOptions, collectingLog, openScope } from '../wire/harness.ts';
import { trackOf } from '../wire/services.ts';

/** A year of a station in seconds: certificates that live for six of them, over real TLS, renewed by fetching alone. */

const LIFE_MS = 6000;
const LIVES = 3;
const scope = openScope();
afterEach(() => scope.close());

async function renewed(fake: FakeNetwork): Promise<NetworkFiles> {
  const certificates: Record<string, string> = {};
  for (const id of ['dispatcher', 'north']) {
    certificates[id] = await issueCertificate({
      authority: fake.authority,
      networkId: fake.network.id,
      memberId: id,
      publicJwk: publicOf(memberIn(fake, id).keys.tls),
      // Dates in certificates have no milliseconds.
      notBeforeMs: Date.now() - 1000,
      notAfterMs: Date.now() + LIFE_MS,
    });
  }
  return { ...fake.fresh(Date.now()).files, certificates };
}

function homeOf(fake: FakeNetwork, id: string, role: string, files: NetworkFiles): Home {
  const dir = mkdtempSync(join(tmpdir(), 'renewal-'));
  scope.defer(() => rmSync(dir, { recursive: true, force: true }));
  storeNetwork(dir, files, fake.network);
  const member = { v: 1, id, role, title: id, organisation: 'o', networkId: fake.network.id };
  return { dir, member: member as Home['member'] };
}

test('a track lives on across every renewal of both its ends, and no call fails', async () => {
  const fake = await makeNetwork({ stations: ['north'] });
  const first = await renewed(fake);
  const hub = homeOf(fake, 'dispatcher', 'dispatcher', first);
  const north = homeOf(fake, 'north', 'station', first);
  const tlsIn = async (home: Home): Promise<TlsFiles> => {
    const certificate = currentNetwork(home).certificates.get(home.member.id) ?? '';
    return tlsOf(fake.authority.certificate, certificate, memberIn(fake, home.member.id).keys.tls);
  };

  const log = collectingLog();
  const desk = {
    network: () => currentNetwork(hub),
    rejects: { count: () => undefined },
    note: () => undefined,
  };
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: () => tlsIn(hub),
    network: () => currentNetwork(hub),
    services: [
      bind(
        NetworkService,
        networkService(desk as never as Desk, createNetworkCopy(hub), () => undefined),
        {
          roles: ['station'],
          methods: { fetch: { formerKeys: true }, giveOut: { roles: ['authority'] } },
        },
      ),
      bind(TrackService, trackOf({}), { roles: ['station'] }),
    ],
    log,
  });

  const rig = makeStation(fake, Date.now());
  scope.defer(() => rig.close());
  const running = rig.start();
  const station = {
    ...running.station,
    network: () => currentNetwork(north),
    clock: { nowMs: () => Date.now() },
  };
  const channel = scope.connect({
    ...clientOptions(fake, address, await tlsIn(north)),
    tls: () => tlsIn(north),
  });
  let renewals = 0;
  const { hops, log: stationLog, ledgerRows } = running.store;
  const follower = createNetworkFollower(station, {
    client: channel.client(NetworkService),
    copy: createNetworkCopy(north),
    prepare: async () => undefined,
    ...{ hops, log: stationLog, ledgerRows },
    visits: { start: () => undefined, cancel: () => undefined },
    rejects: { count: (code) => expect.unreachable(code) },
    renewed: () => {
      renewals++;
      channel.renew();
    },
    times: { againMs: 100, againMsMax: 200 },
  });
  const stop = new AbortController();
  const following = follower.keep(stop.signal);

  const track = channel.client(TrackService);
  const endMs = Date.now() + LIVES * LIFE_MS;
  let calls = 0;
  let issueMs = Date.now() + LIFE_MS / 3;
  while (Date.now() < endMs) {
    // The authority's timer; nobody touches the station.
    if (Date.now() >= issueMs) {
      importNetwork(hub, await renewed(fake));
      issueMs = Date.now() + LIFE_MS / 3;
    }
    await track.pull({});
    calls++;
    await sleep(20);
  }
  stop.abort();
  await following;
  expect(renewals).toBeGreaterThanOrEqual(LIVES - 1);
  expect(calls).toBeGreaterThan(50);
  expect(log.lines.filter(({ message }) => message.startsWith('a call'))).toEqual([]);
  expect(running.entries().filter(({ type }) => type === 'network.changed')).toHaveLength(1);
}, 60_000);
