import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { issueCertificate } from '../../src/adapters/wire/certificates.ts';
import type { TlsFiles } from '../../src/adapters/wire/identity.ts';
import { bound } from '../../src/cli/dispatcher-serve.ts';
import { DepotService } from '../../src/gen/pht/v1/depot_pb.ts';
import { JourneyService } from '../../src/gen/pht/v1/journeys_pb.ts';
import { LedgerService } from '../../src/gen/pht/v1/ledger_pb.ts';
import { NetworkService } from '../../src/gen/pht/v1/network_pb.ts';
import { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import { WitnessService } from '../../src/gen/pht/v1/witness_pb.ts';
import type { Dispatcher } from '../../src/journey/dispatcher/service.ts';
import { asPhtError, PhtError } from '../../src/model/error.ts';
import type { Network, Role } from '../../src/model/network.ts';
import type { Ed25519PublicJwk } from '../../src/model/schema.ts';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf, tlsOf } from '../fakes/network.ts';
import { clientOptions, openScope } from './harness.ts';

/** Who may call what of a dispatcher: the product's own table, over real connections, against the network file of now. */

const DAY_MS = 86_400_000;
const SERVICES = {
  JourneyService,
  TrackService,
  DepotService,
  LedgerService,
  WitnessService,
  NetworkService,
};
const WHO: Readonly<Record<Role, string>> = {
  authority: 'net',
  dispatcher: 'dispatcher',
  station: 'north',
  researcher: 'rosa',
  admin: 'adam',
  auditor: 'dora',
};
const ROLES = Object.keys(WHO) as Role[];
const EVERYBODY = ROLES;
const READERS: Role[] = ['station', 'researcher', 'admin', 'auditor'];

/** Written out, so that a method that opens to somebody else is somebody's decision. */
const ALLOWED: Readonly<Record<string, readonly Role[]>> = {
  'JourneyService.submit': ['researcher'],
  'JourneyService.depart': ['researcher'],
  'JourneyService.plan': ['researcher'],
  'JourneyService.list': ['researcher'],
  'JourneyService.watch': ['researcher'],
  'JourneyService.result': ['researcher'],
  'JourneyService.cancel': ['researcher'],
  'JourneyService.datasets': ['researcher', 'admin', 'auditor'],
  'TrackService.announce': ['station'],
  'TrackService.wake': ['station'],
  'TrackService.pull': ['station'],
  'TrackService.lease': ['station'],
  'TrackService.report': ['station'],
  'TrackService.reply': ['station'],
  'DepotService.uploadOffset': ['researcher'],
  'DepotService.upload': ['researcher'],
  'DepotService.download': ['station'],
  'LedgerService.logs': READERS,
  'LedgerService.checkpoint': READERS,
  'LedgerService.pastHeads': READERS,
  'LedgerService.entries': READERS,
  'LedgerService.statements': READERS,
  'LedgerService.publish': ['station'],
  'WitnessService.addCheckpoint': ['station'],
  'WitnessService.seen': ['station'],
  'WitnessService.listen': ['station', 'auditor'],
  'WitnessService.answer': ['station', 'auditor'],
  'NetworkService.fetch': EVERYBODY,
  'NetworkService.giveOut': ['authority'],
};

const methods = Object.entries(SERVICES).flatMap(([name, service]) =>
  service.methods.map((method) => ({
    name: `${name}.${method.localName}`,
    service: service as DescService,
    method,
  })),
);

const scope = openScope();
let fake: FakeNetwork;
let current: Network;
let address: string;

beforeAll(async () => {
  fake = await makeNetwork({ admins: { adam: 'north' }, auditors: ['dora'], authorities: ['net'] });
  current = fake.network;
  const served = await scope.serve({
    listen: '127.0.0.1:0',
    tls: memberIn(fake, 'dispatcher').tls,
    network: () => current,
    services: bound(deaf()),
  });
  address = served.address;
});
afterAll(() => scope.close());

/** Every method that is reached says so, and does nothing. */
function deaf(): Dispatcher {
  const reached = (service: DescService): object =>
    Object.fromEntries(service.methods.map((method) => [method.localName, bodyOf(method)]));
  return {
    journeys: reached(JourneyService),
    tracks: reached(TrackService),
    depot: reached(DepotService),
    ledgers: reached(LedgerService),
    witnesses: reached(WitnessService),
    network: reached(NetworkService),
  } as never;
}

function bodyOf({ methodKind }: DescMethod): unknown {
  const here = (): never => {
    throw new PhtError('not-found', 'reached');
  };
  if (methodKind !== 'server_streaming') return async () => here();
  return async function* () {
    yield here();
  };
}

