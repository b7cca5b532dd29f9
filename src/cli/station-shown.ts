import type { Gate, ImageHistory } from '../gen/pht/v1/admin_pb.ts';
import type { ShownStatement } from '../journey/admin/statements.ts';
import { minuteOf } from './station-case.ts';
import { wrap } from './text.ts';

/** The parts of `station show` that are the station's own memory: what the image did, who approved, what comes next. */

const INDENT = 2;

export function imageLines(image: ImageHistory | undefined): string[] {
  if (image === undefined || image.hops === 0) return wrap('never seen at this station before', INDENT);
  const { hops, released, refused, firstSeenMs, lastApprovedMs, lastApprovedBy } = image;
  const seen = `${counted(hops, 'hop')} since ${minuteOf(Number(firstSeenMs))}: ${released} released, ${refused} refused`;
  const approved =
    lastApprovedMs === 0n
      ? 'no person has approved it here'
      : `last approved by ${lastApprovedBy}, ${minuteOf(Number(lastApprovedMs))}`;
  return [...wrap(seen, INDENT), ...wrap(approved, INDENT)];
}

/** `1 of 2 approvals, by Nora Smit (nora)`; a statement that does not verify here is none. */
export function approvalLines(
  needed: number,
  statements: readonly ShownStatement[],
  titleOf: (member: string) => string,
): string[] {
  const by = statements.flatMap(({ opened }) => {
    if (opened === null) return [];
    return `${titleOf(opened.admin)}${opened.standing === null ? '' : ', by a standing clearance'}`;
  });
  const lines = [approvals(by.length, needed, by)];
  for (const shown of statements)
    if (shown.opened === null)
      lines.push(`statement ${shown.digest.slice(0, 16)}… does not hold here: ${shown.problem}`);
  return lines.flatMap((line) => wrap(line, INDENT));
}

/** @param needed 0 where nobody has to approve any more */
export function approvals(given: number, needed: number, by: readonly string[]): string {
  const of = needed === 0 ? `${given}` : `${given} of ${needed}`;
  const what = (needed === 0 ? given : needed) === 1 ? 'approval' : 'approvals';
  return `${of} ${what}${by.length === 0 ? '' : `, by ${by.join('; ')}`}`;
}

export function gateLines(
  gates: readonly Pick<Gate, 'name' | 'state' | 'code' | 'text'>[],
  problem: string | null,
): string[] {
  if (problem !== null) return wrap(`it cannot be told: ${problem}`, INDENT);
  return gates.flatMap(({ name, state, code, text }) => {
    const head = `  ${name.padEnd(11)}${state.padEnd(8)}`;
    const [first = '', ...rest] = wrap(code === '' ? text : `${code}: ${text}`, head.length);
    return [`${head}${first.trimStart()}`, ...rest];
  });
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
