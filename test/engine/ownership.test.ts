import { afterAll, describe, expect, it } from 'vitest';
import { executorOf, leftOf, never, shellImage, shellRun } from './setup.ts';

const [north, south] = [executorOf('north'), executorOf('south')];

afterAll(async () => {
  await Promise.all([north.settle(), south.settle()]);
});

describe('two owners on one engine', () => {
  it('never sweep each other’s runs, and a sweep of one hop leaves the others', async () => {
    const image = await shellImage();
    const line = 'sleep 4; printf "{}" > /out/result.json';
    const running = {
      north: north.run(shellRun(image, 'sleep 60', { hop: 'hop_one' }), never),
      other: north.run(shellRun(image, line, { hop: 'hop_two' }), never),
      south: south.run(shellRun(image, line, { hop: 'hop_one' }), never),
    };
    await expect
      .poll(() => leftOf('north').then((left) => left.filter((name) => /hop_/.test(name)).length), {
        timeout: 15_000,
      })
      .toBe(2);
    await expect
      .poll(() => leftOf('south').then((left) => left.filter((name) => /hop_/.test(name)).length), {
        timeout: 15_000,
      })
      .toBe(1);
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(await north.sweep('hop_one')).toBe(1);
    await expect(running.north).rejects.toMatchObject({ code: 'engine.unreachable' });
    expect(await running.other).toMatchObject({ ended: 'output' });
    expect(await running.south).toMatchObject({ ended: 'output' });
  });

  it('leave nothing once settled, and a new process sweeps what a killed one left', async () => {
    await Promise.all([north.settle(), south.settle()]);
    expect(await leftOf('north')).toEqual([]);
    expect(await leftOf('south')).toEqual([]);
    const image = await shellImage();
    const lost = north.run(shellRun(image, 'sleep 60', { hop: 'hop_lost' }), never);
    await expect
      .poll(() => leftOf('north').then((left) => left.some((name) => name.includes('hop_lost'))), {
        timeout: 15_000,
      })
      .toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 700));
    const restarted = executorOf('north');
    expect(await restarted.sweep('hop_other')).toBe(0);
    expect(await restarted.sweep()).toBe(3); // the run, its volume and the volume's holder
    await lost.catch(() => undefined); // how it ends does not matter here, that it is gone does
    await north.settle();
    expect(await leftOf('north')).toEqual([]);
  });

  it('take away a volume that a killed process had prepared, with the next sweep of any hop', async () => {
    const killed = executorOf('west');
    await killed.run(shellRun(await shellImage(), 'true'), never);
    await expect.poll(() => leftOf('west').then((left) => left.length), { timeout: 15_000 }).toBe(2);
    expect(await executorOf('west').sweep('hop_any')).toBe(2);
    expect(await leftOf('west')).toEqual([]);
    await killed.settle();
  });
});
