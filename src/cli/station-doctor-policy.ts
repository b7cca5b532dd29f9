import { readBounded } from '../adapters/home/files.ts';
import type { Home } from '../adapters/home/member.ts';
import { checkPolicy, inWords } from '../adapters/policy/cedar.ts';
import { isError, POLICY_BYTES_MAX, readRules } from '../adapters/policy/rules.ts';
import { type Finding, fail, ok, warn } from '../journey/station/doctor.ts';
import { asPhtError } from '../model/error.ts';
import type { StationLists } from '../model/lists.ts';
import { findingOf } from './station-doctor-home.ts';
import { policyPath } from './station-paths.ts';
import { listsOfHome } from './station-policy-files.ts';

/** The policy with the lists that it speaks of: the same problems, in the same words, as `pht station policy check`. */
export function lookAtPolicy(home: Pick<Home, 'dir'>): Finding[] {
  const path = policyPath(home.dir);
  const check = `pht --home ${home.dir} station policy check`;
  let bytes: Uint8Array;
  try {
    bytes = readBounded(path, POLICY_BYTES_MAX, 'the policy');
  } catch (thrown) {
    const { message } = asPhtError(thrown);
    return [fail('policy', 'policy.missing', `${message}; nothing runs`, `write ${path}, then: ${check}`)];
  }
  const found: Finding[] = [];
  let lists: StationLists | null = null;
  try {
    lists = listsOfHome(home.dir);
  } catch (thrown) {
    found.push(findingOf('lists', thrown, `correct ${home.dir}/lists.yaml; until then nothing runs`));
  }
  const { problems } = checkPolicy(bytes, lists);
  const errors = problems.filter(isError);
  for (const problem of errors) found.push(fail('policy', 'policy.error', inWords(problem), check));
  if (errors.length > 0) return found;
  return [
    ...found,
    ...problems.map((problem) => warn('policy', inWords(problem), check)),
    verdictOf(bytes, path),
  ];
}

function verdictOf(bytes: Uint8Array, path: string): Finding {
  const { rules } = readRules(bytes);
  if (rules.every(({ effect }) => effect === 'forbid'))
    return warn('policy', 'it is valid and permits nothing: every train is refused', `edit ${path}`);
  return ok('policy', `valid, ${rules.length} ${rules.length === 1 ? 'rule' : 'rules'}`);
}
