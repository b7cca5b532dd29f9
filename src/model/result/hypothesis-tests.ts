import type { Codebook } from './codebook.ts';
import type { Ruled } from './frequencies.ts';
import { roundSignificant, roundToBase } from './numbers.ts';
import type { NotAvailable, StatisticalHypothesisTests } from './schema.ts';
import type { DisclosureSettings } from './settings.ts';

/**
 * A log-rank: U and V to a few digits when the test stands on enough patients (SACRO: MinimumThresholdCheck,
 * MinimumDoFCheck), otherwise nothing of it.
 */
export function ruleHypothesisTest(
  output: StatisticalHypothesisTests,
  settings: DisclosureSettings,
  codebook: Codebook,
): Ruled<StatisticalHypothesisTests> {
  const column = codebook.columns.get(output.var);
  if (column === undefined) return { hold: ['a test is of a column that the dataset does not describe'] };
  const labels = column.levels === undefined ? armLabels(codebook) : new Set(column.levels);
  if (!labels.has(output.arm)) return { hold: ['a test names an arm outside the codebook'] };
  const { n, u, v } = output;
  const stands =
    n !== null &&
    u !== null &&
    v !== null &&
    v > 0 &&
    n >= settings.threshold &&
    n - output.arms >= settings.dofMin;
  if (stands) {
    // Each of at most n events adds at most 1 to |U| and 1/4 to V.
    if (Math.abs(u) > n || 4 * v > n * (1 + 1e-9))
      return { hold: ['a test has numbers that no log-rank gives'] };
    if (settings.minEventsFromV !== undefined && 4 * v < settings.minEventsFromV) {
      return { hold: ['a test stands on too few events'] };
    }
  }
  const digits = settings.significantDigits;
  return {
    output: {
      id: output.id,
      kind: 'StatisticalHypothesisTests',
      ...(output.title === undefined ? {} : { title: output.title }),
      test: 'log-rank',
      var: output.var,
      arm: output.arm,
      arms: output.arms,
      n: stands ? roundToBase(n, settings.roundBase) : null,
      u: stands ? roundSignificant(u, digits) : null,
      v: stands ? roundSignificant(v, digits) : null,
    },
    transforms: [stands ? 'tests: rounded' : 'tests: suppressed'],
    hidden: [],
  };
}

export function armLabels(codebook: Codebook): Set<string> {
  return new Set([...codebook.columns.values()].flatMap((column) => column.levels ?? []));
}

/** "Not available here" tells only that no patient has a value in a column that the dataset describes. */
export function ruleNotAvailable(output: NotAvailable, codebook: Codebook): Ruled<NotAvailable> {
  if (!codebook.columns.has(output.var)) {
    return { hold: ['a column is said to be missing that the dataset does not describe'] };
  }
  return { output: { id: output.id, kind: 'NotAvailable', var: output.var }, transforms: [], hidden: [] };
}
