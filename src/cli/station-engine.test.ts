import { expect, test } from 'vitest';
import { createFakeExecutor } from '../../test/fakes/executor.ts';
import { probedAfterSweep } from './station-engine.ts';

test('nothing is probed before what a crash left is gone, and a sweep after one hop does not count', async () => {
  const engine = createFakeExecutor();
  const executor = probedAfterSweep(engine);
  await expect(executor.probe()).rejects.toMatchObject({ code: 'engine.unreachable' });
  await executor.sweep('hop_0123456789abcdef01234567');
  await expect(executor.probe()).rejects.toMatchObject({ code: 'engine.unreachable' });
  await executor.sweep();
  expect(await executor.probe()).toBe(engine.report);
});
