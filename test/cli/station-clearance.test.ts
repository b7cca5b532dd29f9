import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadKey } from '../../src/adapters/home/keys.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { openCase, signClearance, signStanding } from '../../src/journey/admin/case.ts';
import { caseFile } from '../../src/model/case-file.ts';
import { verifyClearance } from '../../src/model/clearance.ts';
import { encodeEnvelope, parseEnvelope, payloadOf } from '../../src/model/dsse.ts';
import { PhtError } from '../../src/model/error.ts';
import { type Digest, digestOf, hopIdOf } from '../../src/model/id.ts';
import { codeDigestOf } from '../../src/model/image-code.ts';
import { verifyImageConfig } from '../../src/model/image-config.ts';
import type { Network } from '../../src/model/network.ts';
import { openNetwork } from '../../src/model/open-network.ts';
import { verifyStanding } from '../../src/model/standing.ts';
import { signStatement } from '../../src/model/statement.ts';
import { verifyManifest } from '../../src/model/train.ts';
import { verifyWithdrawal } from '../../src/model/withdrawal.ts';
import { makeImage } from '../fakes/trains.ts';
import { type Agent, withFakeAgent } from './fake-agent.ts';
import { inCopy, makeHomes, type Ran, run } from './rig.ts';

/** What an admin sees of a case, and signs about it, on the command line. */

const HOP = hopIdOf(digestOf('order'));
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const { image, blobs } = makeImage();
const config = blobs.get(image.configDigest) ?? new Uint8Array();

let homes: string;
let network: Network;
let shown: { caseFile: Uint8Array; manifest: Uint8Array };
let caseDigest: Digest;

const keyOf = async (home: string) =>
  createSigner(await loadKey(join(homes, home), 'statement', async () => ''));

beforeAll(async () => {
  homes = await makeHomes();
  const files = JSON.parse(readFileSync(join(homes, 'ams/network.json'), 'utf8')) as Parameters<
    typeof openNetwork
  >[0];
  network = openNetwork(files, null);
  const nowMs = Date.now();
  const predicate = {
    ...{ networkId: network.id, networkVersion: network.version, issuer: 'lee', title: 'Hello\u0020there' },
    purpose: { text: 'Count the rows of a dataset.', duo: ['DUO:0000006'] },
    ...{ image, dataset: 'cgd', parameters: { column: 'status' } },
    route: { pattern: 'parallel', stops: ['ams'], minStations: 1, deadlineMs: DAY_MS },
    limits: {
      ...{ memoryBytesMax: 64 * 1024 * 1024, cpuMillis: 1000, pidsMax: 16, wallMsMax: 30_000 },
      ...{ outputBytesMax: 16 * 1024, scratchBytesMax: 1024 * 1024 },
    },
    outputs: { schema: 'pht-result/v1', kinds: ['Frequencies'] },
    ...{ combine: false, recipients: [{ member: 'lee' }, { member: 'dpo' }] },
    ...{ nonce: '00112233445566778899aabbccddeeff', issuedAtMs: nowMs, expiresMs: nowMs + 30 * DAY_MS },
  };
  const subject = { name: 'image', digest: image.configDigest as Digest };
  const signed = signStatement('manifest', subject, predicate, await keyOf('lee'));
  const manifest = verifyManifest(signed.envelope, network, nowMs);
  const file = caseFile({
    ...{ station: 'ams', dispatcher: 'disp', manifest, network },
    ...{ snapshotDigest: digestOf('data'), policyDigest: digestOf('p'), disclosureDigest: digestOf('d') },
    lists: { researcher: [], image: [] },
  });
  shown = { caseFile: file.bytes, manifest: encodeEnvelope(signed.envelope) };
  caseDigest = file.digest;
});
afterAll(() => rmSync(homes, { recursive: true, force: true }));

async function admin() {
  return { id: 'adm', network, signer: await keyOf('adm'), nowMs: Date.now() };
}

const opened = () => openCase(shown, { station: 'ams', network, nowMs: Date.now() });

