import { availableParallelism } from 'node:os';
import { configDefaults, defineConfig } from 'vitest/config';

/** What starts containers, and what starts whole processes besides; the rest is quick and runs side by side. */
const ENGINE = ['test/engine/**/*.test.ts', 'test/trains/**/*.test.ts', 'test/contract/**/*.test.ts'];
const JOURNEY = [
  'test/journey/**/*.test.ts',
  'test/hostile/**/*.test.ts',
  'test/demo/**/*.test.ts',
  'test/package/**/*.test.ts',
];

/** Mostly waits for a clock, a proxy's of a minute: runs beside the quick ones. */
const PATIENT = ['test/journey/proxy.test.ts'];

/** By default one core is left for the screen, which on two halves the speed. */
const BESIDE = { maxWorkers: availableParallelism(), sequence: { groupOrder: 0 } };
/** Two files that both load two cores would time each other out. */
const ONE_BY_ONE = { fileParallelism: false, testTimeout: 120_000, hookTimeout: 300_000 };
const NEEDS_ENGINE = { globalSetup: ['test/engine.setup.ts'] };

/** A condition is waited for; how long is the test's own limit, never that of a busy machine. */
const POLL = { expect: { poll: { timeout: 15_000 } } };

export default defineConfig({
  test: {
    passWithNoTests: false,
    projects: [
      {
        test: {
          name: 'unit',
          ...POLL,
          include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...ENGINE, ...JOURNEY],
          testTimeout: 60_000,
          hookTimeout: 60_000,
          ...BESIDE,
        },
      },
      {
        test: {
          name: 'patient',
          ...POLL,
          include: PATIENT,
          testTimeout: 120_000,
          hookTimeout: 300_000,
          ...BESIDE,
          ...NEEDS_ENGINE,
        },
      },
      {
        test: {
          name: 'engine',
          ...POLL,
          include: ENGINE,
          ...ONE_BY_ONE,
          ...NEEDS_ENGINE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'journey',
          ...POLL,
          include: JOURNEY,
          exclude: [...configDefaults.exclude, ...PATIENT],
          ...ONE_BY_ONE,
          ...NEEDS_ENGINE,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
