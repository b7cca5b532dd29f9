import { readYaml } from '../adapters/home/yaml.ts';
import { type CaseResult, PolicyCases, tryCase } from '../adapters/policy/cases.ts';
import { openPolicy } from '../adapters/policy/cedar.ts';
import type { ErrorCode } from '../model/error.ts';
import { NO_LISTS } from '../model/lists.ts';
import type { Policy } from '../ports/policy.ts';
import { exitStatusOf } from './exit.ts';
import type { Frame } from './frame.ts';
import { besides, listsFile, type PolicyFiles, policyFile } from './station-policy-files.ts';
import { table, wrap } from './text.ts';

const FAILED: ErrorCode = 'policy.test-failed';

/** `pht station policy test`: each case of a file, against the policy that it names or that is meant for all. */
export function testPolicy(frame: Frame, file: string, options: PolicyFiles): void {
  const cases = readYaml(PolicyCases, file, 'the cases');
  const lists = listsFile(frame, options.lists) ?? NO_LISTS;
  const opened = new Map<string, Policy>();
  const policyFor = (name: string | undefined): Policy => {
    const key = name ?? '';
    const path = name === undefined ? options.policy : besides(file, name);
    const policy = opened.get(key) ?? openPolicy(policyFile(frame, path).bytes);
    opened.set(key, policy);
    return policy;
  };
  const results = cases.map((each) => tryCase(each, policyFor(each.policy), lists));
  const failed = results.filter(({ ok }) => !ok).length;
  frame.output.result(
    { ok: failed === 0, ...(failed === 0 ? {} : { code: FAILED }), failed, cases: results },
    linesOf(results, failed, frame),
  );
  if (failed > 0) process.exitCode = exitStatusOf(FAILED);
}

function linesOf(results: readonly CaseResult[], failed: number, { output }: Frame): string[] {
  const rows = results.map(({ name, ok, answer }) => [
    ok ? 'ok' : 'FAILED',
    name,
    answer.verdict,
    answer.rules.join(', '),
  ]);
  const [head = '', ...lines] = table(['', 'case', 'verdict', 'rules'], rows);
  const painted = lines.map((line, at) => (results[at]?.ok ? line : output.paint('red', line)));
  const wrong = results.filter(({ ok }) => !ok).flatMap(failureLines);
  const count = results.length === 1 ? '1 case' : `${results.length} cases`;
  const sum = failed === 0 ? `${count}, all as expected` : `${FAILED}: ${failed} of ${count} not as expected`;
  return [head, ...painted, ...wrong, '', sum];
}

function failureLines({ name, answer, misfits }: CaseResult): string[] {
  return [
    '',
    ...wrap(`${name}:`),
    ...misfits.flatMap((each) => wrap(each, 2)),
    ...answer.reasons.flatMap((reason) => wrap(`since ${reason}`, 4)),
  ];
}
