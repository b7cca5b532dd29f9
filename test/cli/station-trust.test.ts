import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadKey } from '../../src/adapters/home/keys.ts';
import { createSigner } from '../../src/adapters/signer/ed25519.ts';
import { parseEnvelope } from '../../src/model/dsse.ts';
import { signCheckpoint } from '../../src/model/ledger/checkpoint.ts';
import { leafHash } from '../../src/model/ledger/merkle.ts';
import { conflictDigest, parseMisconduct, verifyMisconduct } from '../../src/model/ledger/misconduct.ts';
import { ledgerOrigin, logKey } from '../../src/model/ledger/origin.ts';
import type { Network } from '../../src/model/network.ts';
import { openNetwork } from '../../src/model/open-network.ts';
import { verifyTrust } from '../../src/model/trust.ts';
import { type Agent, withFakeAgent } from './fake-agent.ts';
import { inCopy, makeHomes, run } from './rig.ts';

/** What an admin sees of a dispatcher with two histories, and signs about it. */

const FOUND = Date.UTC(2026, 5, 1, 12);
const noPassphrase = async (): Promise<string> => '';

let homes: string;
let network: Network;
let conflict: Awaited<ReturnType<typeof forked>>;
beforeAll(async () => {
  homes = await makeHomes();
  const files = JSON.parse(readFileSync(join(homes, 'ams/network.json'), 'utf8')) as Parameters<
    typeof openNetwork
  >[0];
  network = openNetwork(files, null);
  conflict = await forked(5);
});
afterAll(() => rmSync(homes, { recursive: true, force: true }));

/** Two heads of the dispatcher's ledger that cannot both be true, as the agent shows them. */
async function forked(size: number) {
  const signer = createSigner(await loadKey(join(homes, 'disp'), 'log', noPassphrase));
  const origin = ledgerOrigin(network.id, 'disp');
  const key = logKey(origin, signer.publicJwk);
  const notes = ['a', 'b'].map((text) =>
    signCheckpoint(
      { origin, size, root: leafHash(Buffer.from(text)), extensions: [] },
      { key, sign: signer.sign },
    ),
  );
  const pair = { origin, size, notes: [notes[0] ?? '', notes[1] ?? ''] as const };
  const shown = { member: 'disp', origin, size: BigInt(size), notes, foundAtMs: BigInt(FOUND) };
  return { ...shown, conflictDigest: conflictDigest(pair), verdict: '', decidedAtMs: 0n };
}

const shows = (...found: object[]): Partial<Agent> => ({ conflicts: async () => ({ conflicts: found }) });

test('conflicts writes evidence that holds before anybody, and says what to do', async () => {
  const more = { ...(await forked(6)), verdict: 'resume', decidedAtMs: BigInt(FOUND) };
  await withFakeAgent({ homes, network }, shows(conflict, more), async (copy, pht) => {
    const { status, stdout } = await pht('conflicts', '--out', 'evidence');
    expect(status).toBe(0);
    for (const words of ['nobody has decided', 'trusted again since', 'pht audit misconduct', '--stop'])
      expect(stdout).toContain(words);
    for (const line of stdout.split('\n'))
      if (!line.includes(copy)) expect(line.length).toBeLessThanOrEqual(80);
    const files = readdirSync(join(copy, 'evidence'));
    expect(files).toHaveLength(2);
    const file = join(copy, 'evidence', `disp-5-${conflict.conflictDigest.slice(0, 16)}.misconduct`);
    const misconduct = parseMisconduct(readFileSync(file));
    const jwk = network.members.get('disp')?.keys.log;
    if (jwk === undefined) throw new Error('the network file names no log key');
    verifyMisconduct(misconduct, logKey(conflict.origin, jwk));
    const json = await pht('conflicts', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({
      conflicts: [
        { member: 'disp', size: 5, conflictDigest: conflict.conflictDigest, verdict: '', decidedAtMs: null },
        { member: 'disp', size: 6, verdict: 'resume', decidedAtMs: FOUND, file: null, problem: null },
      ],
    });
  });
});

test('evidence that does not verify here is told as such, and no file is made of it', async () => {
  const false_ = { ...conflict, notes: [conflict.notes[0], conflict.notes[0]] };
  await withFakeAgent({ homes, network }, shows(false_), async (copy, pht) => {
    const { status, stdout } = await pht('conflicts', '--out', 'evidence', '--json');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ conflicts: [{ file: null, problem: expect.any(String) }] });
    expect(readdirSync(join(copy, 'evidence'))).toEqual([]);
    const refused = await pht(
      ...['trust', 'disp', '--conflict', conflict.conflictDigest, '--resume', '--reason', 'x', '--json'],
    );
    expect(refused.status).toBe(4);
  });
});

