import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { listsReader } from '../../src/cli/station-files.ts';
import { NO_LISTS } from '../../src/model/lists.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { ASK, makeStation, PERMIT, type Process, type Rig, receiptsOf } from '../fakes/station.ts';
import { ranTrain } from '../fakes/words.ts';

/** Policy files as mistakes and malice make them: what a train meets, and what stands in the ledger. */

const NOW = Date.UTC(2026, 5, 1, 12);
const OVERFLOW = 'context.train.memoryBytesMax * 9223372036854775807 > 0';

let fake: FakeNetwork;
let rig: Rig;
let station: Process;

beforeAll(async () => {
  fake = await makeNetwork({ admins: { nora: 'north' }, researchers: ['rosa'], nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

const bodyOf = (type: string): Record<string, unknown> | undefined =>
  station.entries().find((entry) => entry.type === type)?.body;

async function met(): Promise<string> {
  const { hopId } = await ranTrain(rig, station);
  const [receipt] = receiptsOf(rig, hopId);
  return `${receipt?.outcome} ${receipt?.code}`;
}

describe('a policy that no station would load refuses every train', () => {
  test.each([
    [
      'a typo in a fact',
      `${PERMIT}@id("t") permit (principal, action, resource) when { context.train.pidMax < 9 };`,
    ],
    ['a typo in an action', PERMIT.replace('"Run"', '"Rnu"')],
    ['a typo in an annotation', ASK.replace('@explain', '@aprovals("2") @explain')],
    ['a number of persons that there is not', ASK.replace('@explain', '@approvals("0") @explain')],
    ['duplicate ids', `${PERMIT}${PERMIT.replace('permit (', 'forbid (')}`],
    ['a rule without its name', 'permit (principal, action, resource);'],
    ['half a rule', PERMIT.slice(0, -10)],
    ['brackets without end', `@id("a") permit (principal, action, resource) when { ${'('.repeat(9000)} };`],
  ])('%s', async (_, policy) => {
    rig.policy(policy);
    expect(await met()).toBe('refused policy.error');
    expect(bodyOf('receipt.issued')).toMatchObject({ outcome: 'refused', code: 'policy.error' });
    // It could not be asked, so that there is no decision of it.
    expect(bodyOf('policy.decided')).toBeUndefined();
    expect(rig.executor.runs).toEqual([]);
  });
});

describe('a rule that cannot be evaluated refuses the train, whatever else permits it', () => {
  test.each([
    [
      'a forbid that overflows',
      `${PERMIT}@id("e") forbid (principal, action, resource) when { ${OVERFLOW} };`,
      'e',
    ],
    [
      'a permit that overflows',
      `${PERMIT}@id("e") permit (principal, action, resource) when { ${OVERFLOW} };`,
      'e',
    ],
    [
      'an error in the action that was not needed',
      `${PERMIT}@id("e") permit (principal, action == Action::"RunIfApproved", resource) when { ${OVERFLOW} };`,
      'e',
    ],
    [
      'an error in Run where a person would have been asked',
      `${ASK}@id("e") permit (principal, action == Action::"Run", resource) when { ${OVERFLOW} };`,
      'e',
    ],
  ])('%s', async (_, policy, rule) => {
    rig.policy(policy);
    expect(await met()).toBe('refused policy.error');
    expect(bodyOf('policy.decided')).toMatchObject({ verdict: 'deny', rules: [rule], error: true });
    expect(bodyOf('receipt.issued')).toMatchObject({ outcome: 'refused', code: 'policy.error' });
    expect(rig.executor.runs).toEqual([]);
  });
});

describe('lists', () => {
  const KNOWN = '@id("known") permit (principal in List::"known", action == Action::"Run", resource);';

  test('are read when the policy is asked', async () => {
    rig.policy(KNOWN);
    expect(await met()).toBe('refused policy.denied');
    expect(bodyOf('policy.decided')).toMatchObject({ verdict: 'deny', rules: [], error: false });
    rig.settings.lists = { researchers: { known: ['rosa'] }, images: {} };
    const { hopId } = await ranTrain(rig, station, { attempt: 2 });
    expect(receiptsOf(rig, hopId)[0]?.outcome).toBe('released');
  });

  test('that cannot be read let nothing run', async () => {
    rig.policy(PERMIT);
    const lists = listsReader(rig.dir);
    Object.defineProperty(rig.settings, 'lists', { get: lists });
    writeFileSync(join(rig.dir, 'lists.yaml'), 'researchers: { known: [rosa');
    expect(await met()).toBe('refused policy.error');
    expect(bodyOf('policy.decided')).toBeUndefined();
    expect(rig.executor.runs).toEqual([]);
    writeFileSync(join(rig.dir, 'lists.yaml'), 'researchers: { known: [rosa] }');
    expect(lists()).toEqual({ researchers: { known: ['rosa'] }, images: {} });
    rmSync(join(rig.dir, 'lists.yaml'));
    expect(lists()).toEqual(NO_LISTS);
  });
});
