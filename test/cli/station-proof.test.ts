import { mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadKey } from '../../src/adapters/home/keys.ts';
import { openHome } from '../../src/adapters/home/member.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import type { Frame } from '../../src/cli/frame.ts';
import { type KeptProof, keepProof } from '../../src/cli/station-proof.ts';
import type { ProofResponse } from '../../src/gen/pht/v1/admin_pb.ts';
import { PhtError } from '../../src/model/error.ts';
import { digestOf, hopIdOf, trainIdOf } from '../../src/model/id.ts';
import type { LedgerEntry } from '../../src/model/ledger/entry.ts';
import { ledgerOrigin } from '../../src/model/ledger/origin.ts';
import type { Network } from '../../src/model/network.ts';
import { openNetwork } from '../../src/model/open-network.ts';
import { type FakeLog, memoryLog } from '../fakes/dispatcher-log.ts';
import { withFakeAgent } from './fake-agent.ts';
import { inCopy, makeHomes } from './rig.ts';

/** The proof of a decision is waited for, verified and kept. */

const CASE = digestOf('case');
const HOP = hopIdOf(digestOf('order'));
const NONE = new Uint8Array();

let homes: string;
let network: Network;
let log: FakeLog;
beforeAll(async () => {
  homes = await makeHomes();
  const files = JSON.parse(readFileSync(join(homes, 'ams/network.json'), 'utf8')) as Parameters<
    typeof openNetwork
  >[0];
  network = openNetwork(files, null);
  const key = await loadKey(join(homes, 'ams'), 'log', async () => '');
  log = memoryLog(ledgerOrigin(network.id, 'ams'), createSigner(key));
});
afterAll(() => rmSync(homes, { recursive: true, force: true }));

function proven(changes: Partial<LedgerEntry> = {}): Uint8Array {
  const manifestDigest = digestOf('manifest');
  return log.prove({
    ...{
      v: 1,
      ts: 1,
      type: 'clearance.recorded',
      trainId: trainIdOf(manifestDigest),
      hopId: HOP,
      attempt: 1,
    },
    ...{ epoch: 1, manifestDigest, actor: 'ams', prev: null },
    body: { by: 'person', byCommitment: digestOf('a'), clearanceCommitment: digestOf('b'), caseDigest: CASE },
    ...changes,
  });
}

type Answer = { proof?: Uint8Array; state: string } | PhtError;

/** Each look takes three seconds of the frame's clock; the last answer stays. */
async function kept(dir: string, ...answers: Answer[]): Promise<{ kept: KeptProof; looks: number }> {
  let looks = 0;
  const proof = async (): Promise<ProofResponse> => {
    const answer = answers[Math.min(looks++, answers.length - 1)];
    if (answer === undefined || answer instanceof PhtError) throw answer ?? new Error('no answer');
    return { $typeName: 'pht.v1.ProofResponse', proof: answer.proof ?? NONE, state: answer.state };
  };
  const frame = { nowMs: () => looks * 3000 } as Partial<Frame> as Frame;
  const wanted = { hopId: HOP, caseDigest: CASE, verdict: 'approve', whole: true } as const;
  return { kept: await keepProof({ proof }, openHome(join(dir, 'adm')), wanted, frame), looks };
}

test('it waits until the decision stands, and keeps the proof private', async () => {
  await inCopy(homes, async (copy) => {
    const proof = proven();
    const waiting = { state: 'awaiting-clearance' };
    const { kept: answer, looks } = await kept(copy, waiting, waiting, { proof, state: 'running' });
    const file = join(copy, 'adm/approvals', `${HOP}.tlog-proof`);
    expect(answer).toEqual({ file, index: log.size() - 1, cosigned: 0, quorum: 0, witnessed: true });
    expect(looks).toBe(3);
    expect(readFileSync(file)).toEqual(Buffer.from(proof));
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(copy, 'adm/approvals')).mode & 0o777).toBe(0o700);
  });
});

