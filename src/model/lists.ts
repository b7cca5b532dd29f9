import { z } from 'zod';
import { Sha256Hex, Slug } from './schema.ts';

/** A station's own lists of researchers and images, by name: what its policy means by `List::"known"`. */
export const StationLists = z.strictObject({
  researchers: z.record(Slug, z.array(Slug).max(10_000)).default({}),
  images: z.record(Slug, z.array(Sha256Hex).max(10_000)).default({}),
});
export type StationLists = z.infer<typeof StationLists>;

export const NO_LISTS: StationLists = { researchers: {}, images: {} };

/** Names of the lists that hold this id, sorted, so that the same lists always give the same words. */
export function listsWith(lists: Readonly<Record<string, readonly string[]>>, id: string): string[] {
  return Object.entries(lists)
    .filter(([, ids]) => ids.includes(id))
    .map(([name]) => name)
    .sort();
}
