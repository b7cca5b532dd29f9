import { PhtError } from '../../model/error.ts';
import { type HopState, isSealed } from '../../model/hop.ts';
import type { DisclosureSettings } from '../../model/result/settings.ts';
import type { Manifest } from '../../model/train.ts';
import type { Datasets } from '../../ports/datasets.ts';
import type { Depot } from '../../ports/depot.ts';
import type { Executor } from '../../ports/executor.ts';
import type { Policy } from '../../ports/policy.ts';
import type { HopRecord, HopStore } from '../../ports/station-store.ts';
import type { WitnessStore } from '../../ports/witness.ts';
import { type ApprovalPorts, judgeCase } from './approvals.ts';
import { openCaseOf } from './clear.ts';
import { isPassing } from './close.ts';
import { createDecide } from './decide.ts';
import { createInspect } from './inspect.ts';
import { assertSandbox } from './load.ts';
import type { Decided, Inspected, Station } from './stages.ts';
import { assertStands } from './stands.ts';

export type DryRunPorts = ApprovalPorts & {
  hops: HopStore;
  datasets: Datasets;
  policy: () => Policy;
  witness: Pick<WitnessStore, 'unresolved'>;
  executor: Pick<Executor, 'probe'>;
  depot: Pick<Depot, 'status'>;
};

export type Gate = {
  name: 'inspect' | 'decide' | 'clear' | 'engine' | 'image' | 'disclosure';
  state: 'passes' | 'waits' | 'fails';
  code: string;
  text: string;
};

/** A hop in any other state has been cleared before. */
const OPEN: ReadonlySet<HopState> = new Set(['received', 'inspected', 'decided', 'awaiting-clearance']);

type Said = Omit<Gate, 'name'>;
const passes = (text: string): Said => ({ state: 'passes', code: '', text });

/**
 * What a hop would meet if it went on now, gate by gate, by the very steps that it will take. Nothing is moved, nothing
 * is written, and nothing is fetched but an image's config where a standing clearance speaks of code.
 */
export async function dryRun(hop: HopRecord, station: Station, ports: DryRunPorts): Promise<Gate[]> {
  if (isSealed(hop.state)) throw new PhtError('conflict', 'the hop has ended: there is nothing to try');
  const gates: Gate[] = [];
  const still = stillOf(station);
  const hops: HopStore = { ...ports.hops, move: (before) => before };
  const archive = { keepPolicy: () => undefined };
  const inspected = await tried(gates, 'inspect', async () => {
    const found = await createInspect(still, { ...ports, hops })(hop);
    return [found, passes('order, manifest, members, clock, limits and dataset are in order')];
  });
  const decided =
    inspected &&
    (await tried(gates, 'decide', async () => {
      const found = await createDecide(still, { ...ports, hops, archive })(inspected);
      return [found, saidOf(found)];
    }));
  if (decided) await tried(gates, 'clear', async () => [null, await clearing(decided, still, ports)]);
  await tried(gates, 'engine', async () => [null, await engine(station, ports)]);
  if (inspected) await tried(gates, 'image', async () => [null, await image(inspected, ports)]);
  if (decided) await tried(gates, 'disclosure', async () => [null, disclosing(decided)]);
  return gates;
}

/** Salts that nobody will ask for are not kept. */
function stillOf(station: Station): Station {
  return { ...station, commitments: { commit: () => '' }, note: () => undefined };
}

async function tried<T>(
  gates: Gate[],
  name: Gate['name'],
  attempt: () => Promise<[T, Said]>,
): Promise<T | undefined> {
  try {
    const [found, said] = await attempt();
    gates.push({ name, ...said });
    return found;
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    const { code, message, reasons } = thrown;
    const state = isPassing(code) ? 'waits' : 'fails';
    gates.push({ name, state, code, text: [message, ...reasons].join('; ') });
    return undefined;
  }
}

function saidOf({ answer }: Decided): Said {
  const asks = answer.verdict === 'ask' ? 'a person has to approve' : 'the policy permits the run';
  return passes(answer.approvals > 1 ? `${answer.approvals} persons have to approve` : asks);
}

async function clearing(decided: Decided, station: Station, ports: DryRunPorts): Promise<Said> {
  const { hop, answer, inspected } = decided;
  if (answer.verdict === 'permit') return passes('by the policy');
  const about = openCaseOf(decided);
  if (!OPEN.has(hop.state) && hop.notes.caseDigest === about.digest) {
    assertStands(hop, inspected.manifest.predicate.issuer, station, ports.clearances, true);
    return passes('cleared already, and the clearance stands');
  }
  const judged = await judgeCase(about, station, ports);
  if (judged.is === 'rejected') {
    throw new PhtError('clearance.rejected', `${judged.word.admin} has rejected it`);
  }
  const words = judged.is === 'approved' ? judged.words : judged.given;
  const by = words.length === 0 ? '' : `, by ${words.map(({ admin }) => admin).join(', ')}`;
  const text = `${words.length} of ${about.needed} approval${about.needed === 1 ? '' : 's'}${by}`;
  if (judged.is === 'waits') return { state: 'waits', code: '', text };
  return passes(judged.terms === null ? text : `${text}, by standing clearance`);
}

async function engine({ acceptEngineRisks }: Station, { executor }: DryRunPorts): Promise<Said> {
  await assertSandbox(executor, acceptEngineRisks);
  const { engine: name, runtime, proofs } = await executor.probe();
  return passes(`${name}, ${runtime}: ${proofs.length} limits proved by effect`);
}

async function image({ manifest }: Inspected, { depot }: DryRunPorts): Promise<Said> {
  const { layers, configDigest } = manifest.predicate.image;
  const digests = [configDigest, ...layers.map(({ diffId }) => diffId)];
  let here = 0;
  for (const digest of digests) if ((await depot.status(digest)).complete) here++;
  if (here === digests.length) return passes(`all ${here} blobs of the image are here`);
  const text = `${here} of ${digests.length} blobs of the image are here; the engine or the dispatcher has the others`;
  return { state: 'waits', code: '', text };
}

function disclosing({ disclosure, inspected }: Decided): Said {
  return passes(rulesOf(disclosure, inspected.manifest.predicate));
}

function rulesOf(settings: DisclosureSettings, { outputs }: Manifest): string {
  const { threshold, roundBase, dofMin, nkN, nkPercent, pPercent, significantDigits } = settings;
  return [
    `${outputs.kinds.join(', ')}: no count below ${threshold}`,
    `counts rounded to multiples of ${roundBase}`,
    ...(settings.zerosDisclosive ? ['empty cells hidden as well'] : []),
    `at least ${dofMin} degrees of freedom`,
    `the ${nkN} largest at most ${nkPercent}% of a sum`,
    `p-percent ${pPercent}`,
    `${significantDigits} significant digits`,
  ].join('; ');
}
