import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { checkResult, type Result } from '../../scripts/demo/answer.ts';
import { createChecks } from '../../scripts/demo/checks.ts';
import { markHome, occupied } from '../../scripts/demo/ending.ts';
import { STATIONS } from '../../scripts/demo/members.ts';
import { parseOptions } from '../../scripts/demo/options.ts';
import { isAlive, self } from '../../scripts/demo/processes.ts';

/** The demo's own judgement must be able to say no. */

const UV = {
  nih: [-2.971, 2.515],
  'us-other': [-6.832, 5.278],
  amsterdam: [-0.777, 1.488],
  'europe-other': [-0.677, 0.973],
};
const [U, V] = [0, 1].map((at) => Object.values(UV).reduce((sum, pair) => sum + (pair[at] ?? 0), 0)) as [
  number,
  number,
];

function answer(): Result {
  const values: NonNullable<Result['answer']>['values'] = {
    ...{ chi_squared: U ** 2 / V, chi_squared_df: 1, p: 0.00044, heterogeneity_q: 0.87, heterogeneity_df: 3 },
    ...{ hazard_ratio: 0.33, hazard_ratio_low: 0.18, hazard_ratio_high: 0.62 },
    ...{ 'patients.a': 65, 'events.a': null, 'patients.b': 60, 'events.b': 20 },
  };
  for (const [name, [u = 0, v = 0]] of Object.entries(UV)) {
    Object.assign(values, { [`u.${name}`]: u, [`v.${name}`]: v });
    values[`hazard_ratio_without.${name}`] = Math.exp((U - u) / (V - v));
  }
  const rows = [
    ['a', '65', 'suppressed at 2 of 4'],
    ['b', '60', '20'],
  ];
  const table = { columns: ['Arm', 'Patients', 'Events'], rows };
  return {
    ...{ state: 'arrived', complete: true, released: 4 },
    stations: STATIONS.map((station) => ({ station, word: 'attested', state: 'released' })),
    answer: { sections: [{ heading: 'Patients and events', table }], values },
  };
}

function failures(change: (result: Result & { answer: NonNullable<Result['answer']> }) => void): number {
  const checks = createChecks(() => undefined);
  const result = answer();
  if (result.answer === null) throw new Error('no answer to change');
  change(result as Result & { answer: NonNullable<Result['answer']> });
  checkResult(result, checks);
  return checks.failed();
}

describe('the answer', () => {
  test('as it should be', () => expect(failures(() => undefined)).toBe(0));

  test.each([
    ['chi_squared', 12.2],
    ['chi_squared_df', 2],
    ['p', 0.0006],
    ['hazard_ratio', 0.35],
    ['hazard_ratio_low', 0.2],
    ['hazard_ratio_high', 0.64],
    ['heterogeneity_q', 0.9],
    ['heterogeneity_df', 2],
    ['u.nih', -3],
    ['hazard_ratio_without.amsterdam', 0.33],
    ['events.a', 12],
    ['patients.b', 61],
  ])('%s = %f does not hold', (name, value) => {
    expect(failures(({ answer: { values } }) => Object.assign(values, { [name]: value }))).toBeGreaterThan(0);
  });

  test('a number that is missing does not hold', () => {
    expect(failures(({ answer: { values } }) => Object.assign(values, { hazard_ratio: null }))).toBe(1);
  });

  test('a partial sum where a cell is suppressed does not hold', () => {
    const shown = (result: { answer: NonNullable<Result['answer']> }): void => {
      result.answer.sections[0]?.table?.rows[0]?.splice(2, 1, '12');
    };
    expect(failures(shown)).toBe(1);
  });

  test('a station on the word of the dispatcher alone does not count', () => {
    expect(failures(({ stations }) => Object.assign(stations[0] ?? {}, { word: 'claimed' }))).toBe(1);
  });
});

describe('options', () => {
  test('a relative home starts where the user stands', () => {
    expect(parseOptions(['--keep', '--home', 'x'], '/here', '/there')).toEqual({
      home: '/here/x',
      keep: true,
      stop: false,
    });
    expect(parseOptions([], '/here', '/there')).toEqual({
      home: '/there/.state/demo',
      keep: false,
      stop: false,
    });
    expect(parseOptions(['--help'], '/', '/')).toBeNull();
  });

  test.each([[['--keep', '--stop']], [['--home', '']], [['--home']], [['--kep']], [['now']]])(
    '%j is wrong use',
    (args) => {
      expect(() => parseOptions(args, '/', '/')).toThrow(TypeError);
    },
  );
});

describe('processes and directories', () => {
  const place = mkdtempSync(join(tmpdir(), 'signalbox-parts-'));
  afterAll(() => rmSync(place, { recursive: true, force: true }));

  test('a process id that was given to somebody else is not alive', async () => {
    expect(isAlive(self())).toBe(true);
    expect(isAlive({ ...self(), startedAt: '1' })).toBe(false);
    const child = spawn(process.execPath, ['-e', '0']);
    await new Promise((resolve) => child.once('close', resolve));
    expect(isAlive({ pid: child.pid ?? 0, startedAt: self().startedAt })).toBe(false);
  });

  test("only nothing, or what a killed demo left, is a demo's to take", () => {
    expect(occupied(join(place, 'absent'))).toBeNull();
    const foreign = join(place, 'foreign');
    markHome(foreign, true);
    expect(occupied(foreign)).toMatch(/kept/);
    markHome(foreign, false);
    expect(occupied(foreign)).toMatch(/another demo/); // this very process
    writeFileSync(
      join(foreign, 'signalbox-demo.json'),
      JSON.stringify({ by: { ...self(), startedAt: '1' } }),
    );
    expect(occupied(foreign)).toBeNull();
    rmSync(join(foreign, 'signalbox-demo.json'));
    writeFileSync(join(foreign, 'thesis.txt'), 'mine');
    expect(occupied(foreign)).toMatch(/no directory of a demo/);
  });
});
