import { checkPolicy, inWords } from '../adapters/policy/cedar.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';
import { listsFile, policyFile } from './station-policy-files.ts';

/** `pht station policy check`: reads a policy as a station would. */
export function checkPolicyFile(frame: Frame, file: string | undefined, options: { lists?: string }): void {
  const { path, bytes } = policyFile(frame, file);
  const { ok, rules, problems } = checkPolicy(bytes, listsFile(frame, options.lists));
  const lines = problems.map((problem) => {
    const style = problem.severity === 'error' ? 'red' : 'yellow';
    return `${frame.output.paint(style, `${problem.severity}:`)} ${inWords(problem)}`;
  });
  frame.output.result({ ok, rules, problems }, [...lines, ...verdictLines(path, ok, rules)]);
  if (!ok) process.exitCode = EXIT.usage;
}

function verdictLines(path: string, ok: boolean, rules: number): string[] {
  if (!ok) return [`${path} is not valid: a station with it refuses every train.`];
  const held = rules === 0 ? 'no rule, so nothing runs' : rules === 1 ? '1 rule' : `${rules} rules`;
  return [`${path} is valid (${held}).`];
}
