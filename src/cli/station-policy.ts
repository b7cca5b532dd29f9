import { readBounded } from '../adapters/home/files.ts';
import { checkPolicy, inWords } from '../adapters/policy/cedar.ts';
import { POLICY_BYTES_MAX } from '../adapters/policy/rules.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';

/** `pht station policy check`: reads a policy as a station would. */
export function checkPolicyFile(frame: Frame, file: string): void {
  const { ok, problems } = checkPolicy(readBounded(file, POLICY_BYTES_MAX, 'the policy'));
  const lines = problems.map(
    (problem) => `${problem.severity === 'error' ? 'error' : 'warning'}: ${inWords(problem)}`,
  );
  frame.output.result({ ok, problems }, [
    ...lines,
    ok ? `${file} is valid.` : `${file} is not valid: a station with it refuses every train.`,
  ]);
  if (!ok) process.exitCode = EXIT.usage;
}
