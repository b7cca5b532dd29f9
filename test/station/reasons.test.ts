import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ERROR_CODES, PhtError } from '../../src/model/error.ts';
import { type ExplanationPredicate, verifyExplanation } from '../../src/model/receipt.ts';
import { EXPLANATION_LEVELS, type ExplanationLevel } from '../../src/model/refusal.ts';
import type { Manifest } from '../../src/model/train.ts';
import { type FakeNetwork, makeNetwork } from '../fakes/network.ts';
import { makeStation, openSealed, type Process, type Rig, receiptsOf } from '../fakes/station.ts';
import { makeOrder, makeTrain } from '../fakes/trains.ts';

/** Reasons reach the researcher, sealed to him, and hold no more than the station's configuration lets out. */

const NOW = 1_800_000_000_000;
const LIST = `@id("partners") @explain("partners alone")
  permit (principal, action == Action::"Run", resource)
  when { [Researcher::"otto", Researcher::"anna"].contains(principal) }
  when { context.train.cpuMillis <= 777 };`;

let fake: FakeNetwork;
let rig: Rig;
let station: Process;
beforeAll(async () => {
  fake = await makeNetwork({ stations: ['north'], researchers: ['rosa', 'otto'], nowMs: NOW });
});
beforeEach(() => {
  rig = makeStation(fake, NOW);
  station = rig.start();
});
afterEach(() => rig.close());

function at(level: ExplanationLevel): void {
  rig.settings.explanations = level;
  station = rig.start();
}

async function told(overrides: Partial<Manifest> = {}): Promise<ExplanationPredicate> {
  const train = makeTrain(fake, rig.image.image, NOW, overrides);
  const hopId = station.accept({ ...makeOrder(fake, train.digest, NOW), manifest: train.manifest });
  if (hopId === null) throw new Error('the order was not taken on');
  await station.visit(hopId);
  await station.post();
  const [receipt] = receiptsOf(rig, hopId);
  return verifyExplanation(await openSealed(rig, receipt?.jwe ?? new Uint8Array()), fake.network, 'north')
    .predicate;
}

describe('a denial', () => {
  beforeEach(() => rig.policy(LIST));

  test('names each clause in full, without other members', async () => {
    const { reasons } = await told();
    expect(reasons.join('\n')).toContain('context.train.cpuMillis <= 777');
    expect(reasons.join('\n')).not.toMatch(/otto|anna/);
  });

  test('nor those that a rule names with spaces in between, or who is the only one', async () => {
    rig.policy(
      LIST.replaceAll('::', ' ::\n  ').replace('(principal,', '(principal == Researcher  ::  "otto",'),
    );
    const { reasons } = await told();
    expect(reasons.join('\n')).toContain('context.train.cpuMillis <= 777');
    expect(reasons.join('\n')).not.toMatch(/otto|anna/);
  });

  test('names the rule alone, where rules are told', async () => {
    at('rules');
    const { text, reasons } = await told();
    expect(text).toBe("the station's policy does not permit the train");
    expect(reasons).toContain('partners: 2 of its conditions are not met');
    expect(JSON.stringify(reasons)).not.toMatch(/otto|anna|777|cpuMillis/);
  });

  test('names nothing, where codes are told', async () => {
    at('code');
    expect(await told()).toMatchObject({ code: 'policy.denied', text: '', reasons: [] });
  });
});

test('above the limits, the default tells that, and in full by which', async () => {
  const limits = { memoryBytesMax: 2 * 1024 ** 3, cpuMillis: 1000, pidsMax: 16 };
  const rest = { wallMsMax: 30_000, outputBytesMax: 16 * 1024, scratchBytesMax: 1024 * 1024 };
  expect((await told({ limits: { ...limits, ...rest } })).text).toContain('memoryBytesMax');
  at('rules');
  const { code, text } = await told({ limits: { ...limits, ...rest }, nonce: 'ff'.repeat(16) });
  expect([code, text]).toEqual([
    'quota.exceeded',
    'the train asks for more than the station gives to one train',
  ]);
});

test('a dataset that is not there is said to be that', async () => {
  at('rules');
  expect(await told({ dataset: 'nothing' })).toMatchObject({
    outcome: 'refused',
    code: 'dataset.unknown',
    text: 'the station offers no dataset of this name',
  });
});

test('no code that ends a hop carries a place or a name of the station', async () => {
  const secret = '/srv/research/cgd.csv at db.hospital.example for anna';
  const said = new Set<string>();
  for (const level of EXPLANATION_LEVELS) {
    for (const [number, code] of ERROR_CODES.entries()) {
      rig.settings.explanations = level;
      station = rig.start();
      const train = makeTrain(fake, rig.image.image, NOW, {
        nonce: `${EXPLANATION_LEVELS.indexOf(level)}${String(number).padStart(31, '0')}`,
      });
      const hopId = station.accept({ ...makeOrder(fake, train.digest, NOW), manifest: train.manifest }) ?? '';
      const hop = station.store.hops.find(hopId);
      if (hop === null) throw new Error('the order was not taken on');
      const closed = await station.steps.close(
        hop,
        new PhtError(code, 'told', { cause: secret, hint: secret }),
      );
      const opened = await openSealed(rig, closed.sealed?.jwe ?? new Uint8Array());
      const { predicate } = verifyExplanation(opened, fake.network, 'north');
      expect(JSON.stringify(predicate)).not.toContain('hospital');
      expect(predicate.code).toBe(code);
      said.add(level === 'code' ? predicate.text : level);
    }
  }
  expect([...said].sort()).toEqual(['', 'full', 'rules']);
}, 60_000);