async function standingBytes(runsMax = 3): Promise<Uint8Array> {
  const wish = { scope: 'image', reason: 'ethics 2026-17', runsMax, expiresMs: Date.now() + DAY_MS } as const;
  return signStanding(opened(), wish, await admin());
}

const GATES = [
  { name: 'inspect', state: 'passes', code: '', text: 'order, manifest, members and dataset are in order' },
  {
    name: 'engine',
    state: 'waits',
    code: 'engine.unsafe',
    text: `the sandbox is not proved ${'x '.repeat(60)}`,
  },
];

const agentWith = (more: Partial<Agent> = {}): Partial<Agent> => ({
  show: async ({ config: asked }) => ({
    ...shown,
    ...{ state: 'awaiting-clearance', reasons: ['an admin decides'], log: new Uint8Array() },
    image: { hops: 3, released: 2, refused: 1, firstSeenMs: 1n, lastApprovedMs: 2n, lastApprovedBy: 'adm' },
    ...{ approvalsNeeded: 2, approvedBy: ['adm'], clearances: [], config: asked ? config : new Uint8Array() },
  }),
  dryRun: async () => ({ gates: GATES }),
  // A hop that has ended: nobody waits for a proof.
  proof: async () => ({ proof: new Uint8Array(), state: 'sealed' }),
  ...more,
});

const withAgent = (
  agent: Partial<Agent>,
  work: (pht: (...args: string[]) => Promise<Ran>) => Promise<void>,
): Promise<void> => withFakeAgent({ homes, network }, agentWith(agent), (_copy, pht) => work(pht));

/** What a decision was signed over, as the agent gets it. */
async function decided(...args: string[]): Promise<{ bytes: Uint8Array; ran: Ran }> {
  const got: Uint8Array[] = [];
  let ran: Ran | undefined;
  const decide: Agent['decide'] = async ({ clearance }) => {
    got.push(clearance);
    return { state: 'awaiting-clearance', approvalsNeeded: 2, approvedBy: ['adm'] };
  };
  await withAgent({ decide }, async (pht) => {
    ran = await pht(...args, '--json');
  });
  const [bytes] = got;
  if (bytes === undefined || ran === undefined) throw new Error(`nothing was decided: ${ran?.stdout}`);
  return { bytes, ran };
}

describe('show', () => {
  test('has everything on one page of 80 columns', async () => {
    const clearance = signClearance(opened(), { verdict: 'approve', reason: 'fine' }, await admin());
    const show: Agent['show'] = async (request, context) => ({
      ...(await agentWith().show?.(request, context)),
      clearances: [clearance],
    });
    await withAgent({ show }, async (pht) => {
      const { status, stdout } = await pht('show', HOP, '--no-difference');
      expect(status).toBe(0);
      for (const words of [
        ...['lee (lee), Org', 'disp (disp), Org', 'lee (lee); dpo (dpo)', '1 of 2 approvals, by adm (adm)'],
        ...['3 hops since', '2 released, 1 refused', 'last approved by adm', 'What it would meet now'],
        ...['inspect    passes', 'engine     waits   engine.unsafe', 'an admin decides', 'column = "status"'],
      ])
        expect(stdout).toContain(words);
      for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
      const json = JSON.parse((await pht('show', HOP, '--no-difference', '--json')).stdout);
      expect(json).toMatchObject({
        ...{ hopId: HOP, caseDigest, gates: GATES, approvalsNeeded: 2 },
        approvals: [{ by: 'adm', standing: false }],
        imageHistory: { hops: 3, released: 2, refused: 1, lastApprovedBy: 'adm' },
      });
    });
  });

  test('counts no approval that does not verify here, and acts on no escape sequence', async () => {
    const show: Agent['show'] = async (request, context) => ({
      ...(await agentWith().show?.(request, context)),
      clearances: [Buffer.from('{"forged":"\u001b[2J"}')],
      reasons: ['cleared\u001b[2J\u202e'],
    });
    const gates = [{ name: 'decide', state: 'passes', code: '', text: 'fine\u001b]0;owned\u0007' }];
    await withAgent({ show, dryRun: async () => ({ gates }) }, async (pht) => {
      const { stdout } = await pht('show', HOP, '--no-difference');
      expect(stdout).toContain('0 of 2 approvals');
      expect(stdout).toContain('does not hold here');
      expect(stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f\u202e]/);
    });
  });

  test('is shown also when the station cannot try', async () => {
    const dryRun: Agent['dryRun'] = async () => {
      throw new PhtError('engine.unreachable', 'the engine does not answer');
    };
    await withAgent({ dryRun }, async (pht) => {
      const { status, stdout } = await pht('show', HOP, '--no-difference');
      expect(status).toBe(0);
      expect(stdout).toContain('the engine does not answer');
    });
  });
});

