import type { ErrorCode, PhtError } from '../../model/error.ts';
import { type ExplanationLevel, refusalOf } from '../../model/refusal.ts';

/**
 * Codes whose own words were written for the researcher: about his train and this station's conditions. Everything else
 * can name paths, hosts, or who signed what.
 */
const TOLD_IN_FULL: ReadonlySet<ErrorCode> = new Set([
  'policy.denied',
  'clearance.rejected',
  'disclosure.withheld',
  'disclosure.held',
  'quota.exceeded',
  'manifest.too-long',
  'manifest.expired',
  'order.expired',
  'order.invalid',
  'replayed',
  'stale.epoch',
  'deadline.passed',
  'witness.unreachable',
  'run.failed',
  'dataset.changed',
  'cancelled',
  'image.unsafe',
]);

/** What a person at the station wrote to the researcher, or a fact without any value of the station. */
const TOLD_BY_RULES: ReadonlySet<ErrorCode> = new Set(['clearance.rejected', 'deadline.passed', 'cancelled']);

const TEXT_CHARS_MAX = 2000;
const REASONS_MAX = 50;
const REASON_CHARS_MAX = 500;

export type Told = { text: string; reasons: string[] };

/** @param researcher the member id of the one who reads it; other members in a rule's text are left out */
export function tell(
  { code, message, reasons }: Pick<PhtError, 'code' | 'message' | 'reasons'>,
  level: ExplanationLevel,
  researcher: string,
): Told {
  if (level === 'code') return { text: '', reasons: [] };
  const own = level === 'full' ? TOLD_IN_FULL.has(code) : TOLD_BY_RULES.has(code);
  const text = own ? message : refusalOf(code).text;
  const each = reasonsOf(code, reasons, level);
  return {
    text: text.slice(0, TEXT_CHARS_MAX),
    reasons: each
      .slice(0, REASONS_MAX)
      .map((reason) => withoutOthers(reason, researcher).slice(0, REASON_CHARS_MAX)),
  };
}

function reasonsOf(code: ErrorCode, reasons: readonly string[], level: ExplanationLevel): readonly string[] {
  if (!TOLD_IN_FULL.has(code)) return [];
  if (level === 'full') return reasons;
  return code === 'policy.denied' ? rulesIn(reasons) : [];
}

/** As the policy words a reason: the rule's id, then its `@explain` or a condition of it. */
const REASON = /^([A-Za-z0-9._-]{1,64}): (.*)$/s;
const CLAUSE = /^(?:not met: |must not be so: |is for .*, not for )/s;

/** Which rules failed: each once, with its `@explain` where a forbid has one, and how many of its conditions. */
function rulesIn(reasons: readonly string[]): string[] {
  const failed = new Map<string, { clauses: number; explained: string[] }>();
  const plain: string[] = [];
  for (const reason of reasons) {
    const [, rule, why] = REASON.exec(reason) ?? [];
    if (rule === undefined || why === undefined) {
      plain.push(reason);
      continue;
    }
    const known = failed.get(rule) ?? { clauses: 0, explained: [] };
    failed.set(rule, known);
    if (CLAUSE.test(why)) known.clauses += 1;
    else known.explained.push(why);
  }
  const rules = [...failed].map(([rule, { clauses, explained }]) => {
    if (clauses === 0) return `${rule}: ${explained.join('; ')}`;
    return `${rule}: ${clauses} of its conditions ${clauses === 1 ? 'is' : 'are'} not met`;
  });
  return [...rules, ...plain];
}

/** Cedar lets spaces stand in a name. */
const PERSON = /\bResearcher\s*::\s*"((?:[^"\\]|\\.)*)"?/g;

/** A rule may list people; whoever is refused learns of nobody but himself. */
function withoutOthers(reason: string, researcher: string): string {
  return reason.replace(PERSON, (_, id: string) => `Researcher::"${id === researcher ? id : '…'}"`);
}
