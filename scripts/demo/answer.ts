import { type Checks, same } from './checks.ts';
import { STATIONS } from './members.ts';

/** The answer, held against what R and the trial's own paper say of the same patients. */

export type Result = {
  state: string;
  complete: boolean;
  released: number;
  stations: { station: string; word: string; state: string }[];
  answer: {
    sections: {
      heading: string;
      lines?: string[];
      table?: { columns: string[]; rows: (string | number | null)[][] };
    }[];
    values: Record<string, string | number | boolean | null>;
  } | null;
};

/** R's pooled survdiff(Surv(tstop, status) ~ treat + strata(hos.cat)); a station releases 4 significant digits. */
const CHI_SQUARED_POOLED = 12.35815;
const ROUNDING_MAX = 0.01;

const REPORTED: readonly [what: string, value: string, digits: number, wanted: string][] = [
  ['stratified log-rank: chi-squared 12.4', 'chi_squared', 1, '12.4'],
  ['on 1 degree of freedom', 'chi_squared_df', 0, '1'],
  ['p = 0.0004', 'p', 4, '0.0004'],
  ["Peto's hazard ratio 0.33", 'hazard_ratio', 2, '0.33'],
  ['95 % interval from 0.18', 'hazard_ratio_low', 2, '0.18'],
  ['95 % interval to 0.62', 'hazard_ratio_high', 2, '0.62'],
  ['heterogeneity Q 0.87', 'heterogeneity_q', 2, '0.87'],
  ['on 3 degrees of freedom', 'heterogeneity_df', 0, '3'],
];

export function checkResult(result: Result, checks: Checks): void {
  const took = result.stations.filter(({ word, state }) => word === 'attested' && state === 'released');
  const names = took.map(({ station }) => station).sort();
  checks.hold(
    'four stations attest that they took part',
    same(names, [...STATIONS].sort()),
    names.join(', '),
  );
  checks.hold('every stop is accounted for', result.complete && result.state === 'arrived', result.state);
  const values = result.answer?.values ?? {};
  for (const [what, value, digits, wanted] of REPORTED) {
    const seen = values[value];
    checks.hold(what, typeof seen === 'number' && seen.toFixed(digits) === wanted, String(seen));
  }
  checkSums(values, checks);
  checkCounts(result, checks);
}

/** Recomputed here from each station's U and V, so that the combine step is not believed on its own word. */
function checkSums(values: Record<string, unknown>, checks: Checks): void {
  const of = (name: string): number => {
    const value = values[name];
    return typeof value === 'number' ? value : Number.NaN;
  };
  const sum = (part: string): number => STATIONS.reduce((total, name) => total + of(`${part}.${name}`), 0);
  const [u, v, chiSquared] = [sum('u'), sum('v'), of('chi_squared')];
  const close = (a: number, b: number, within: number): boolean => Math.abs(a - b) <= within;
  checks.hold(
    "chi-squared follows from the stations' U and V",
    close(u ** 2 / v, chiSquared, 1e-9),
    `${u} ${v}`,
  );
  const pooled = close(chiSquared, CHI_SQUARED_POOLED, ROUNDING_MAX);
  checks.hold("chi-squared is R's pooled one", pooled, String(chiSquared));
  const without = STATIONS.every((name) => {
    const ratio = Math.exp((u - of(`u.${name}`)) / (v - of(`v.${name}`)));
    return close(ratio, of(`hazard_ratio_without.${name}`), 1e-9);
  });
  checks.hold('the estimate without each station is there', without);
}

/** A count is a total only where every station released it. */
function checkCounts({ answer }: Result, checks: Checks): void {
  const section = answer?.sections.find(({ heading }) => heading === 'Patients and events');
  const rows = section?.table?.rows ?? [];
  let suppressed = 0;
  const faithful = rows.every(([arm, ...cells]) =>
    ['patients', 'events'].every((what, at) => {
      const [value, cell] = [answer?.values[`${what}.${String(arm)}`], String(cells[at])];
      if (value !== null) return typeof value === 'number' && cell === String(value);
      suppressed += 1;
      return /^suppressed at [1-4] of 4$/.test(cell);
    }),
  );
  checks.hold('patients and events for both arms', rows.length === 2 && faithful, JSON.stringify(rows));
  checks.hold('a suppressed cell reads "suppressed at k of 4"', suppressed > 0, JSON.stringify(rows));
}
