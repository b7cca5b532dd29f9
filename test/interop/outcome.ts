import { z } from 'zod';

/** One line of the report. `count` is how many claims or files it speaks of; `why` is empty unless it failed. */
export const Outcome = z.strictObject({
  name: z.string(),
  count: z.int().min(0),
  ok: z.boolean(),
  why: z.string(),
});
export type Outcome = z.infer<typeof Outcome>;

export function passed(name: string, count: number): Outcome {
  return { name, count, ok: true, why: '' };
}

export function failed(name: string, count: number, why: string): Outcome {
  return { name, count, ok: false, why };
}