describe('approve', () => {
  test('signs for this station, this case and at most seven days', async () => {
    const { bytes, ran } = await decided(
      'approve',
      HOP,
      '--reason',
      'fine',
      '--case',
      caseDigest.slice(0, 16),
    );
    const { predicate } = verifyClearance(
      parseEnvelope(bytes, 'clearance'),
      network,
      'ams',
      caseDigest,
      Date.now(),
    );
    expect(predicate).toMatchObject({ issuer: 'adm', station: 'ams', verdict: 'approve', reason: 'fine' });
    expect(predicate.expiresMs - predicate.issuedAtMs).toBe(7 * DAY_MS);
    expect(JSON.parse(ran.stdout)).toMatchObject({ approvalsNeeded: 2, approvedBy: ['adm'], standing: null });
  });

  test('for as long as is said', async () => {
    const { bytes } = await decided('approve', HOP, '--reason', 'fine', '--expires', '12h');
    const { predicate } = JSON.parse(Buffer.from(payloadOf(parseEnvelope(bytes, 'it'))).toString()) as {
      predicate: { issuedAtMs: number; expiresMs: number };
    };
    expect(predicate.expiresMs - predicate.issuedAtMs).toBe(12 * HOUR_MS);
  });

  const day = (days: number): string => new Date(Date.now() + days * DAY_MS).toISOString().slice(0, 10);

  test('standing: the terms of what was looked at, to the end of a day', async () => {
    const until = day(30);
    const args = ['approve', HOP, '--reason', 'fine', '--standing', '--runs', '20', '--until', until];
    const { bytes, ran } = await decided(...args);
    const at = { network, station: 'ams', nowMs: Date.now() };
    const { predicate } = verifyStanding(parseEnvelope(bytes, 'standing'), at);
    expect(predicate).toMatchObject({
      ...{ issuer: 'adm', researcher: 'lee', dataset: 'cgd', runsMax: 20, duo: ['DUO:0000006'] },
      ...{ recipients: ['dpo', 'lee'], outputKinds: ['Frequencies'], minCellCount: 0 },
      ...{ scope: { image: image.configDigest }, expiresMs: Date.parse(until) + DAY_MS },
      ...{ policyDigest: digestOf('p'), disclosureDigest: digestOf('d') },
    });
    expect(JSON.parse(ran.stdout)).toMatchObject({
      standing: { runsMax: 20, scope: 'image' },
      proof: { problem: expect.stringContaining('another person') },
    });
  });

  test('standing over the code: of the config whose digest was signed', async () => {
    const args = ['approve', HOP, '--reason', 'x', '--standing', '--runs', '1', '--until', day(2)];
    const { bytes } = await decided(...args, '--scope', 'code');
    const at = { network, station: 'ams', nowMs: Date.now() };
    expect(verifyStanding(parseEnvelope(bytes, 'standing'), at).predicate.scope).toEqual({
      code: codeDigestOf(verifyImageConfig(config, image), image),
      layers: image.layers.map(({ diffId }) => diffId),
    });
  });

  test('a config that the agent made up is not signed about', async () => {
    const show: Agent['show'] = async (request, context) => ({
      ...(await agentWith().show?.(request, context)),
      config: Buffer.from(Buffer.from(config).toString().replace('/count', '/other')),
    });
    const args = ['approve', HOP, '--reason', 'x', '--standing', '--runs', '1', '--until', day(2)];
    await withAgent({ show }, async (pht) => {
      const { status, stdout } = await pht(...args, '--scope', 'code', '--json');
      expect(status).toBe(4);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'image.mismatch' } });
    });
  });

  const R = ['--reason', 'r'];
  test.each([
    [['approve', HOP, ...R, '--expires', '8d']],
    [['approve', HOP, ...R, '--expires', 'soon']],
    [['approve', HOP, ...R, '--expires', '0h']],
    [['approve', HOP, ...R, '--runs', '2']],
    [['approve', HOP, ...R, '--until', '2030-01-01']],
    [['approve', HOP, ...R, '--scope', 'image']],
    [['approve', HOP, ...R, '--standing']],
    [['approve', HOP, ...R, '--standing', '--runs', '2']],
    [['approve', HOP, ...R, '--standing', '--runs', '0', '--until', day(2)]],
    [['approve', HOP, ...R, '--standing', '--runs', '1001', '--until', day(2)]],
    [['approve', HOP, ...R, '--standing', '--runs', '1.5', '--until', day(2)]],
    [['approve', HOP, ...R, '--standing', '--runs', '2', '--until', 'tomorrow']],
    [['approve', HOP, ...R, '--standing', '--runs', '2', '--until', '2027-02-30']],
    [['approve', HOP, ...R, '--standing', '--runs', '2', '--until', day(-2)]],
    [['approve', HOP, ...R, '--standing', '--runs', '2', '--until', day(400)]],
    [['approve', HOP, ...R, '--standing', '--runs', '2', '--until', day(2), '--scope', 'all']],
    [['approve', HOP, ...R, '--standing', '--runs', '2', '--until', day(2), '--expires', '2d']],
    [['approve', HOP, '--reason', '']],
    [['reject', HOP, ...R, '--standing']],
    [['withdraw', 'hop_x', ...R]],
    [['withdraw', 'abc', ...R]],
    [['withdraw', HOP]],
    [['withdraw', HOP, '--reason', 'x'.repeat(201)]],
    [['withdraw', HOP, '--reason', 'two\nlines']],
  ])('wrong use is told before anything is asked: %j', async (args) => {
    await inCopy(homes, async (copy) => {
      const { status, stdout } = await run(copy, ['--home', 'adm', 'station', ...args, '--json']);
      expect(status).toBe(2);
      expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'usage.invalid' } });
    });
  });
});

