/** One file of `bench/figures` exports one `figure`; its file name is the figure's. */
export type Figure = {
  unit: string;
  /** What to reach, in `unit`; null where there is no goal yet. */
  goal: number | null;
  /** Of a rate, more is better, and `goal` is what to reach at least; otherwise it is what to stay below. */
  better?: 'higher';
  measure(say: (line: string) => void): Promise<Measured>;
};

/** `floor` is what nothing could be better than, measured in the same run, in the figure's unit. */
export type Measured = { value: number; samples: readonly number[]; floor: number | null; floorName: string };

export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const [below, above] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  if (below === undefined || above === undefined) throw new Error('there is no median of nothing');
  return (below + above) / 2;
}

export async function timedMs(work: () => Promise<unknown> | unknown): Promise<number> {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
}