test('the second of two persons is not content with the proof of the first', async () => {
  await inCopy(homes, async (copy) => {
    const first = proven({
      body: {
        verdict: 'approve',
        byCommitment: digestOf('a'),
        approvalCommitment: digestOf('b'),
        caseDigest: CASE,
      },
    });
    const both = proven();
    const { looks } = await kept(copy, { proof: first, state: 'cleared' }, { proof: both, state: 'cleared' });
    expect(looks).toBe(2);
    expect(readFileSync(join(copy, 'adm/approvals', `${HOP}.tlog-proof`))).toEqual(Buffer.from(both));
  });
});

test('an agent that does not answer for a moment is asked again', async () => {
  await inCopy(homes, async (copy) => {
    const down = new PhtError('unreachable', 'the peer is away');
    expect((await kept(copy, down, { proof: proven(), state: 'running' })).kept).toHaveProperty('file');
  });
});

test.each<[string, () => Answer, number, string]>([
  ['it is not there in time', () => ({ state: 'awaiting-clearance' }), 4, 'awaiting-clearance'],
  ['the hop ended otherwise', () => ({ state: 'sealed' }), 1, 'ended before'],
  [
    'only an older decision stands, on another case',
    () => ({
      proof: proven({ body: { byCommitment: digestOf('a'), caseDigest: digestOf('x') } }),
      state: 'cleared',
    }),
    4,
    'not acted',
  ],
  [
    'only a rejection stands',
    () => ({
      proof: proven({ body: { verdict: 'reject', byCommitment: digestOf('a'), caseDigest: CASE } }),
      state: 'delivered',
    }),
    1,
    'ended before',
  ],
  [
    'it is of another hop',
    () => ({ proof: proven({ hopId: hopIdOf(digestOf('other')) }), state: 'cleared' }),
    4,
    'instead',
  ],
  [
    "it is of a policy's clearance",
    () => ({ proof: proven({ body: { by: 'policy', caseDigest: CASE } }), state: 'cleared' }),
    4,
    "person's decision",
  ],
  [
    'it is none',
    () => ({ proof: Buffer.from('c2sp.org/tlog-proof@v1\n'), state: 'cleared' }),
    4,
    'does not hold',
  ],
])('when %s, nothing is kept and it is told', async (_name, answer, looksExpected, words) => {
  await inCopy(homes, async (copy) => {
    const { kept: told, looks } = await kept(copy, answer());
    expect(told).toEqual({ problem: expect.stringContaining(words) });
    expect(looks).toBe(looksExpected);
    expect(() => statSync(join(copy, 'adm/approvals'))).toThrow();
  });
});

test('a home that cannot be written takes nothing from the decision', async () => {
  await inCopy(homes, async (copy) => {
    writeFileSync(join(copy, 'adm/approvals'), 'not a folder');
    const { kept: told } = await kept(copy, { proof: proven(), state: 'cleared' });
    expect(told).toEqual({ problem: expect.stringContaining('approvals') });
  });
});

test('pht station proof fetches it again, and replaces the older one', async () => {
  const first = proven();
  let answer = { proof: first, state: 'running' };
  await withFakeAgent({ homes, network }, { proof: async () => answer }, async (copy, pht) => {
    const file = join(copy, 'adm/approvals', `${HOP}.tlog-proof`);
    mkdirSync(join(copy, 'adm/approvals'), { mode: 0o700 });
    writeFileSync(file, 'older');
    const json = await pht('proof', HOP, '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ hopId: HOP, verdict: 'approve', caseDigest: CASE, file });
    expect(readFileSync(file)).toEqual(Buffer.from(first));
    const { stdout } = await pht('proof', HOP);
    expect(stdout).toContain('no witnesses');
    answer = { proof: Buffer.from(NONE), state: 'awaiting-clearance' };
    const none = await pht('proof', HOP, '--json');
    expect(JSON.parse(none.stdout)).toMatchObject({ error: { code: 'not-found' } });
    expect(readFileSync(file)).toEqual(Buffer.from(first));
  });
});
