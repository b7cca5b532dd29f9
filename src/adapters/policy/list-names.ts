import type { StationLists } from '../../model/lists.ts';
import type { PolicyProblem, Rule } from './rules.ts';
import { lineAt, type Token } from './text.ts';

const BETWEEN: ReadonlySet<string> = new Set(['[', ',', '::', 'List']);

/** A `List::"…"` that the station does not have never holds anybody: most likely a typo. */

export function unknownLists(rules: readonly Rule[], text: string, lists: StationLists): PolicyProblem[] {
  return rules.flatMap((rule) =>
    rule.tokens.flatMap((token, at): PolicyProblem[] => {
      const name = nameAt(rule.tokens, at);
      if (name === null) return [];
      const message = misfit(name, subjectBefore(rule.tokens, at - 2), lists);
      if (message === null) return [];
      return [{ severity: 'warning', line: lineAt(text, token.start), rule: rule.id, message }];
    }),
  );
}

/** The name in `List::"name"`, for the token of the string. */
function nameAt(tokens: readonly Token[], at: number): string | null {
  const token = tokens[at];
  if (token?.kind !== 'string' || tokens[at - 1]?.text !== '::' || tokens[at - 2]?.text !== 'List')
    return null;
  return token.text.slice(1, -1);
}

type Kind = keyof StationLists;

/** Whom the rule asks for: `principal in …` is about researchers, `….image in …` about images; else not known. */
function subjectBefore(tokens: readonly Token[], list: number): Kind | null {
  let at = list - 1;
  // In `in [List::"a", List::"b"]` other names may stand between.
  while (tokens[at]?.kind === 'string' || BETWEEN.has(tokens[at]?.text ?? '')) at -= 1;
  if (tokens[at]?.text !== 'in') return null;
  const before = tokens[at - 1]?.text;
  // `principal is Researcher in …`
  if (before === 'principal' || before === 'Researcher') return 'researchers';
  return before === 'image' || before === 'Image' ? 'images' : null;
}

function misfit(name: string, kind: Kind | null, lists: StationLists): string | null {
  const has = (each: Kind): boolean => Object.hasOwn(lists[each], name);
  if (kind === null ? has('researchers') || has('images') : has(kind)) return null;
  const where = kind === null ? 'in lists.yaml' : `among the \`${kind}\` of lists.yaml`;
  const known =
    kind === null
      ? [...Object.keys(lists.researchers), ...Object.keys(lists.images)]
      : Object.keys(lists[kind]);
  const there = known.length === 0 ? 'there is none' : `there are: ${known.slice(0, 10).join(', ')}`;
  return `List::"${name.slice(0, 60)}" is not ${where}; ${there}`;
}
