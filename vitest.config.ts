import { configDefaults, defineConfig } from 'vitest/config';

/** What starts containers, and what starts whole processes besides; the rest is quick and runs side by side. */
const ENGINE = ['test/engine/**/*.test.ts', 'test/trains/**/*.test.ts', 'test/contract/**/*.test.ts'];
const JOURNEY = [
  'test/journey/**/*.test.ts',
  'test/hostile/**/*.test.ts',
  'test/demo/**/*.test.ts',
  'test/package/**/*.test.ts',
];

/** Two files that both load two cores would time each other out. */
const ONE_BY_ONE = { fileParallelism: false, testTimeout: 120_000, hookTimeout: 300_000 };
const NEEDS_ENGINE = { globalSetup: ['test/engine.setup.ts'] };

export default defineConfig({
  test: {
    passWithNoTests: false,
    projects: [
      {
        test: {
          name: 'unit',
          include: ['src/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts', 'bench/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...ENGINE, ...JOURNEY],
          testTimeout: 20_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'engine',
          include: ENGINE,
          ...ONE_BY_ONE,
          ...NEEDS_ENGINE,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'journey',
          include: JOURNEY,
          ...ONE_BY_ONE,
          ...NEEDS_ENGINE,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
