import { PhtError } from '../error.ts';
import { parseStrictJson } from '../json.ts';
import { PhtResult } from './schema.ts';

const KNOWN_KINDS: ReadonlySet<unknown> = new Set([
  'Frequencies',
  'LinearAggregations',
  'StatisticalHypothesisTests',
  'NotAvailable',
]);

/**
 * Raw `/out/result.json` to a typed result. The message names the place by member names of the schema alone, without
 * positions, sizes or anything that the train wrote, because it may reach the researcher; `cause` has it all.
 *
 * @throws PhtError `disclosure.withheld` for what is not `pht-result/v1`, `disclosure.held` for a kind without rules
 */
export function parseResult(raw: Uint8Array, bytesMax: number): PhtResult {
  const value = parseJson(raw, bytesMax);
  const outcome = PhtResult.safeParse(value);
  if (outcome.success) return outcome.data;
  const cause = outcome.error;
  if (hasUnknownKind(value)) {
    throw new PhtError('disclosure.held', 'the result has an output of a kind that no rule covers', {
      cause,
    });
  }
  const issue = cause.issues[0];
  const place = (issue?.path ?? [])
    .map((part) => (typeof part === 'number' ? '[]' : `.${String(part)}`))
    .join('');
  const where = place === '' ? 'its top level' : place.slice(1);
  throw new PhtError(
    'disclosure.withheld',
    `the result does not fit pht-result/v1 at ${where} (${issue?.code})`,
    {
      cause,
    },
  );
}

function parseJson(raw: Uint8Array, bytesMax: number): unknown {
  try {
    return parseStrictJson(raw, { bytesMax, depthMax: 12, what: 'the result' });
  } catch (cause) {
    const tooLarge = cause instanceof PhtError && cause.code === 'input.too-large';
    const why = tooLarge ? 'is larger than the limits allow' : 'is not strict JSON in UTF-8';
    throw new PhtError('disclosure.withheld', `the result ${why}`, { cause });
  }
}

function hasUnknownKind(value: unknown): boolean {
  if (value === null || typeof value !== 'object' || !('outputs' in value)) return false;
  if (!Array.isArray(value.outputs)) return false;
  return value.outputs.some(
    (output: unknown) =>
      output !== null &&
      typeof output === 'object' &&
      'kind' in output &&
      typeof output.kind === 'string' &&
      !KNOWN_KINDS.has(output.kind),
  );
}
