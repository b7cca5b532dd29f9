import type { DisclosedDecision } from '../../model/disclosure.ts';
import { PhtError } from '../../model/error.ts';
import { parseStrictJson } from '../../model/json.ts';
import type { LedgerEntry } from '../../model/ledger/entry.ts';
import { canonicalJson } from '../../model/result/canonical.ts';
import { SKEW_MS } from '../../model/skew.ts';
import type { ReplayDecision } from '../../ports/replay.ts';
import { textIn } from './entry.ts';

/** `replayed`: the same again. `erased`: what it was made from is gone for good. */
export type Replayed = { is: 'replayed' } | { is: 'erased' } | { is: 'contradicted'; why: string };

const JSON_BYTES_MAX = 256 * 1024;
const RULES_RECORDED = 20;

/** Makes a decision again and holds it against the one on record, and against the entry it is said to be of. */
export function judgeDecision(
  { policy, request, answer }: DisclosedDecision,
  entry: LedgerEntry,
  station: string,
  replay: ReplayDecision,
): Replayed {
  // The texts were held against their digests and commitments before.
  if (policy === null || request === null || answer === null) return { is: 'erased' };
  const misfit = misfitOf(request, entry, station);
  if (misfit !== null) return { is: 'contradicted', why: misfit };
  let again: ReturnType<ReplayDecision>;
  try {
    again = replay(policy, request);
  } catch (thrown) {
    if (!(thrown instanceof PhtError)) throw thrown;
    return { is: 'contradicted', why: `it cannot be made again: ${thrown.message}` };
  }
  if (canonicalJson(again) !== answer) {
    return { is: 'contradicted', why: `the same question to the same policy gives ${again.verdict}` };
  }
  const { body } = entry;
  const rules = again.rules.slice(0, RULES_RECORDED);
  const same =
    body['verdict'] === again.verdict &&
    body['error'] === again.error &&
    canonicalJson(body['rules'] ?? null) === canonicalJson(rules);
  return same
    ? { is: 'replayed' }
    : { is: 'contradicted', why: `the answer is ${again.verdict}; the log says ${textIn(body, 'verdict')}` };
}

/** An honest policy that was asked something else proves nothing. @returns what does not fit, or null */
function misfitOf(request: string, entry: LedgerEntry, station: string): string | null {
  const facts = factsIn(request);
  if (facts === null) return 'the archived question is none';
  if (facts.station !== station) return 'the archived question is of another station';
  if (facts.manifestDigest !== entry.manifestDigest) return 'the archived question is of another train';
  if (typeof facts.nowMs !== 'number' || Math.abs(facts.nowMs - entry.ts) > SKEW_MS)
    return 'the archived question was asked at another time';
  return null;
}

type Facts = { station: unknown; manifestDigest: unknown; nowMs: unknown; researcher: string | null };

/** What a request says of itself; null where it is none. */
export function factsIn(request: string): Facts | null {
  try {
    const value = parseStrictJson(Buffer.from(request), { bytesMax: JSON_BYTES_MAX, what: 'a request' });
    const whole = membersOf(value);
    const researcher = membersOf(whole['researcher'])['id'];
    return {
      station: whole['station'],
      nowMs: whole['nowMs'],
      manifestDigest: membersOf(whole['train'])['manifestDigest'],
      researcher: typeof researcher === 'string' ? researcher : null,
    };
  } catch (thrown) {
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
}

/** How many persons an answer asked for. */
export function approvalsIn(answer: string): number {
  try {
    const value = parseStrictJson(Buffer.from(answer), { bytesMax: JSON_BYTES_MAX, what: 'an answer' });
    const { approvals } = membersOf(value) as { approvals?: unknown };
    return approvals === 2 ? 2 : 1;
  } catch (thrown) {
    if (thrown instanceof PhtError) return 1;
    throw thrown;
  }
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {};
}
