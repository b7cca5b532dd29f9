import { asPhtError, type ErrorCode, type PhtError } from '../error.ts';
import { canonicalJson } from './canonical.ts';
import { capacityBitsOf } from './capacity.ts';
import type { Codebook } from './codebook.ts';
import { type Ruled, ruleFrequencies } from './frequencies.ts';
import { ruleHypothesisTest, ruleNotAvailable } from './hypothesis-tests.ts';
import { ruleLinearAggregations } from './linear-aggregations.ts';
import { columnsOf, nameOutputs } from './naming.ts';
import { parseResult } from './parse.ts';
import { type Output, PhtResult } from './schema.ts';
import type { DisclosureSettings } from './settings.ts';
import type { HiddenCell } from './table.ts';

/** What a station does with one raw result. Reasons and transforms may reach the researcher: fixed, coarse phrases. */
export type Screening =
  | {
      readonly verdict: 'release';
      readonly result: PhtResult;
      /** Canonical JSON of `result` in UTF-8: the only bytes that leave. */
      readonly bytes: Uint8Array;
      readonly transforms: string[];
      /** Upper bound on what a dishonest train could hide in `bytes`. */
      readonly capacityBits: number;
    }
  | { readonly verdict: 'hold'; readonly reasons: string[] }
  | { readonly verdict: 'withhold'; readonly code: ErrorCode; readonly reason: string };

export type ScreeningTerms = {
  /** The station's, tightened by the manifest. */
  readonly settings: DisclosureSettings;
  readonly codebook: Codebook;
  /** `manifest.outputs.kinds`; `NotAvailable` is always allowed. */
  readonly kinds: readonly Output['kind'][];
  readonly bytesMax: number;
};

/**
 * The gate out: parse strictly, apply each family's rules, and write a new document from the parsed values in one
 * canonical order. Nothing of the train's own bytes passes.
 *
 * @param raw `/out/result.json` as the train left it
 * @returns never throws for anything a train wrote
 */
export function screenResult(raw: Uint8Array, terms: ScreeningTerms): Screening {
  const { settings, codebook } = terms;
  let parsed: PhtResult;
  try {
    parsed = parseResult(raw, terms.bytesMax);
  } catch (thrown) {
    return refusalOf(asPhtError(thrown));
  }
  const allowed = new Set<string>([...terms.kinds, 'NotAvailable']);
  if (!parsed.outputs.every((output) => allowed.has(output.kind))) {
    const reason = 'the result has an output of a kind that its manifest does not name';
    return { verdict: 'withhold', code: 'disclosure.withheld', reason };
  }
  const ordered = parsed.outputs.toSorted(byOrder);
  const wholeHolds = holdsOfWhole(ordered, settings);
  if (wholeHolds.length > 0) return { verdict: 'hold', reasons: wholeHolds };
  const ruled = ruleAll(ordered, settings, codebook);
  if ('hold' in ruled) return { verdict: 'hold', reasons: ruled.hold };
  const named = nameOutputs(ruled.outputs, codebook);
  const capacityBits = capacityBitsOf(named.outputs, settings, codebook);
  if (capacityBits > settings.bitsMax) {
    return { verdict: 'hold', reasons: ['the result could hide more than the station lets out unseen'] };
  }
  // What is released is what readers will accept.
  const result = PhtResult.parse({ schema: 'pht-result/v1', outputs: named.outputs });
  return {
    verdict: 'release',
    result,
    bytes: new TextEncoder().encode(canonicalJson(result)),
    transforms: [...new Set([...ruled.transforms, ...named.transforms])].sort(),
    capacityBits,
  };
}

function refusalOf(error: PhtError): Screening {
  if (error.code === 'disclosure.held') return { verdict: 'hold', reasons: [error.message] };
  if (error.code === 'disclosure.withheld')
    return { verdict: 'withhold', code: error.code, reason: error.message };
  throw error;
}

