import { z } from 'zod';
import type { StationLists } from '../../model/lists.ts';
import { ShortText } from '../../model/schema.ts';
import type { Policy, PolicyAnswer } from '../../ports/policy.ts';
import { factsWith, SomeFacts } from './given-facts.ts';

/** What an admin expects of a policy, train by train. */

const CASES_MAX = 1000;

const Expected = z.strictObject({
  verdict: z.enum(['permit', 'ask', 'deny']),
  /** Ids of exactly the rules that decide, in any order. */
  rules: z.array(z.string().min(1).max(64)).max(200).optional(),
  approvals: z.union([z.literal(0), z.literal(1), z.literal(2)]).optional(),
});

const PolicyCase = z.strictObject({
  name: ShortText,
  /** A file beside the cases. */
  policy: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/, 'must be the name of a file beside this one')
    .optional(),
  facts: SomeFacts.default({}),
  expect: Expected,
});
export type PolicyCase = z.infer<typeof PolicyCase>;

export const PolicyCases = z
  .array(PolicyCase)
  .min(1)
  .max(CASES_MAX)
  .refine((cases) => new Set(cases.map(({ name }) => name)).size === cases.length, {
    message: 'two cases have one name',
  });

/** `misfits`: what was expected and what came, in words; empty where the case holds. */
export type CaseResult = { name: string; ok: boolean; answer: PolicyAnswer; misfits: string[] };

export function tryCase(
  { name, facts, expect }: PolicyCase,
  policy: Policy,
  lists: StationLists,
): CaseResult {
  const answer = policy.decide(factsWith(facts, lists));
  const misfits = [
    misfit('verdict', expect.verdict, answer.verdict),
    misfit('rules', expect.rules?.toSorted().join(', '), answer.rules.join(', ')),
    misfit('approvals', expect.approvals, answer.approvals),
  ].filter((each) => each !== null);
  return { name, ok: misfits.length === 0, answer, misfits };
}

function misfit(what: string, expected: string | number | undefined, came: string | number): string | null {
  if (expected === undefined || expected === came) return null;
  const said = (value: string | number): string => (value === '' ? 'none' : String(value));
  return `${what}: expected ${said(expected)}, came ${said(came)}`;
}
