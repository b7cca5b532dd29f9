import { readYaml } from '../adapters/home/yaml.ts';
import {
  accountOf,
  type PartAccount,
  type PolicyAccount,
  type RuleAccount,
} from '../adapters/policy/account.ts';
import { factsWith, SomeFacts } from '../adapters/policy/given-facts.ts';
import { PhtError } from '../model/error.ts';
import { HopIdText } from '../model/id.ts';
import { NO_LISTS } from '../model/lists.ts';
import { check } from '../model/schema.ts';
import type { PolicyFacts } from '../ports/policy.ts';
import type { Frame } from './frame.ts';
import type { Output } from './output.ts';
import { type Socket, withAgent } from './station-agent.ts';
import { decisionsOf } from './station-policy-decisions.ts';
import { listsFile, type PolicyFiles, policyFile } from './station-policy-files.ts';
import { wrap } from './text.ts';

export type ExplainOptions = PolicyFiles & Socket & { facts?: string };

/** `pht station policy explain`: what each clause made of one train, past or thought up. */
export async function explain(frame: Frame, hop: string | undefined, options: ExplainOptions): Promise<void> {
  if ((hop === undefined) === (options.facts === undefined)) {
    throw new PhtError('usage.invalid', 'name either a hop or a file of facts with --facts');
  }
  // An empty one, of a variable that is not set, would mean the newest.
  if (hop !== undefined) check(HopIdText, hop, 'the hop', 'usage.invalid');
  const { facts, policy, about } =
    hop === undefined ? written(frame, options) : await past(frame, hop, options);
  const account = accountOf(policy, facts);
  frame.output.result({ ...about, ...account, facts }, linesOf(account, frame.output));
}

type Subject = { facts: PolicyFacts; policy: Uint8Array; about: object };

function written(frame: Frame, options: ExplainOptions): Subject {
  const given = readYaml(SomeFacts, options.facts ?? '', 'the facts');
  const { bytes } = policyFile(frame, options.policy);
  return { facts: factsWith(given, listsFile(frame, options.lists) ?? NO_LISTS), policy: bytes, about: {} };
}

/** By the policy that decided, unless another is named. */
async function past(frame: Frame, hopId: string, options: ExplainOptions): Promise<Subject> {
  const named = options.policy === undefined ? null : policyFile(frame, options.policy).bytes;
  return withAgent(frame, options, async (agent) => {
    for await (const { made, policy, decidedAtMs } of decisionsOf(agent, { hopId, decisionsMax: 1 })) {
      if (made === null) {
        throw new PhtError(
          'not-found',
          'what this decision was made from was erased; its ledger entry remains',
        );
      }
      return { facts: made.facts, policy: named ?? Buffer.from(policy), about: { hopId, decidedAtMs } };
    }
    throw new PhtError('not-found', 'the policy has not decided about such a hop here', {
      hint: 'pht station inbox --all lists the trains that came here',
    });
  });
}

function linesOf({ answer, rules }: PolicyAccount, output: Output): string[] {
  const { verdict, approvals, reasons } = answer;
  const persons = approvals === 0 ? '' : approvals === 1 ? ', by one person' : ', by two persons';
  return [
    output.paint('bold', `verdict  ${verdict}${persons}`),
    ...reasons.flatMap((reason) => wrap(`- ${reason}`, 2)),
    ...(rules.length === 0 ? ['', 'The policy has no rule.'] : []),
    ...rules.flatMap((rule) => ['', ...ruleLines(rule, output)]),
  ];
}

function ruleLines({ id, effect, line, actions, applies, parts }: RuleAccount, output: Output): string[] {
  const what = effect === 'forbid' ? 'forbid' : `permit ${actions.join(', ')}`;
  const head = `${id}, line ${line}: ${what}; ${applies ? 'applies' : 'does not apply'}`;
  return [
    output.paint('bold', head),
    ...(parts.length === 0 ? wrap('no condition: for every train', 2) : []),
    ...parts.flatMap((part) => partLines(part, output)),
  ];
}

const STATES = { met: 'met    ', 'not-met': 'NOT MET', error: 'ERROR  ' } as const;

function partLines({ kind, text, state, here, error }: PartAccount, output: Output): string[] {
  const condition = kind === 'unless' ? `unless ${text}` : text;
  const [first = '', ...more] = wrap(condition, 11);
  const mark = state === 'met' ? STATES.met : output.paint('red', STATES[state]);
  return [
    `  ${mark}  ${first.trimStart()}`,
    ...more,
    // Not deeper: a digest leaves room for no more.
    ...here.flatMap((value) => wrap(`here ${value}`, 4)),
    ...(error === undefined ? [] : wrap(`could not be evaluated: ${error}`, 4)),
  ];
}