describe('standing', () => {
  test('lists each with what its own signature says, and no other words', async () => {
    const good = await standingBytes();
    const { payload, ...rest } = JSON.parse(Buffer.from(good).toString()) as { payload: string };
    const text = Buffer.from(payload, 'base64').toString().replace('"runsMax":3', '"runsMax":9');
    const forged = Buffer.from(JSON.stringify({ ...rest, payload: Buffer.from(text).toString('base64') }));
    const clearances = [
      { statement: good, runsUsed: 1, state: 'in-force' },
      { statement: forged, runsUsed: 0, state: 'in-force' },
      { statement: Buffer.from('nothing'), runsUsed: 0, state: 'withdrawn' },
    ];
    await withAgent({ standing: async () => ({ clearances }) }, async (pht) => {
      const { status, stdout } = await pht('standing');
      expect(status).toBe(0);
      expect(stdout).toContain('1 of 3 runs used');
      expect(stdout).toContain('signed by adm: ethics 2026-17');
      expect(stdout).not.toContain('of 9 runs');
      expect(stdout.split('does not hold here')).toHaveLength(3);
      for (const line of stdout.split('\n')) expect([...line].length).toBeLessThanOrEqual(80);
      const json = JSON.parse((await pht('standing', '--json')).stdout) as { clearances: object[] };
      expect(json.clearances).toMatchObject([
        { state: 'in-force', runsUsed: 1, runsMax: 3, by: 'adm', researcher: 'lee', dataset: 'cgd' },
        { problem: expect.any(String) },
        { problem: expect.any(String) },
      ]);
    });
  });

  test('says when there is none', async () => {
    await withAgent({ standing: async () => ({ clearances: [] }) }, async (pht) => {
      expect((await pht('standing')).stdout).toContain('no standing clearance');
    });
  });
});

