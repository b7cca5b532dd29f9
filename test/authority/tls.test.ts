import { writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openHome } from '../../src/adapters/home/member.ts';
import { importNetwork, parseNetworkFile } from '../../src/adapters/home/network-file.ts';
import { bind } from '../../src/adapters/wire/bind.ts';
import { tlsOf } from '../../src/cli/dial.ts';
import { freshen } from '../../src/cli/network-freshen.ts';
import { NetworkService } from '../../src/gen/pht/v1/network_pb.ts';
import { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { datesOf, isIssuedBy, readCertificate } from '../../src/model/member-certificate.ts';
import { memberOf, type Network } from '../../src/model/network.ts';
import { joined } from '../../src/model/network-news.ts';
import { openScope } from '../wire/harness.ts';
import { trackOf } from '../wire/services.ts';
import { codeOf, DAY_MS, openRig, type Rig } from './rig.ts';

/** Certificates are judged by TLS at the time of this machine, so each story ends about now. */
const START = Date.now() - 30 * DAY_MS;
let rig: Rig;
let scope: ReturnType<typeof openScope>;
beforeEach(async () => {
  rig = openRig(START);
  scope = openScope();
  await rig.found();
  await rig.enrol('hub', 'dispatcher');
  await rig.enrol('ber', 'station');
  await rig.admit(['hub', 'ber']);
});
afterEach(async () => {
  await scope.close();
  rig.close();
});

/** One call of a station with that file at a dispatcher with this one. */
async function call(hub: string, ber: string): Promise<string> {
  const [server, client] = [openHome(rig.at(hub)), openHome(rig.at(ber))];
  const [there, here] = [rig.network(hub), rig.network(ber)];
  const { address } = await scope.serve({
    listen: '127.0.0.1:0',
    tls: await tlsOf(server, there),
    network: () => there,
    services: [bind(TrackService, trackOf({}), { roles: ['station'] })],
  });
  const publicJwk = memberOf(here, 'hub', 'dispatcher').keys.tls;
  if (publicJwk === undefined) throw new Error('the dispatcher has no TLS key');
  const serverMember = { networkId: here.id, memberId: 'hub', publicJwk };
  const channel = scope.connect({ address, tls: await tlsOf(client, here), serverMember });
  return codeOf(() => channel.client(TrackService).announce({}));
}

describe('the TLS authority is replaced', () => {
  const authorities = (): number => rig.network().tlsAuthorities.length;
  const stageOf = async (name: string): Promise<void> => {
    for (const id of ['hub', 'ber']) {
      rig.import(id);
      rig.copy(id, `${id}-${name}`);
    }
  };
  const issuers = (network: Network): number[] =>
    [...network.certificates.values()].map((text) => {
      const certificate = readCertificate(text);
      if (certificate === null) throw new Error('no certificate');
      return network.tlsAuthorities.findIndex((authority) => isIssuedBy(certificate, authority));
    });

  test('and whoever holds the file before or after each step still reaches the other', async () => {
    await stageOf('one');
    await rig.rotate('tls-authority');
    expect(authorities()).toBe(2);
    expect(issuers(rig.network())).toStrictEqual([0, 0, 0]);
    await stageOf('both');
    // Not before every fresh member must have the new root.
    rig.nowMs += 7 * DAY_MS - 1;
    await rig.freshen();
    expect(issuers(rig.network())).toStrictEqual([0, 0, 0]);
    expect(await codeOf(() => rig.rotate('tls-authority', { retire: true }))).toBe('conflict');
    expect(await codeOf(() => rig.rotate('tls-authority'))).toBe('conflict');
    rig.nowMs += DAY_MS;
    await rig.freshen();
    expect(issuers(rig.network())).toStrictEqual([1, 1, 1]);
    await stageOf('switched');
    expect(await codeOf(() => rig.rotate('tls-authority', { retire: true }))).toBe('conflict');
    rig.nowMs += 7 * DAY_MS;
    await rig.freshen();
    await rig.rotate('tls-authority', { retire: true });
    expect(authorities()).toBe(1);
    expect(issuers(rig.network())).toStrictEqual([0, 0, 0]);
    await stageOf('retired');

    const stages = ['one', 'both', 'switched', 'retired'];
    for (const [at, stage] of stages.entries()) {
      for (const other of stages.slice(Math.max(0, at - 1), at + 2))
        expect([stage, other, await call(`hub-${stage}`, `ber-${other}`)]).toStrictEqual([
          stage,
          other,
          'accepted',
        ]);
    }
    expect(await call('hub-retired', 'ber-one')).toBe('unreachable');
  });

  test('at once, when its key is in other hands: whoever has the old file waits for the new one', async () => {
    await stageOf('one');
    await rig.rotate('tls-authority', { atOnce: true });
    expect(authorities()).toBe(1);
    await stageOf('new');
    expect(await call('hub-new', 'ber-new')).toBe('accepted');
    expect(await call('hub-new', 'ber-one')).toBe('unreachable');
    await rig.freshen();
    expect(issuers(rig.network())).toStrictEqual([0, 0, 0]);
  });
});

describe('giving out', () => {
  const give = (): Promise<string> =>
    codeOf(() => freshen(rig.frame('net'), { certificateDays: '90', giveOut: true }));
  const name = (...places: object[]): void =>
    writeFileSync(rig.at('net', 'config.yaml'), JSON.stringify({ dispatchers: places }));
  beforeEach(() => {
    rig.import('hub');
    rig.nowMs = Date.now();
  });

  async function serveHub(): Promise<string> {
    const home = openHome(rig.at('hub'));
    const taken = bind(
      NetworkService,
      {
        fetch: async function* () {},
        giveOut: async (pieces, { caller }) => {
          expect(caller?.id).toBe('authority');
          const { network, changed } = importNetwork(home, parseNetworkFile(await joined(pieces), 'it'));
          return { networkVersion: network.version, changed };
        },
      },
      { roles: ['authority'] },
    );
    const network = (): Network => rig.network('hub');
    const { address } = await scope.serve({
      listen: '127.0.0.1:0',
      tls: await tlsOf(home, network()),
      network,
      services: [taken],
    });
    return address;
  }

  test('hands the file to the dispatchers that config.yaml names', async () => {
    name({ id: 'hub', address: await serveHub() });
    expect(await give()).toBe('accepted');
    expect(rig.told['givenOut']).toStrictEqual([{ dispatcher: 'hub', version: 2, changed: true }]);
    expect(rig.network('hub').freshness).toEqual(rig.network().freshness);
    await rig.revoke('ber', { giveOut: true });
    expect(rig.network('hub').members.has('ber')).toBe(false);
  });

  test('tries each of them and says which did not take it; the file is made all the same', async () => {
    const { issuedAtMs } = rig.network().freshness;
    name({ id: 'gone', address: '127.0.0.1:9' }, { id: 'hub', address: await serveHub() });
    expect(await give()).toBe('unreachable');
    expect(rig.network('hub').freshness.issuedAtMs).toBeGreaterThan(issuedAtMs);
    name();
    expect(await give()).toBe('config.invalid');
    name({ id: 'hub', address: 'nowhere' });
    expect(await give()).toBe('config.invalid');
  });
});

test('certificates are good for as many days as were asked for, up to 398', async () => {
  const ask = (certificateDays: string): Promise<string> =>
    codeOf(() => freshen(rig.frame('net'), { certificateDays }));
  for (const days of ['0', '399', 'many']) expect(await ask(days)).toBe('usage.invalid');
  rig.nowMs += 61 * DAY_MS;
  expect(await ask('30')).toBe('accepted');
  const certificate = readCertificate(rig.network().certificates.get('ber') ?? '');
  if (certificate === null) throw new Error('no certificate');
  expect(Math.round((datesOf(certificate).notAfterMs - rig.nowMs) / DAY_MS)).toBe(30);
});
