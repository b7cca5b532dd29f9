import { z } from 'zod';
import { Slug } from './schema.ts';

/** `parallel`: all stops at once, then one combine step on the researcher's machine (DESIGN, section 5). */
export const Route = z
  .strictObject({
    pattern: z.literal('parallel'),
    stops: z.array(Slug).min(1).max(100),
    minStations: z.int().min(1).max(100),
    /** Counted at each station from its clearance, since people take days. */
    deadlineMs: z
      .int()
      .min(10_000)
      .max(90 * 24 * 3_600_000),
  })
  .refine((route) => new Set(route.stops).size === route.stops.length, 'a stop is named twice')
  .refine(
    (route) => route.minStations <= route.stops.length,
    'minStations is larger than the number of stops',
  );
export type Route = z.infer<typeof Route>;