describe('withdraw', () => {
  async function withdrawn(of: Partial<Agent>, wanted: string): Promise<{ said: string[]; ran: Ran }> {
    const said: string[] = [];
    let ran: Ran | undefined;
    const withdraw: Agent['withdraw'] = async ({ statement }) => {
      const at = { network, station: 'ams', nowMs: Date.now() };
      const { predicate } = verifyWithdrawal(parseEnvelope(statement, 'word'), at);
      expect(predicate).toMatchObject({ issuer: 'adm', station: 'ams', reason: 'a mistake' });
      said.push(predicate.clearanceDigest);
      return { hops: 1 };
    };
    await withAgent({ ...of, withdraw }, async (pht) => {
      ran = await pht('withdraw', wanted, '--reason', 'a mistake', '--json');
    });
    if (ran === undefined) throw new Error('nothing ran');
    return { said, ran };
  }
  const digestIn = (bytes: Uint8Array): string => digestOf(payloadOf(parseEnvelope(bytes, 'it')));

  test('by the hop: what it was cleared by', async () => {
    const clearance = signClearance(opened(), { verdict: 'approve', reason: 'fine' }, await admin());
    const show: Agent['show'] = async (request, context) => ({
      ...(await agentWith().show?.(request, context)),
      clearances: [clearance],
    });
    const { said, ran } = await withdrawn({ show }, HOP);
    expect(said).toEqual([digestIn(clearance)]);
    expect(JSON.parse(ran.stdout)).toMatchObject({ clearances: said, hops: 1 });
  });

  test('by the beginning of a standing one, or by all digits of any', async () => {
    const bytes = await standingBytes();
    const standing: Agent['standing'] = async () => ({
      clearances: [{ statement: bytes, runsUsed: 0, state: 'in-force' }],
    });
    expect((await withdrawn({ standing }, digestIn(bytes).slice(0, 16))).said).toEqual([digestIn(bytes)]);
    expect((await withdrawn({}, 'a'.repeat(64))).said).toEqual(['a'.repeat(64)]);
    const unknown = await withdrawn({ standing }, 'f'.repeat(16));
    expect(unknown.said).toEqual([]);
    expect(JSON.parse(unknown.ran.stdout)).toMatchObject({ error: { code: 'not-found' } });
  });

  test('of a hop that nobody approved', async () => {
    const { said, ran } = await withdrawn({}, HOP);
    expect(said).toEqual([]);
    expect(JSON.parse(ran.stdout)).toMatchObject({ error: { code: 'not-found' } });
  });
});

test('the inbox says how many persons have approved', async () => {
  const entry = {
    ...{ hopId: HOP, trainId: '', title: 'Hello', researcher: 'lee', dataset: 'cgd', outcome: '', code: '' },
    ...{ state: 'awaiting-clearance', receivedAtMs: 1n, problem: '', waitingSinceMs: 2n },
    ...{ approvalsNeeded: 2, approvedBy: ['adm'] },
  };
  const status: Agent['status'] = async () => ({ station: 'ams', connected: true });
  await withAgent({ status, inbox: async () => ({ entries: [entry] }) }, async (pht) => {
    expect((await pht('inbox')).stdout.replaceAll(/\s+/g, ' ')).toContain('1 of 2 approvals, by adm');
    expect(JSON.parse((await pht('inbox', '--json')).stdout)).toMatchObject({
      hops: [{ approvalsNeeded: 2, approvedBy: ['adm'], waitingSinceMs: 2 }],
    });
  });
});
