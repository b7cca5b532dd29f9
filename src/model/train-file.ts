import { z } from 'zod';
import { COLUMNS_MAX } from './inquiry.ts';
import { Route } from './route.ts';
import { ColumnName, ShortText, Slug } from './schema.ts';
import { Limits, Manifest, RESULT_KINDS } from './train.ts';

/** `train.yaml`: what an author says of a train. Durations and sizes carry their units; what is left out has a default. */

const DURATION_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const SIZE_BYTES = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 } as const;

const Duration = z
  .string('must be a duration such as 30s, 15m, 12h or 7d')
  .regex(/^[1-9][0-9]{0,6}[smhd]$/, 'must be a duration such as 30s, 15m, 12h or 7d')
  .transform((text) => parseDurationMs(text));
const Size = z
  .string('must be a size such as 256KiB, 64MiB or 1GiB')
  .regex(/^[1-9][0-9]{0,6}[KMG]iB$/, 'must be a size such as 256KiB, 64MiB or 1GiB')
  .transform((text) => Number(text.slice(0, -3)) * SIZE_BYTES[text.slice(-3) as keyof typeof SIZE_BYTES]);

/** @param text checked already: digits and one of s, m, h, d */
function parseDurationMs(text: string): number {
  return Number(text.slice(0, -1)) * DURATION_MS[text.slice(-1) as keyof typeof DURATION_MS];
}

/** `15m` and the like from a person; null when it is none. @returns milliseconds */
export function durationMsOf(text: string): number | null {
  const parsed = Duration.safeParse(text);
  return parsed.success ? parsed.data : null;
}

const LimitsInFile = z
  .strictObject({
    memory: Size.prefault('256MiB'),
    cpus: z.number().min(0.1).max(64).default(1),
    processes: Limits.shape.pidsMax.default(32),
    wall: Duration.prefault('5m'),
    output: Size.prefault('256KiB'),
    scratch: Size.prefault('16MiB'),
  })
  .transform(({ memory, cpus, processes, wall, output, scratch }) => ({
    memoryBytesMax: memory,
    cpuMillis: Math.round(cpus * 1000),
    pidsMax: processes,
    wallMsMax: wall,
    outputBytesMax: output,
    scratchBytesMax: scratch,
  }))
  .pipe(Limits);

const RouteInFile = z
  .strictObject({
    pattern: z.literal('parallel').default('parallel'),
    stops: z.array(Slug).min(1).max(100).optional(),
    minStations: z.int().min(1).max(100).default(1),
    deadline: Duration.prefault('7d').pipe(Route.shape.deadlineMs),
  })
  .transform(({ deadline, ...route }) => ({ ...route, deadlineMs: deadline }));

export const TrainFile = z.strictObject({
  title: ShortText,
  purpose: z.strictObject({
    text: Manifest.shape.purpose.shape.text,
    duo: Manifest.shape.purpose.shape.duo.default([]),
  }),
  dataset: Slug,
  /** Names of the columns that the analysis reads: only for asking beforehand which station lacks one. */
  columns: z.array(ColumnName).min(1).max(COLUMNS_MAX).optional(),
  parameters: Manifest.shape.parameters.default({}),
  route: RouteInFile.prefault({}),
  limits: LimitsInFile.prefault({}),
  outputs: z.strictObject({
    kinds: z.array(z.enum(RESULT_KINDS)).min(1).max(RESULT_KINDS.length),
    minCellCount: Manifest.shape.outputs.shape.minCellCount,
  }),
  combine: z.boolean().default(false),
  /** An image that the engine holds already; without one the `Dockerfile` beside this file is built. */
  image: z
    .string()
    .regex(/^[a-z0-9][A-Za-z0-9._/:@-]{0,254}$/, 'must name an image of the engine')
    .optional(),
});
export type TrainFile = z.infer<typeof TrainFile>;
