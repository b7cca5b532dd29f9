import { afterAll, describe, expect, it } from 'vitest';
import { executorOf, leftOf, never, runningOf, shellImage, shellRun, untag } from './setup.ts';

const [north, south] = [executorOf('north'), executorOf('south')];

afterAll(async () => {
  await Promise.all([north.settle(), south.settle()]);
  for (const owner of ['north', 'south', 'west']) await untag(owner);
});

describe('two owners on one engine', () => {
  it('never sweep each other’s runs, and a sweep of one hop leaves the others', async () => {
    const image = await shellImage();
    const line = 'sleep 8; printf "{}" > /out/result.json';
    const running = {
      north: north.run(shellRun(image, 'sleep 60', { hop: 'hop_one' }), never),
      other: north.run(shellRun(image, line, { hop: 'hop_two' }), never),
      south: south.run(shellRun(image, line, { hop: 'hop_one' }), never),
    };
    await expect.poll(() => runningOf('north'), { timeout: 20_000 }).toBe(2);
    await expect.poll(() => runningOf('south'), { timeout: 20_000 }).toBe(1);
    expect(await north.sweep('hop_one')).toBe(1);
    expect(await running.north).toMatchObject({ ended: 'aborted' });
    expect(await running.other).toMatchObject({ ended: 'output' });
    expect(await running.south).toMatchObject({ ended: 'output' });
  });

  it('leave nothing once settled, and a new process sweeps what a killed one left', async () => {
    await Promise.all([north.settle(), south.settle()]);
    expect(await leftOf('north')).toEqual([]);
    expect(await leftOf('south')).toEqual([]);
    const image = await shellImage();
    // How it ends does not matter here, that it is gone does.
    const lost = north.run(shellRun(image, 'sleep 60', { hop: 'hop_lost' }), never).catch(() => undefined);
    await expect.poll(() => runningOf('north'), { timeout: 20_000 }).toBe(1);
    const restarted = executorOf('north');
    expect(await restarted.sweep('hop_other')).toBe(0);
    expect(await restarted.sweep()).toBe(3); // the run, its volume and the volume's holder
    await lost;
    await north.settle();
    expect(await leftOf('north')).toEqual([]);
  });

  it('take away a volume that a killed process had prepared, with the next sweep of any hop', async () => {
    const killed = executorOf('west');
    await killed.run(shellRun(await shellImage(), 'true'), never);
    let before: string[] = [];
    const isStill = async (): Promise<boolean> => {
      const left = await leftOf('west');
      const same = left.length === 2 && left.join() === before.join();
      before = left;
      return same;
    };
    await expect.poll(isStill, { timeout: 20_000, interval: 1_000 }).toBe(true);
    expect(await executorOf('west').sweep('hop_any')).toBe(2);
    expect(await leftOf('west')).toEqual([]);
    await killed.settle();
  });
});
