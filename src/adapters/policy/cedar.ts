import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { StationLists } from '../../model/lists.ts';
import type { Policy, PolicyAnswer, PolicyFacts } from '../../ports/policy.ts';
import { oneLine } from './annotations.ts';
import { type Misfit, misfits } from './explain.ts';
import { requestOf } from './facts.ts';
import { unknownLists } from './list-names.ts';
import { evaluate, type Prepared, preparePolicy } from './prepared.ts';
import { isError, type PolicyProblem, type Rule, readRules } from './rules.ts';

/**
 * The policy port over Cedar. Cedar has no third answer, so there are two actions: `Run` permitted means permit, else
 * `RunIfApproved` permitted means ask, else deny. A forbid or an error in either denies, since Cedar *skips* a forbid
 * that errs.
 */

const REASONS_MAX = 24;
const REASON_CHARS_MAX = 700;

/** `ok` means that a station would load it; `problems` then holds warnings only. */
export type PolicyCheck = { ok: boolean; rules: number; problems: PolicyProblem[] };

/** @param lists of the station that would use it, so that a rule about a list that is not there is found */
export function checkPolicy(bytes: Uint8Array, lists: StationLists | null = null): PolicyCheck {
  const { rules, problems } = readRules(bytes);
  const ok = !problems.some(isError);
  const strange = ok && lists !== null ? unknownLists(rules, Buffer.from(bytes).toString('utf8'), lists) : [];
  return { ok, rules: rules.length, problems: [...problems, ...strange] };
}

/**
 * @param bytes the exact policy text: at most 256 KiB of UTF-8; no rules at all is valid and denies everything
 * @throws PhtError `policy.error`, naming the line and the rule
 */
export function openPolicy(bytes: Uint8Array): Policy {
  const rules = soundRules(bytes);
  const digest = digestOf(bytes);
  const prepared = preparePolicy(digest, rules);
  // It was read as strict UTF-8, so this is the one text with these bytes.
  const text = Buffer.from(bytes).toString('utf8');
  return { digest, text, decide: (facts) => decide(prepared, facts) };
}

/** @throws PhtError `policy.error`, naming the line and the rule */
export function soundRules(bytes: Uint8Array): Rule[] {
  const { rules, problems } = readRules(bytes);
  const errors = problems.filter(isError);
  const [first] = errors;
  if (first === undefined) return rules;
  const others = errors.length === 1 ? '' : ` (and ${errors.length - 1} more)`;
  throw new PhtError('policy.error', `the policy is not sound: ${inWords(first)}${others}`, {
    hint: 'pht station policy check FILE lists every problem',
  });
}

export function inWords({ line, rule, message }: PolicyProblem): string {
  return `${line === undefined ? '' : `line ${line}: `}${rule === undefined ? '' : `rule ${rule}: `}${message}`;
}

/** Never throws: whatever goes wrong is a deny that says so. */
function decide(policy: Prepared, facts: PolicyFacts): PolicyAnswer {
  try {
    return judged(policy, facts);
  } catch (thrown) {
    const detail = thrown instanceof Error ? thrown.message : 'unknown';
    const told = thrown instanceof PhtError ? '' : 'the facts of this train could not be evaluated: ';
    return erred([], [`${told}${oneLine(detail)}`]);
  }
}

function judged(policy: Prepared, facts: PolicyFacts): PolicyAnswer {
  const request = requestOf(facts);
  const { errors, forbids, permits } = evaluate(policy, request);
  if (errors.length > 0) {
    // Cedar's own order of errors differs from call to call, and an auditor compares every byte.
    const reasons = errors
      .map(({ rule, message }) => `${rule}: could not be evaluated: ${oneLine(message)}`)
      .toSorted();
    return erred(
      errors.map(({ rule }) => rule),
      reasons,
    );
  }
  if (forbids.length > 0) return answered('deny', forbids, explained(policy, forbids, 'forbidden'));
  if (permits.Run.length > 0) {
    return answered('permit', permits.Run, explained(policy, permits.Run, 'permitted'));
  }
  if (permits.RunIfApproved.length > 0) {
    const rules = permits.RunIfApproved;
    const why = explained(policy, rules, 'permitted if approved');
    const persons = rules.some((id) => policy.byId.get(id)?.approvals === 2) ? 2 : 1;
    const notRun = nearestFirst(misfits(policy, ['Run'], request));
    return { ...answered('ask', rules, [...why, ...notRun]), approvals: persons };
  }
  if (policy.permits.length === 0) return answered('deny', [], ["the station's policy permits nothing yet"]);
  return answered('deny', [], nearestFirst(misfits(policy, ['Run', 'RunIfApproved'], request)));
}

/** In the policy's own order, unless there is more than anybody reads: then the rules that lack least come first. */
function nearestFirst(all: readonly Misfit[]): string[] {
  const total = all.reduce((sum, { unmet }) => sum + unmet, 0);
  if (total <= REASONS_MAX) return all.flatMap(({ inWords: words }) => words());
  const reasons = new Set<string>();
  let complete = true;
  for (const { inWords: words } of all.toSorted((a, b) => a.distance - b.distance)) {
    complete = reasons.size < REASONS_MAX;
    if (!complete) break;
    for (const reason of words()) reasons.add(reason);
  }
  if (complete && reasons.size <= REASONS_MAX) return [...reasons];
  return [...[...reasons].slice(0, REASONS_MAX - 1), 'and conditions of further rules'];
}

function explained({ byId }: Prepared, ids: readonly string[], otherwise: string): string[] {
  return ids.toSorted().map((id) => `${id}: ${byId.get(id)?.explain ?? otherwise}`);
}

function erred(rules: string[], reasons: string[]): PolicyAnswer {
  return { ...answered('deny', rules, reasons), error: true };
}

/** One order for the same facts, always: an auditor replays decisions. */
function answered(verdict: PolicyAnswer['verdict'], rules: string[], reasons: string[]): PolicyAnswer {
  const each = [...new Set(reasons.map((reason) => reason.slice(0, REASON_CHARS_MAX)))];
  const left = each.length - REASONS_MAX;
  const bounded = left > 0 ? [...each.slice(0, REASONS_MAX), `and ${left} more`] : each;
  return { verdict, rules: [...new Set(rules)].toSorted(), reasons: bounded, approvals: 0, error: false };
}
