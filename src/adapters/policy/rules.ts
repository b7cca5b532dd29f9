import type { DetailedError } from '@cedar-policy/cedar-wasm/nodejs';
import { PhtError } from '../../model/error.ts';
import { type Annotated, oneLine, readAnnotations } from './annotations.ts';
import { cedar } from './engine.ts';
import { policySchema } from './schema.ts';
import { lineAt, type Statement, splitPolicy } from './text.ts';

/** Reads and checks a station's policy text; whatever is not sound is named with its rule and line. */

export const POLICY_BYTES_MAX: number = 256 * 1024;

/** One `permit` or `forbid`, named by its `@id`. */
export type Rule = Statement & Annotated;

/** `line` counts from 1 and is absent where the whole text is meant. A warning does not keep a policy from loading. */
export type PolicyProblem = { severity: 'error' | 'warning'; line?: number; rule?: string; message: string };

export type RulesRead = { rules: Rule[]; problems: PolicyProblem[] };

const PROBLEMS_MAX = 50;

/** Never throws on a bad policy; every problem that can be told apart is reported, at most 50. */
export function readRules(bytes: Uint8Array): RulesRead {
  const problems: PolicyProblem[] = [];
  const rules: Rule[] = [];
  try {
    const text = decode(bytes);
    const statements = splitPolicy(text);
    for (const statement of statements) {
      const rule = ruleOf(statement, text, problems);
      if (rule !== undefined) rules.push(rule);
    }
    assertSameReading(text, statements, problems);
    namedOnce(rules, problems);
    if (!problems.some(isError)) problems.push(...validated(rules, text));
  } catch (thrown) {
    problems.push(problemOf(thrown));
  }
  // Errors first: however many warnings there are, none of them may push an error out.
  const sorted = [...problems.filter(isError), ...problems.filter((problem) => !isError(problem))];
  return { rules, problems: sorted.slice(0, PROBLEMS_MAX) };
}

export function isError(problem: PolicyProblem): boolean {
  return problem.severity === 'error';
}

function decode(bytes: Uint8Array): string {
  if (bytes.byteLength > POLICY_BYTES_MAX) {
    throw new PhtError(
      'policy.error',
      `it has ${bytes.byteLength} bytes; at most ${POLICY_BYTES_MAX} are read`,
    );
  }
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new PhtError('policy.error', 'it is not UTF-8', { cause });
  }
}

function problemOf(thrown: unknown): PolicyProblem {
  if (thrown instanceof PhtError) {
    const [, line, message] = /^line ([0-9]+): ([\s\S]*)$/.exec(thrown.message) ?? [];
    if (line === undefined || message === undefined) return { severity: 'error', message: thrown.message };
    return { severity: 'error', line: Number(line), message };
  }
  const detail = thrown instanceof Error ? thrown.message : 'unknown';
  return { severity: 'error', message: `Cedar gave up on this text: ${oneLine(detail)}` };
}

function ruleOf(statement: Statement, text: string, problems: PolicyProblem[]): Rule | undefined {
  const refuse = (message: string): undefined => {
    problems.push({ severity: 'error', line: statement.line, message });
    return undefined;
  };
  const answer = cedar().policyToJson(statement.text);
  if (answer.type === 'failure') {
    problems.push(...answer.errors.map((error) => placed(error, statement, text)));
    return undefined;
  }
  const read = readAnnotations(answer.json, statement.tokens);
  if ('refused' in read) return refuse(read.refused);
  const { id } = read.rule;
  const kinds = statement.clauses.map(({ kind }) => kind).join();
  if (answer.json.conditions.map(({ kind }) => kind).join() !== kinds)
    return refuse(`the clauses of ${id} cannot be told apart`);
  for (const message of read.warnings)
    problems.push({ severity: 'warning', line: statement.line, rule: id, message });
  return { ...statement, ...read.rule };
}

/** Two readers must see one policy: Cedar's own count of the rules in the whole text, against ours. */
function assertSameReading(text: string, statements: Statement[], problems: PolicyProblem[]): void {
  if (problems.some(isError)) return;
  const whole = cedar().policySetTextToParts(text);
  if (whole.type === 'failure') {
    problems.push(...whole.errors.map((error) => placed(error, { text, start: 0 }, text)));
  } else if (whole.policies.length !== statements.length || whole.policy_templates.length > 0) {
    problems.push({ severity: 'error', message: 'its rules cannot be told apart' });
  }
}

function namedOnce(rules: Rule[], problems: PolicyProblem[]): void {
  const lines = new Map<string, number>();
  for (const { id, line } of rules) {
    const before = lines.get(id);
    if (before === undefined) lines.set(id, line);
    else
      problems.push({
        severity: 'error',
        line,
        rule: id,
        message: `@id "${id}" is already used in line ${before}`,
      });
  }
}

function validated(rules: Rule[], text: string): PolicyProblem[] {
  const answer = cedar().validate({
    schema: policySchema().text,
    policies: { staticPolicies: policySetOf(rules) },
    validationSettings: { mode: 'strict' },
  });
  if (answer.type === 'failure') return answer.errors.map(({ message }) => ({ severity: 'error', message }));
  const byId = new Map(rules.map((rule) => [rule.id, rule]));
  const named = (
    severity: PolicyProblem['severity'],
    policyId: string,
    error: DetailedError,
  ): PolicyProblem => {
    const rule = byId.get(policyId);
    return rule === undefined
      ? { severity, message: worded(error) }
      : { ...placed(error, rule, text), severity, rule: policyId };
  };
  return [
    ...answer.validationErrors.map(({ policyId, error }) => named('error', policyId, error)),
    ...answer.validationWarnings.map(({ policyId, error }) => named('warning', policyId, error)),
  ];
}

export function policySetOf(rules: readonly Rule[]): Record<string, string> {
  return Object.fromEntries(rules.map(({ id, text }) => [id, text]));
}

/** Cedar counts positions in UTF-8 bytes from the start of the one statement it was given. */
function placed(
  error: DetailedError,
  { text: own, start }: { text: string; start: number },
  text: string,
): PolicyProblem {
  const label = error.sourceLocations?.[0];
  const before = Buffer.from(own, 'utf8')
    .subarray(0, label?.start ?? 0)
    .toString('utf8').length;
  const expected = label?.label == null ? '' : ` (${label.label})`;
  return { severity: 'error', line: lineAt(text, start + before), message: `${worded(error)}${expected}` };
}

function worded({ message, help }: DetailedError): string {
  // "for policy `id`, " repeats what the problem's own rule says.
  const words = [message, help].map((part) => oneLine(part ?? '').replace(/^for policy `[^`]*`, /, ''));
  return words.filter((part) => part !== '').join('; ');
}
