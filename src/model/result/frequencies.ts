import { type Codebook, readAxes } from './codebook.ts';
import { roundToBase } from './numbers.ts';
import type { Frequencies } from './schema.ts';
import type { DisclosureSettings } from './settings.ts';
import { suppressedCells } from './suppress.ts';
import { arrange, type HiddenCell, labelsOf, shapeOf, slabsOf } from './table.ts';

/**
 * One output after its rules, or why a person must look. Reasons and transforms are fixed phrases: they hold no count,
 * no label and nothing that the train wrote, and do not depend on the value of a hidden cell.
 */
export type Ruled<O> = { output: O; transforms: string[]; hidden: HiddenCell[] } | { hold: string[] };

/**
 * Counts: every cell exactly once, suppression (primary, secondary, class disclosure) on exact counts, and only then
 * rounding (SACRO: MinimumThresholdCheck, PresenceOfZeroCheck, PresenceOfLinkedTableCheck).
 *
 * @param hiddenElsewhere hidden cells of this result's tables over fewer dimensions, which this one must not sum up to
 */
export function ruleFrequencies(
  output: Frequencies,
  settings: DisclosureSettings,
  codebook: Codebook,
  hiddenElsewhere: readonly HiddenCell[] = [],
): Ruled<Frequencies> {
  const axes = readAxes(output.dims, codebook);
  if ('hold' in axes) return axes;
  const cells = arrange(output.cells, axes);
  if (cells === undefined)
    return { hold: ['a table does not have every cell of its dimensions exactly once'] };
  const shown = suppressedCells(
    cells.map((cell) => cell.n),
    shapeOf(axes.dims),
    { ...settings, slabs: slabsOf(axes.dims, hiddenElsewhere) },
  ).map((isHidden) => !isHidden);
  return {
    output: {
      id: output.id,
      kind: 'Frequencies',
      ...(output.title === undefined ? {} : { title: output.title }),
      dims: axes.dims,
      cells: cells.map(({ k, n }, at) => ({
        k,
        n: n === null || !shown[at] ? null : roundToBase(n, settings.roundBase),
      })),
    },
    transforms: [
      ...(settings.roundBase > 1 ? ['counts: rounded'] : []),
      ...(shown.every(Boolean) ? [] : ['counts: cells suppressed']),
    ],
    hidden: cells.flatMap(({ k }, at) => (shown[at] ? [] : [labelsOf(axes.dims, k)])),
  };
}
