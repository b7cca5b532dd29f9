import { type Codebook, isNumeric } from './codebook.ts';
import { armLabels } from './hypothesis-tests.ts';
import { columnsOf, ID_WORDS_MAX, idVocabulary } from './naming.ts';
import type { Output } from './schema.ts';
import type { DisclosureSettings } from './settings.ts';

const COUNT_MAX = 1_000_000_000;
/** Decimal exponents of finite doubles, subnormal ones included. */
const EXPONENTS = 633;

/**
 * An upper bound, in bits, on what a dishonest train could write into the released form of these outputs: the sum of
 * log2 of the number of values each released place can take. It depends on the shape alone, never on a value.
 */
export function capacityBitsOf(
  outputs: readonly Output[],
  settings: DisclosureSettings,
  codebook: Codebook,
): number {
  const count = Math.log2(Math.floor(COUNT_MAX / settings.roundBase) + 2);
  const real = Math.log2(2 * 9 * 10 ** (settings.significantDigits - 1) * EXPONENTS + 2);
  const bits = outputs.map((output) => {
    const shape = shapeBits(output, codebook);
    if (output.kind === 'Frequencies') return shape + output.cells.length * count;
    if (output.kind === 'LinearAggregations') return shape + output.groups.length * (count + 2 * real);
    if (output.kind === 'NotAvailable') return shape;
    return shape + count + 2 * real + Math.log2(Math.max(1, armLabels(codebook).size));
  });
  return Math.ceil(bits.reduce((sum, more) => sum + more, 0));
}

/** What the choice of kind, name, title, columns, their order and their cuts can say. */
function shapeBits(output: Output, codebook: Codebook): number {
  const columns = columnsOf(output);
  const id = ID_WORDS_MAX * Math.log2(2 * idVocabulary(output, codebook).size + 1);
  const title = Math.log2(columns.length + 1);
  const cuts = columns.map((name) => {
    const column = codebook.columns.get(name);
    const numeric = column !== undefined && isNumeric(column);
    return Math.log2(1 + (numeric ? codebook.allowedBreaks.length : codebook.allowedLevels.length));
  });
  const choice = columns.length * Math.log2(codebook.columns.size + 1);
  return 2 + id + title + choice + cuts.reduce((sum, more) => sum + more, 0);
}
