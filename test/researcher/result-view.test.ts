import { create } from '@bufbuild/protobuf';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { createOpener } from '../../src/adapters/envelope/jwe.ts';
import { createHeardJourneys } from '../../src/adapters/home/heard.ts';
import { createFrame } from '../../src/cli/frame.ts';
import { createOutput } from '../../src/cli/output.ts';
import type { Traveller } from '../../src/cli/train-compose.ts';
import { present } from '../../src/cli/train-result.ts';
import { ResultResponseSchema } from '../../src/gen/pht/v1/journeys_pb.ts';
import type { Shown } from '../../src/journey/researcher/verify-station.ts';
import type { Arrival } from '../../src/model/account.ts';
import { commitmentOf } from '../../src/model/commitment.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import {
  clientOf,
  type Home,
  makeHome,
  NOW_MS,
  type Packed,
  packTrain,
  refused,
  released,
  retry,
} from './rig.ts';

/** What `pht train result` prints, from what a dispatcher shows. */

const STOPS = ['north', 'south', 'west'];
const signal = new AbortController().signal;
let fake: FakeNetwork;
let home: Home;
let packed: Packed;
beforeAll(async () => {
  const witnessing = { quorum: 3, faulty: 1, witnesses: ['dispatcher', ...STOPS] };
  fake = await makeNetwork({ nowMs: NOW_MS, stations: STOPS, witnessing });
});
beforeEach(() => {
  home = makeHome(fake);
  packed = packTrain(fake, STOPS);
  const { trainId } = packed.manifest;
  home.trains.keep({ trainId, manifest: packed.bytes, key: packed.key, departure: null });
});
afterEach(() => {
  home.clear();
  process.exitCode = undefined;
});

async function printed(results: Shown[], json: boolean): Promise<{ out: string; err: string }> {
  const said = { out: '', err: '' };
  const output = createOutput({
    json,
    stdout: { write: (text) => (said.out += text) },
    stderr: { write: (text) => (said.err += text) },
    env: {},
  });
  const { trainId } = packed.manifest;
  const journey = { trainId, title: 'Hello', state: 'arrived', submittedAtMs: BigInt(NOW_MS), stops: [] };
  const client = clientOf({
    result: async () => create(ResultResponseSchema, { journey, manifest: packed.bytes, results }),
  });
  const { trains, arrivals, researcher, dir } = home;
  const never = (): never => {
    throw new Error('nobody submits here');
  };
  const traveller: Traveller = {
    home: {
      dir,
      member: {
        v: 1,
        id: 'rosa',
        role: 'researcher',
        title: 'R',
        organisation: 'O',
        networkId: fake.network.id,
      },
    },
    researcher,
    trains,
    arrivals,
    heard: createHeardJourneys(dir),
    get depot() {
      return never();
    },
    retry,
    signal,
    client: async () => client,
    clientAgain: async () => client,
    submitPorts: never,
    arrivePorts: () => ({ client: async () => client, trains, arrivals, retry, openerOf: createOpener }),
  };
  const frame = createFrame({ output, env: {}, home: () => dir, signal: () => signal });
  await present(frame, traveller, trainId, false);
  return said;
}

const SALT = '00112233445566778899aabbccddeeff';
const witnesses = ['dispatcher', 'south', 'west'];
const unreached = (): Promise<Shown> =>
  refused(fake, packed, 'south', {
    receipt: { outcome: 'withheld', code: 'witness.unreachable', jweDigest: null, commitment: null },
    jwe: () => new Uint8Array(),
  });

test('says under which checkpoint each receipt stands, who cosigned it, and where the proofs are', async () => {
  const results = [
    await released(fake, packed, 'north', { witnesses }),
    await unreached(),
    await refused(fake, packed, 'west'),
  ];
  const { out, err } = await printed(results, false);
  const lines = out.split('\n');
  const after = lines.slice(lines.findIndex((line) => line.includes('COSIGNED BY')));
  expect(after[1]).toMatch(/^north +entry \d+ +size \d+ +3: dispatcher, south, west$/);
  expect(after[2]).toMatch(/^south +entry \d+ +size \d+ +no witness$/);
  expect(out).toContain(`proofs in trains/${packed.manifest.trainId}/results of this home;`);
  expect(out).toContain('pht audit proof --check FILE');
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  const advice = out.replace(/\s+/g, ' ');
  expect(advice).toContain('Next: nothing is wrong with the train');
  expect(advice).toContain('submit it again');
  expect([err, process.exitCode]).toEqual(['', undefined]);
});

test('names the files of the proofs for programs', async () => {
  const results = [await released(fake, packed, 'north', { witnesses })];
  const { stations } = JSON.parse((await printed(results, true)).out) as Arrival;
  expect(stations[0]?.proofs?.receipt).toMatchObject({
    file: `trains/${packed.manifest.trainId}/results/north.receipt.tlog-proof`,
    origin: `signalbox.example/${fake.network.id}/north`,
    witnesses,
  });
});

test('a release without its cosignatures ends with 4, and says so', async () => {
  const results = [await released(fake, packed, 'north'), await unreached()];
  const { out, err } = await printed(results, false);
  expect(process.exitCode).toBe(4);
  expect(err).toContain('what was shown for north does not verify: the receipt: ');
  expect(err).toContain('[proof.invalid]');
  expect(out).not.toContain('== north');
});

test('a refusal says why and what to do next, whatever the station tells', async () => {
  const silent = { text: '', reasons: [] };
  const commitment = commitmentOf(Buffer.from(SALT, 'hex'), JSON.stringify(['policy.denied', '', []]));
  const results = [
    await refused(fake, packed, 'north'),
    await refused(fake, packed, 'south', { explanation: silent, receipt: { commitment } }),
    await unreached(),
  ];
  const out = (await printed([results[0] as Shown, results[1] as Shown], false)).out.replace(/\s+/g, ' ');
  expect(out).toContain('north: no rule permits it - the purpose is not one of ours Next: pht train plan');
  expect(out).toContain(
    "south: the station's policy does not permit the train (so its code says; it tells no more)",
  );
});

test('what a station writes reaches neither a terminal nor a program as anything but text', async () => {
  const evil = 'no\x1b[2J\x1b]0;owned\x07\u009b31m\u202e\u200b\u2028\x7f\nApproved';
  const said = { text: evil, reasons: [evil] };
  const digest = JSON.stringify(['policy.denied', evil, [evil]]);
  const commitment = commitmentOf(Buffer.from(SALT, 'hex'), digest);
  for (const json of [false, true]) {
    const { out, err } = await printed(
      [await refused(fake, packed, 'north', { explanation: said, receipt: { commitment } })],
      json,
    );
    for (const line of (out + err).split('\n')) expect(line).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
    if (json) expect((JSON.parse(out) as Arrival).stations[0]).toMatchObject(said);
    else expect(out).not.toMatch(/^Approved/m);
  }
});
