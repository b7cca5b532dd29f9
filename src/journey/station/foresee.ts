import { asPhtError, type ErrorCode, PhtError } from '../../model/error.ts';
import type { Reply, VerifiedInquiry } from '../../model/inquiry.ts';
import type { Datasets } from '../../ports/datasets.ts';
import type { Executor } from '../../ports/executor.ts';
import type { Policy, PolicyFacts } from '../../ports/policy.ts';
import type { WitnessStore } from '../../ports/witness.ts';
import { factsOf } from './decide.ts';
import { assertFits } from './inspect.ts';
import { assertSandbox } from './load.ts';
import { assertTrusted } from './order-proof.ts';
import type { Station } from './stages.ts';

export type ForeseePorts = {
  datasets: Pick<Datasets, 'list'>;
  policy: () => Policy;
  executor: Pick<Executor, 'probe'>;
  witness: Pick<WitnessStore, 'unresolved'>;
  /** Whom this station's track goes to: it would issue the order. */
  dispatcher: string;
};

/** `facts` and `policy` as far as it came to them. */
export type Foreseen = Pick<
  Reply,
  'dataset' | 'verdict' | 'code' | 'approvals' | 'reasons' | 'engineReady'
> & { facts: PolicyFacts | null; policy: Policy | null };

/** What says no to this train; anything else that is thrown is a trouble of the station's own. */
const DENIES: ReadonlySet<ErrorCode> = new Set([
  'dataset.unknown',
  'manifest.expired',
  'manifest.too-long',
  'quota.exceeded',
]);

const ENGINE_MS_MAX = 5_000;

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
    const manifest = { digest: inquiry.subject, predicate: { ...train, issuer } };
    const facts = factsOf({ manifest, dispatcher: ports.dispatcher }, station, nowMs);
    seen.facts = facts;
    return { ...seen, engineReady, ...wordOf(policy.decide(facts)) };
  } catch (thrown) {
    const { code, message } = asPhtError(thrown);
    const denies = DENIES.has(code);
    if (!denies) station.note('what a train would meet here cannot be said', { code });
    const reasons = denies ? [message] : [];
    return { ...seen, engineReady, verdict: denies ? 'deny' : 'error', code, approvals: 0, reasons };
  }
}

function wordOf({
  verdict,
  approvals,
  reasons,
  error,
}: ReturnType<Policy['decide']>): Pick<Foreseen, 'verdict' | 'code' | 'approvals' | 'reasons'> {
  if (error) return { verdict: 'error', code: 'policy.error', approvals: 0, reasons };
  if (verdict === 'deny') return { verdict, code: 'policy.denied', approvals: 0, reasons };
  return { verdict, code: null, approvals, reasons };
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
