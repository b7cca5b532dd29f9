import type { Response } from '@cedar-policy/cedar-wasm/nodejs';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import type { Policy, PolicyAnswer, PolicyFacts } from '../../ports/policy.ts';
import { cedar } from './engine.ts';
import { type Action, prepareProbes, unmet } from './explain.ts';
import { type Request, requestOf } from './facts.ts';
import { isError, oneLine, type PolicyProblem, policySetOf, type Rule, readRules } from './rules.ts';
import { POLICY_SCHEMA } from './schema.ts';

/**
 * The policy port over Cedar. Cedar has no third answer, so two actions are asked: `Run` permitted means permit, else
 * `RunIfApproved` permitted means ask, else deny. A forbid or an error in either denies, since Cedar *skips* a forbid
 * that errs.
 */

const REASONS_MAX = 24;
const REASON_CHARS_MAX = 700;
const SCHEMA_NAME = `schema:${digestOf(POLICY_SCHEMA)}`;

/** `ok` means that a station would load it; `problems` then holds warnings only. */
export type PolicyCheck = { ok: boolean; problems: PolicyProblem[] };

export function checkPolicy(bytes: Uint8Array): PolicyCheck {
  const { problems } = readRules(bytes);
  return { ok: !problems.some(isError), problems };
}

/**
 * @param bytes the exact policy text: at most 256 KiB of UTF-8; no rules at all is valid and denies everything
 * @throws PhtError `policy.error`, naming the line and the rule
 */
export function openPolicy(bytes: Uint8Array): Policy {
  const { rules, problems } = readRules(bytes);
  const errors = problems.filter(isError);
  const [first] = errors;
  if (first !== undefined) {
    const others = errors.length === 1 ? '' : ` (and ${errors.length - 1} more)`;
    throw new PhtError('policy.error', `the policy is not sound: ${inWords(first)}${others}`, {
      hint: 'pht station policy check FILE lists every problem',
    });
  }
  const digest = digestOf(bytes);
  // Cedar's cache is global and never freed: named by content, the same text is kept once and never another's.
  const names: Names = { rules: `policy:${digest}`, probes: `probes:${digest}` };
  const permits = rules.filter(({ effect }) => effect === 'permit');
  prepare(names, rules, permits);
  const byId = new Map(rules.map((rule) => [rule.id, rule]));
  // It was read as strict UTF-8, so this is the one text with these bytes.
  const text = Buffer.from(bytes).toString('utf8');
  return { digest, text, decide: (facts) => decide({ names, permits, byId }, facts) };
}

export function inWords({ line, rule, message }: PolicyProblem): string {
  return `${line === undefined ? '' : `line ${line}: `}${rule === undefined ? '' : `rule ${rule}: `}${message}`;
}

type Names = { rules: string; probes: string };
type Prepared = { names: Names; permits: Rule[]; byId: Map<string, Rule> };

function prepare(names: Names, rules: Rule[], permits: Rule[]): void {
  const schema = cedar().preparseSchema(SCHEMA_NAME, POLICY_SCHEMA);
  const set = cedar().preparsePolicySet(names.rules, { staticPolicies: policySetOf(rules) });
  for (const answer of [schema, set]) {
    if (answer.type === 'success') continue;
    throw new PhtError(
      'policy.error',
      `the policy cannot be prepared: ${answer.errors[0]?.message ?? 'unknown'}`,
    );
  }
  prepareProbes(names.probes, permits);
}

/** Never throws: whatever goes wrong is a deny that says so. */
function decide(policy: Prepared, facts: PolicyFacts): PolicyAnswer {
  try {
    const request = requestOf(facts);
    const run = evaluated(policy, 'Run', request);
    const approved = evaluated(policy, 'RunIfApproved', request);
    if (typeof run === 'string') return erred([], [run]);
    if (typeof approved === 'string') return erred([], [approved]);
    return judged(policy, request, run, approved);
  } catch (thrown) {
    const detail = thrown instanceof Error ? thrown.message : 'unknown';
    return erred([], [`the facts of this train could not be evaluated: ${oneLine(detail)}`]);
  }
}

/** Cedar's response, or in words why there is none. */
function evaluated({ names }: Prepared, action: Action, request: Request): Response | string {
  const answer = cedar().statefulIsAuthorized({
    ...request,
    action: { type: 'Action', id: action },
    preparsedPolicySetId: names.rules,
    preparsedSchemaName: SCHEMA_NAME,
    validateRequest: true,
  });
  if (answer.type === 'success') return answer.response;
  return `the facts of this train do not fit the policy's schema: ${oneLine(answer.errors[0]?.message ?? 'unknown')}`;
}

function judged(policy: Prepared, request: Request, run: Response, approved: Response): PolicyAnswer {
  const errors = [...run.diagnostics.errors, ...approved.diagnostics.errors];
  if (errors.length > 0) {
    const rules = errors.map(({ policyId }) => policyId);
    const reasons = errors.map(
      ({ policyId, error }) => `${policyId}: could not be evaluated: ${oneLine(error.message)}`,
    );
    return erred(rules, reasons);
  }
  // Cedar gives rules with a deny only where a forbid applied.
  const forbids = [run, approved].flatMap(({ decision, diagnostics }) =>
    decision === 'deny' ? diagnostics.reason : [],
  );
  if (forbids.length > 0) return answered('deny', forbids, explained(policy, forbids, 'forbidden'));
  if (run.decision === 'allow') {
    return answered('permit', run.diagnostics.reason, explained(policy, run.diagnostics.reason, 'permitted'));
  }
  const { permits, names } = policy;
  const notRun = unmet(names.probes, SCHEMA_NAME, permits, 'Run', request);
  if (approved.decision === 'allow') {
    const rules = approved.diagnostics.reason;
    return answered('ask', rules, [...explained(policy, rules, 'permitted if approved'), ...notRun]);
  }
  if (permits.length === 0) return answered('deny', [], ["the station's policy permits nothing yet"]);
  return answered(
    'deny',
    [],
    [...notRun, ...unmet(names.probes, SCHEMA_NAME, permits, 'RunIfApproved', request)],
  );
}

function explained({ byId }: Prepared, ids: string[], otherwise: string): string[] {
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
  return { verdict, rules: [...new Set(rules)].toSorted(), reasons: bounded, error: false };
}
