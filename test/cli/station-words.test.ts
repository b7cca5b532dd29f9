import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { verifyDisclosureRequest } from '../../src/model/disclosure.ts';
import { parseEnvelope } from '../../src/model/dsse.ts';
import { verifyErasure } from '../../src/model/erasure.ts';
import { PhtError } from '../../src/model/error.ts';
import { digestOf } from '../../src/model/id.ts';
import type { Network } from '../../src/model/network.ts';
import { openNetwork } from '../../src/model/open-network.ts';
import { type Agent, withFakeAgent } from './fake-agent.ts';
import { inCopy, makeHomes, type Ran, run } from './rig.ts';

/** What an admin signs on the command line, as the agent gets it, and what he is told. */

const TRAIN = 'trn_0123456789abcdef01234567';
const JWE = Buffer.from('{"sealed":"to the auditor"}');

let homes: string;
let network: Network;
beforeAll(async () => {
  homes = await makeHomes();
  const files = JSON.parse(readFileSync(join(homes, 'ams/network.json'), 'utf8')) as Parameters<
    typeof openNetwork
  >[0];
  network = openNetwork(files, null);
});
afterAll(() => rmSync(homes, { recursive: true, force: true }));

const withAgent = (
  agent: Partial<Agent>,
  work: (copy: string, pht: (...args: string[]) => Promise<Ran>) => Promise<void>,
): Promise<void> => withFakeAgent({ homes, network }, agent, work);

const at = () => ({ network, station: 'ams', nowMs: Date.now() });

test('disclose signs a fresh request and keeps the sealed file private, once', async () => {
  let calls = 0;
  const disclose: Agent['disclose'] = async ({ request }) => {
    calls++;
    const { predicate } = verifyDisclosureRequest(parseEnvelope(request, 'request'), at());
    expect(predicate).toMatchObject({ issuer: 'adm', station: 'ams', trainId: TRAIN, to: 'dpo' });
    return { jwe: JWE, hops: 2, erased: 1 };
  };
  await withAgent({ disclose }, async (copy, pht) => {
    const { status, stdout } = await pht('disclose', TRAIN, '--to', 'dpo');
    expect(status).toBe(0);
    expect(stdout).toContain('2 hops');
    expect(stdout).toContain('1 commitment in it cannot be opened');
    expect(stdout).toContain(digestOf(JWE).slice(0, 16));
    const file = join(copy, `${TRAIN}.ams.disclosure`);
    expect(readFileSync(file)).toEqual(JWE);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const again = await pht('disclose', TRAIN, '--to', 'dpo', '--json');
    expect(again.status).toBe(2);
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: 'usage.invalid' } });
    expect(calls).toBe(1);
    const named = await pht('disclose', TRAIN, '--to', 'dpo', '--out', 'again.disclosure', '--json');
    expect(JSON.parse(named.stdout)).toMatchObject({
      file: join(copy, 'again.disclosure'),
      hops: 2,
      erased: 1,
    });
  });
});

test('disclose says why the agent refused and leaves no file', async () => {
  const disclose: Agent['disclose'] = async () => {
    throw new PhtError('signer.unknown', 'lee is not a auditor of this network');
  };
  await withAgent({ disclose }, async (copy, pht) => {
    const { status, stdout } = await pht('disclose', TRAIN, '--to', 'lee', '--out', 'x', '--json');
    expect(status).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'signer.unknown' } });
    expect(() => statSync(join(copy, 'x'))).toThrow();
  });
});

test('forget signs whom and why, and says what went and what remains', async () => {
  const forget: Agent['forget'] = async ({ erasure }) => {
    const { predicate } = verifyErasure(parseEnvelope(erasure, 'erasure'), at());
    expect(predicate).toMatchObject({ issuer: 'adm', station: 'ams', member: 'lee', reason: 'asked' });
    return { salts: 3, clearances: 0, redacted: 1, open: 2 };
  };
  await withAgent({ forget }, async (_copy, pht) => {
    const { status, stdout } = await pht('forget', 'lee', '--reason', 'asked');
    expect(status).toBe(0);
    for (const words of [
      '3 salts',
      '0 signed decisions',
      '1 ended hop',
      '2 hops under way',
      'What remains:',
    ]) {
      expect(stdout).toContain(words);
    }
    const json = await pht('forget', 'lee', '--reason', 'asked', '--json');
    expect(JSON.parse(json.stdout)).toEqual({
      ...{ member: 'lee', station: 'ams', salts: 3, clearances: 0, redacted: 1, open: 2 },
    });
  });
});

test.each([
  [['disclose', 'hop_1', '--to', 'dpo']],
  [['disclose', TRAIN, '--to', '../x']],
  [['disclose', TRAIN]],
  [['forget', 'Lee!', '--reason', 'x']],
  [['forget', 'lee']],
])('wrong use is told before anything is signed: %j', async (args) => {
  await inCopy(homes, async (copy) => {
    const { status, stdout } = await run(copy, ['--home', 'adm', 'station', ...args, '--json']);
    expect(status).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'usage.invalid' } });
  });
});

test('a station cannot sign for its admin', async () => {
  await inCopy(homes, async (copy) => {
    const args = ['--home', 'ams', 'station', 'forget', 'lee', '--reason', 'x', '--json'];
    const { status } = await run(copy, args);
    expect(status).toBe(2);
  });
});