const KIND_ORDER: readonly Output['kind'][] = [
  'Frequencies',
  'LinearAggregations',
  'StatisticalHypothesisTests',
  'NotAvailable',
];

/** What an output is about. Two alike would be two populations: their difference is nobody's to see. */
function subjectOf(output: Output): string {
  const dims = 'dims' in output ? output.dims.map((dim) => dim.var).toSorted() : [];
  return JSON.stringify(['var' in output ? output.var : '', 'arm' in output ? output.arm : '', dims]);
}

function dimensionsOf(output: Output): number {
  return 'dims' in output ? output.dims.length : 0;
}

/** Kind, then fewer dimensions first (whose hidden cells bind the others), then subject. */
function byOrder(a: Output, b: Output): number {
  const byKind = KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind);
  if (byKind !== 0) return byKind;
  const byDimensions = dimensionsOf(a) - dimensionsOf(b);
  if (byDimensions !== 0) return byDimensions;
  const [left, right] = [subjectOf(a), subjectOf(b)];
  if (left !== right) return left < right ? -1 : 1;
  return a.id < b.id ? -1 : 1;
}

function holdsOfWhole(outputs: readonly Output[], settings: DisclosureSettings): string[] {
  const hold: string[] = [];
  if (outputs.length > settings.outputsMax)
    hold.push('the result has more outputs than the station lets out unseen');
  if (new Set(outputs.map((output) => output.id)).size !== outputs.length)
    hold.push('two outputs have one id');
  // A missing column may be said of its mean and of its histogram alike.
  const counted = outputs.filter((output) => output.kind !== 'NotAvailable');
  const subjects = counted.map((output) => `${output.kind} ${subjectOf(output)}`);
  if (new Set(subjects).size !== subjects.length) hold.push('two outputs of one kind have the same columns');
  const cuts = new Map<string, string>();
  for (const dim of outputs.flatMap((output) => ('dims' in output ? output.dims : []))) {
    const cut = JSON.stringify('levels' in dim ? dim.levels.toSorted() : dim.breaks);
    if ((cuts.get(dim.var) ?? cut) !== cut) hold.push('one column is cut in two ways');
    cuts.set(dim.var, cut);
  }
  return [...new Set(hold)];
}

function ruleAll(
  ordered: readonly Output[],
  settings: DisclosureSettings,
  codebook: Codebook,
): { outputs: Output[]; transforms: string[] } | { hold: string[] } {
  const outputs: Output[] = [];
  const transforms: string[] = [];
  const hold: string[] = [];
  const hiddenCounts: HiddenCell[] = [];
  const hiddenMeans = new Map<string, HiddenCell[]>();
  for (const output of ordered) {
    const elsewhere = [...hiddenCounts, ...(hiddenMeans.get(columnsOf(output)[0] ?? '') ?? [])];
    const ruled = ruleOne(output, settings, codebook, elsewhere);
    if ('hold' in ruled) {
      hold.push(...ruled.hold);
      continue;
    }
    outputs.push(ruled.output);
    transforms.push(...ruled.transforms);
    if (output.kind === 'Frequencies') hiddenCounts.push(...ruled.hidden);
    if (output.kind === 'LinearAggregations') {
      hiddenMeans.set(output.var, [...(hiddenMeans.get(output.var) ?? []), ...ruled.hidden]);
    }
  }
  return hold.length > 0 ? { hold: [...new Set(hold)].sort() } : { outputs, transforms };
}

function ruleOne(
  output: Output,
  settings: DisclosureSettings,
  codebook: Codebook,
  elsewhere: readonly HiddenCell[],
): Ruled<Output> {
  switch (output.kind) {
    case 'Frequencies':
      return ruleFrequencies(output, settings, codebook, elsewhere);
    case 'LinearAggregations':
      return ruleLinearAggregations(output, settings, codebook, elsewhere);
    case 'StatisticalHypothesisTests':
      return ruleHypothesisTest(output, settings, codebook);
    case 'NotAvailable':
      return ruleNotAvailable(output, codebook);
  }
}
