import { type Codebook, isNumeric, readAxes } from './codebook.ts';
import type { Ruled } from './frequencies.ts';
import { roundSignificant, roundToBase } from './numbers.ts';
import type { Evidence, LinearAggregations } from './schema.ts';
import type { DisclosureSettings } from './settings.ts';
import { suppressedCells } from './suppress.ts';
import { arrange, type HiddenCell, labelsOf, shapeOf, slabsOf } from './table.ts';

type Group = LinearAggregations['groups'][number];

/** What sums in binary floating point may be off by. */
const RELATIVE_TOLERANCE = 1e-6;

/**
 * Means and standard deviations: enough patients per group, nobody dominating (SACRO: NKCheck, PPercentCheck, over
 * absolute values), enough degrees of freedom for the sd. A group that fails is hidden whole, and so is another
 * wherever totals would give it away. Evidence is checked and dropped.
 *
 * @param hiddenElsewhere hidden cells of this result's counts, and of means of the same column
 */
export function ruleLinearAggregations(
  output: LinearAggregations,
  settings: DisclosureSettings,
  codebook: Codebook,
  hiddenElsewhere: readonly HiddenCell[] = [],
): Ruled<LinearAggregations> {
  const column = codebook.columns.get(output.var);
  if (column === undefined || !isNumeric(column)) {
    return { hold: ['a mean is of a column that the dataset does not describe as numeric'] };
  }
  if (output.unit !== undefined && output.unit !== column.unit) {
    return { hold: ['a mean has another unit than the dataset describes'] };
  }
  const axes = readAxes(output.dims, codebook);
  if ('hold' in axes) return axes;
  const groups = arrange(output.groups, axes);
  if (groups === undefined)
    return { hold: ['a table does not have every cell of its dimensions exactly once'] };
  const hold = evidenceHolds(groups, settings);
  if (hold.length > 0) return { hold };
  const hidden = suppressedCells(
    groups.map((group) => group.n),
    shapeOf(axes.dims),
    {
      ...settings,
      withheld: groups.map((group) => isDominated(group, settings)),
      slabs: slabsOf(axes.dims, hiddenElsewhere),
    },
  );
  return {
    output: {
      id: output.id,
      kind: 'LinearAggregations',
      ...(output.title === undefined ? {} : { title: output.title }),
      var: output.var,
      // Always the codebook's, so that giving or omitting it tells nothing.
      ...(column.unit === undefined ? {} : { unit: column.unit }),
      dims: axes.dims,
      groups: groups.map((group, at) => reEmit(group, hidden[at] !== false, settings)),
    },
    transforms: [
      'means: rounded, evidence dropped',
      ...(hidden.some(Boolean) ? ['means: groups suppressed'] : []),
    ],
    hidden: groups.flatMap(({ k }, at) => (hidden[at] ? [labelsOf(axes.dims, k)] : [])),
  };
}

function reEmit({ k, n, mean, sd }: Group, hidden: boolean, settings: DisclosureSettings): Group {
  if (hidden || n === null) return { k, n: null, mean: null, sd: null };
  const digits = settings.significantDigits;
  const sdHolds = n >= settings.threshold && n - 1 >= settings.dofMin;
  return {
    k,
    n: roundToBase(n, settings.roundBase),
    mean: mean === null ? null : roundSignificant(mean, digits),
    sd: sd === null || !sdHolds ? null : roundSignificant(sd, digits),
  };
}

/** Only groups large enough to show need evidence. */
function evidenceHolds(groups: readonly Group[], { threshold }: DisclosureSettings): string[] {
  const hold = new Set<string>();
  for (const { n, mean, sd, evidence } of groups) {
    // What is said of a small group decides nothing: a hold would tell it apart.
    if (n === null || n < threshold) continue;
    if (mean === null) {
      if (sd !== null) hold.add('a standard deviation comes without its mean');
    } else if (evidence === undefined) {
      hold.add('a mean comes without the evidence that the dominance rules need');
    } else if (!isConsistent(n, mean, evidence)) {
      hold.add('the evidence of a mean contradicts itself');
    }
  }
  return [...hold];
}

function isConsistent(n: number, mean: number, { absSum, absMax, absTop2Sum }: Evidence): boolean {
  const atMost = (a: number, b: number): boolean =>
    a <= b + RELATIVE_TOLERANCE * Math.max(Math.abs(a), Math.abs(b));
  return (
    atMost(absMax, absTop2Sum) &&
    atMost(absTop2Sum, 2 * absMax) &&
    atMost(absTop2Sum, absSum) &&
    atMost(absSum, n * absMax) &&
    atMost(Math.abs(mean) * n, absSum)
  );
}

/** True too where all values are the same: such a mean tells each patient's value. */
function isDominated({ n, mean, sd, evidence }: Group, settings: DisclosureSettings): boolean {
  if (n === null || mean === null || evidence === undefined) return false;
  const { absSum, absMax, absTop2Sum } = evidence;
  if (sd === 0 || absSum >= n * absMax * (1 - RELATIVE_TOLERANCE)) return true;
  const largest = settings.nkN === 1 ? absMax : absTop2Sum;
  const failsNk = largest > (settings.nkPercent / 100) * absSum;
  const failsPPercent = absSum - absTop2Sum < (settings.pPercent / 100) * absMax;
  return failsNk || failsPPercent;
}