async function answer(service: DescService, method: DescMethod, tls: TlsFiles): Promise<string> {
  const channel = scope.connect(clientOptions(fake, address, tls));
  const call = (channel.client(service) as never as Record<string, (request: unknown) => unknown>)[
    method.localName
  ];
  if (call === undefined) throw new Error(`no ${method.name}`);
  try {
    if (method.methodKind === 'server_streaming') {
      for await (const _ of call({}) as AsyncIterable<unknown>) return 'answered';
    } else await call(method.methodKind === 'client_streaming' ? (async function* () {})() : {});
    return 'answered';
  } catch (thrown) {
    const { code, message } = asPhtError(thrown);
    return code === 'not-found' && message === 'reached' ? 'reached' : code;
  } finally {
    channel.close();
  }
}

test('every method of every service is in the table, and nothing else', () => {
  expect(methods.map(({ name }) => name).sort()).toEqual(Object.keys(ALLOWED).sort());
});

describe.each(methods)('$name', ({ name, service, method }) => {
  test.each(ROLES)('of a %s', async (role) => {
    const expected = ALLOWED[name]?.includes(role) ? 'reached' : 'forbidden';
    expect(await answer(service, method, memberIn(fake, WHO[role]).tls)).toBe(expected);
  });

  const allowed = ALLOWED[name]?.[0] ?? 'station';
  const shown = (change: {
    authority?: FakeNetwork['authority'];
    networkId?: string;
    publicJwk?: Ed25519PublicJwk;
    memberId?: string;
    notAfterMs?: number;
  }): Promise<string> => {
    const who = WHO[allowed];
    const { keys } = memberIn(fake, who);
    return issueCertificate({
      authority: fake.authority,
      networkId: fake.network.id,
      memberId: who,
      publicJwk: publicOf(keys.tls),
      notBeforeMs: Date.now() - 2 * DAY_MS,
      notAfterMs: Date.now() + DAY_MS,
      ...change,
    });
  };

  test.each<[string, () => Promise<TlsFiles>, string]>([
    [
      'an expired certificate',
      async () =>
        tlsOf(fake.authority.certificate, await shown({ notAfterMs: Date.now() - 1000 }), keysOf(allowed)),
      'unreachable',
    ],
    [
      'a certificate of another authority',
      async () => ({
        ...memberIn(await makeNetwork(), 'north').tls,
        authorityPem: memberIn(fake, 'north').tls.authorityPem,
      }),
      'unreachable',
    ],
    [
      'the right name and a wrong key',
      async () => {
        const keys = ed25519();
        return tlsOf(fake.authority.certificate, await shown({ publicJwk: publicOf(keys) }), keys);
      },
      'forbidden',
    ],
    [
      'a certificate of another network',
      async () =>
        tlsOf(fake.authority.certificate, await shown({ networkId: '0'.repeat(64) }), keysOf(allowed)),
      'forbidden',
    ],
  ])('with %s', async (_what, tls, code) => {
    expect(await answer(service, method, await tls())).toBe(code);
  });
});

function keysOf(role: Role): ReturnType<typeof ed25519> {
  return memberIn(fake, WHO[role]).keys.tls;
}

describe('after a new list of members', () => {
  test.each(methods)('$name refuses whoever was revoked', async ({ name, service, method }) => {
    const [role = 'station'] = ALLOWED[name] ?? [];
    const who = WHO[role];
    try {
      current = { ...fake.network, members: new Map([...fake.network.members].filter(([id]) => id !== who)) };
      expect(await answer(service, method, memberIn(fake, who).tls)).toBe('forbidden');
    } finally {
      current = fake.network;
    }
  });

  test.each(methods)(
    '$name refuses a key that was renewed, but for fetching the file that says so',
    async (it) => {
      const [role = 'station'] = ALLOWED[it.name] ?? [];
      const who = WHO[role];
      const member = fake.network.members.get(who);
      if (member === undefined) throw new Error(`no ${who}`);
      const renewed = { ...member, keys: { ...member.keys, tls: publicOf(ed25519()) } };
      const ended = { version: 2, atMs: Date.now(), why: 'renewed' as const };
      try {
        for (const [end, fetched] of [
          [ended, 'reached'],
          [{ ...ended, invalidAfterMs: Date.now() }, 'forbidden'],
        ] as const) {
          current = {
            ...fake.network,
            version: 2,
            members: new Map([...fake.network.members, [who, renewed]]),
            spans: [
              { ...member, since: 1, ended: end },
              { ...renewed, since: 2 },
            ],
          };
          const expected = it.name === 'NetworkService.fetch' ? fetched : 'forbidden';
          expect(await answer(it.service, it.method, memberIn(fake, who).tls)).toBe(expected);
        }
      } finally {
        current = fake.network;
      }
    },
  );
});