test('without any there is nothing to write', async () => {
  await withFakeAgent({ homes, network }, shows(), async (copy, pht) => {
    const { status, stdout } = await pht('conflicts', '--out', 'evidence');
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('No ledger') });
    expect(existsSync(join(copy, 'evidence'))).toBe(false);
  });
});

test('trust signs over the evidence that was looked at', async () => {
  const said: object[] = [];
  const trust: Agent['trust'] = async ({ statement }) => {
    const at = { network, station: 'ams', nowMs: Date.now() };
    said.push(verifyTrust(parseEnvelope(statement, 'word'), at).predicate);
    return { unresolved: 0, hops: 2 };
  };
  const { conflictDigest } = conflict;
  await withFakeAgent({ homes, network }, { ...shows(conflict), trust }, async (_copy, pht) => {
    const about = ['trust', 'disp', '--conflict', conflictDigest.slice(0, 32)];
    const { status, stdout } = await pht(...about, '--resume', '--reason', 'a restored backup');
    expect(status).toBe(0);
    expect(stdout).toContain('2 that waited look again');
    const json = await pht(...about, '--stop', '--reason', 'called the operator', '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ member: 'disp', verdict: 'stop', conflictDigest });
    const other = await pht(
      'trust',
      'disp',
      '--conflict',
      'f'.repeat(32),
      '--stop',
      '--reason',
      'x',
      '--json',
    );
    expect(JSON.parse(other.stdout)).toMatchObject({ error: { code: 'not-found' } });
  });
  expect(said).toMatchObject([
    {
      issuer: 'adm',
      station: 'ams',
      member: 'disp',
      conflictDigest,
      verdict: 'resume',
      reason: 'a restored backup',
    },
    { issuer: 'adm', verdict: 'stop', reason: 'called the operator' },
  ]);
});

test('the inbox tells in one line whom nobody believes', async () => {
  const status: Agent['status'] = async () => ({ station: 'ams', connected: true, distrusted: ['disp'] });
  const agent = { status, inbox: async () => ({ entries: [] }) };
  await withFakeAgent({ homes, network }, agent, async (_copy, pht) => {
    const { stdout } = await pht('inbox');
    expect(stdout.split('\n').filter((line) => line.includes('disp'))).toHaveLength(1);
    expect(stdout).toContain('pht station conflicts');
    expect(JSON.parse((await pht('inbox', '--json')).stdout)).toMatchObject({ distrusted: ['disp'] });
  });
});

const DIGEST = '0123456789abcdef';
test.each([
  [['trust', 'disp', '--conflict', DIGEST, '--reason', 'x']],
  [['trust', 'disp', '--conflict', DIGEST, '--resume', '--stop', '--reason', 'x']],
  [['trust', 'disp', '--conflict', DIGEST, '--resume']],
  [['trust', 'disp', '--resume', '--reason', 'x']],
  [['trust', 'Disp!', '--conflict', DIGEST, '--resume', '--reason', 'x']],
  [['trust', 'disp', '--conflict', DIGEST, '--resume', '--reason', 'x'.repeat(201)]],
  [['proof', 'hop_x']],
])('wrong use is told before anything is signed: %j', async (args) => {
  await inCopy(homes, async (copy) => {
    const { status, stdout } = await run(copy, ['--home', 'adm', 'station', ...args, '--json']);
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'usage.invalid' } });
  });
});
