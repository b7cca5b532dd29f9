import { asPhtError, type ErrorCode, PhtError } from '../../model/error.ts';
import type { Reply, VerifiedInquiry } from '../../model/inquiry.ts';
import { disclosureDigest } from '../../model/result/settings.ts';
import { mayCoverImage } from '../../model/standing.ts';
import type { Datasets } from '../../ports/datasets.ts';
import type { Executor } from '../../ports/executor.ts';
import type { Policy, PolicyAnswer, PolicyFacts } from '../../ports/policy.ts';
import type { ClearanceStore } from '../../ports/station-store.ts';
import type { WitnessStore } from '../../ports/witness.ts';
import { type Covers, standingOn } from './approvals.ts';
import { disclosureFor } from './case.ts';
import { factsOf } from './decide.ts';
import { imageApprovedHere } from './image-history.ts';
import { assertFits } from './inspect.ts';
import { assertSandbox } from './load.ts';
import { assertTrusted } from './order-proof.ts';
import type { Station } from './stages.ts';

export type ForeseePorts = {
  datasets: Pick<Datasets, 'list'>;
  policy: () => Policy;
  executor: Pick<Executor, 'probe'>;
  witness: Pick<WitnessStore, 'unresolved'>;
  clearances: Pick<ClearanceStore, 'clearedWith' | 'hasCleared' | 'statement' | 'standing' | 'hasRun'>;
  /** Whom this station's track goes to: it would issue the order. */
  dispatcher: string;
};

type Answer = Pick<Reply, 'verdict' | 'code' | 'approvals'> & { message: string; reasons: readonly string[] };
type Standing = Reply['standing'];

/** `message` and `reasons` as a refusal has them, before it is weighed what of them is told; the last two as far as it came to them. */
export type Foreseen = Answer &
  Pick<Reply, 'dataset' | 'engineReady' | 'standing'> & { facts: PolicyFacts | null; policy: Policy | null };

/** What says no to this train; anything else that is thrown is a trouble of the station's own. */
const DENIES: ReadonlySet<ErrorCode> = new Set([
  'dataset.unknown',
  'manifest.expired',
  'manifest.too-long',
  'quota.exceeded',
]);

const ENGINE_MS_MAX = 5_000;
/** An inquiry is none, so no hop is left out. */
const NO_HOP = '';

/**
 * What a train would meet here now, step by step as `inspect` and `decide` have it. Of a dataset its public description
 * is looked at and nothing else: no file of it is opened, so the answer cannot depend on what it holds.
 */
export async function foresee(
  inquiry: VerifiedInquiry,
  station: Station,
  ports: ForeseePorts,
  nowMs: number,
): Promise<Foreseen> {
  const engineReady = await isEngineReady(ports.executor, station);
  const seen: Pick<Foreseen, 'dataset' | 'facts' | 'policy'> = { dataset: null, facts: null, policy: null };
  try {
    const { train, issuer } = inquiry.predicate;
    seen.dataset = await describedHere(inquiry, ports.datasets);
    assertTrusted(ports.dispatcher, ports.witness);
    if (nowMs >= train.expiresMs) throw new PhtError('manifest.expired', 'the manifest has expired');
    assertFits(train, station);
    if (!seen.dataset.offered) {
      throw new PhtError('dataset.unknown', `this station has no dataset ${train.dataset}`);
    }
    const policy = ports.policy();
    seen.policy = policy;
    const about = {
      manifest: { digest: inquiry.subject, predicate: { ...train, issuer } },
      dispatcher: ports.dispatcher,
      imageApprovedHere: imageApprovedHere(train.image.configDigest, NO_HOP, station, ports.clearances),
    };
    const facts = factsOf(about, station, nowMs);
    seen.facts = facts;
    const word = wordOf(policy.decide(facts));
    const standing =
      word.verdict === 'ask' ? await standingFor(inquiry, policy, word, station, ports) : 'none';
    return { ...seen, engineReady, ...word, standing };
  } catch (thrown) {
    const { code, message, reasons } = asPhtError(thrown);
    const denies = DENIES.has(code);
    if (!denies) station.note('what a train would meet here cannot be said', { code });
    const verdict = denies ? 'deny' : 'error';
    return { ...seen, engineReady, verdict, code, approvals: 0, standing: 'none', message, reasons };
  }
}

function wordOf({ verdict, approvals, reasons, error }: PolicyAnswer): Answer {
  const message = "this station's policy does not permit the train";
  if (error) return { verdict: 'error', code: 'policy.error', approvals: 0, message, reasons };
  if (verdict === 'deny') return { verdict, code: 'policy.denied', approvals: 0, message, reasons };
  return { verdict, code: null, approvals, message: '', reasons };
}

/**
 * As `clear` will hold them against the train, those of this researcher alone; no run is used. The image's config is not
 * here before the train is, and whether it happens to be, for another's train, shows in no answer: of a clearance over
 * code it is certain only that this very image ran on it before.
 */
async function standingFor(
  { subject, predicate: { train, issuer } }: VerifiedInquiry,
  policy: Policy,
  { approvals }: Answer,
  station: Station,
  { clearances }: ForeseePorts,
): Promise<Standing> {
  const about = {
    manifest: { ...train, issuer },
    policyDigest: policy.digest,
    disclosureDigest: disclosureDigest(disclosureFor(train, station)),
    visit: { manifestDigest: subject, round: 1, hopId: NO_HOP },
  } as const;
  const needed = Math.max(1, approvals);
  const approvedBy = async (covers: Covers): Promise<boolean> => {
    const agreed = await standingOn(about, station, clearances, covers);
    return agreed.some(({ words }) => words.length >= needed);
  };
  const { configDigest } = train.image;
  const possible: Covers = ({ predicate }) => mayCoverImage(predicate, train);
  const certain: Covers = (standing) =>
    possible(standing) &&
    ('image' in standing.predicate.scope || clearances.hasCleared(standing.digest, configDigest));
  if (await approvedBy(certain)) return 'covers';
  return (await approvedBy(possible)) ? 'may-cover' : 'none';
}

async function describedHere(
  { predicate: { train, columns } }: VerifiedInquiry,
  datasets: Pick<Datasets, 'list'>,
): Promise<NonNullable<Reply['dataset']>> {
  const described = (await datasets.list()).find(({ id }) => id === train.dataset);
  if (described === undefined) return { offered: false, missingColumns: [] };
  const names = new Set(described.columns.map(({ name }) => name));
  return { offered: true, missingColumns: columns.filter((name) => !names.has(name)) };
}

/** Yes or no: what is weak about an engine is nobody else's business. */
async function isEngineReady(executor: Pick<Executor, 'probe'>, station: Station): Promise<boolean> {
  const proved = assertSandbox(executor, station.acceptEngineRisks).then(
    () => true,
    () => false,
  );
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), ENGINE_MS_MAX);
  });
  try {
    return await Promise.race([proved, late]);
  } finally {
    clearTimeout(timer);
  }
}
