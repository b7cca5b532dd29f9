import { z } from 'zod';
import { type Digest, digestOf } from '../id.ts';
import { canonicalJson } from './canonical.ts';

/**
 * A station's disclosure settings. They belong to the station; every bound below is a floor that no configuration
 * goes under, so no setting turns the gate off.
 */
export const DisclosureSettings = z
  .strictObject({
    /** Smallest count of patients that may show. */
    threshold: z.int().min(5).max(1000),
    /** Counts show as multiples of this. */
    roundBase: z.int().min(1).max(100),
    /** Whether an empty cell is as telling as a small one. */
    zerosDisclosive: z.boolean(),
    /** Smallest residual degrees of freedom. */
    dofMin: z.int().min(5).max(1000),
    /** NK rule: the `nkN` largest values make up at most `nkPercent` of the total. */
    nkN: z.union([z.literal(1), z.literal(2)]),
    nkPercent: z.number().min(1).max(95),
    /** p-percent rule: all but the two largest values make up at least this share of the largest. */
    pPercent: z.number().min(1).max(100),
    significantDigits: z.int().min(1).max(4),
    /** Absent: off. A log-rank with 4 V below this is held, since V is roughly events / 4. */
    minEventsFromV: z.int().min(1).max(1_000_000).optional(),
    outputsMax: z.int().min(1).max(100),
    /** Cap on what a dishonest train could hide in one result, in bits. */
    bitsMax: z.int().min(64).max(2_000_000),
  })
  .refine((settings) => settings.roundBase <= settings.threshold, {
    message: 'must not be larger than the threshold',
    path: ['roundBase'],
  });
export type DisclosureSettings = z.infer<typeof DisclosureSettings>;

const SACRO: DisclosureSettings = {
  threshold: 10,
  roundBase: 5,
  zerosDisclosive: true,
  dofMin: 10,
  nkN: 2,
  nkPercent: 90,
  pPercent: 10,
  significantDigits: 4,
  outputsMax: 100,
  bitsMax: 65_536,
};

/** SACRO/ACRO's defaults, OpenSAFELY's (redact 7 and below, round to 5) and CMS' (no 1 to 10, zero allowed). */
export const PRESETS = {
  sacro: SACRO,
  opensafely: { ...SACRO, threshold: 8 },
  cms: { ...SACRO, threshold: 11, zerosDisclosive: false },
} as const satisfies Readonly<Record<string, DisclosureSettings>>;

export type PresetName = keyof typeof PRESETS;

/** The settings for one train: its manifest may ask for a higher threshold, never for a lower one. */
export function tighten(settings: DisclosureSettings, minCellCount: number | undefined): DisclosureSettings {
  return { ...settings, threshold: Math.max(settings.threshold, minCellCount ?? 0) };
}

/** One digest per meaning: independent of member order. */
export function disclosureDigest(settings: DisclosureSettings): Digest {
  return digestOf(canonicalJson(settings));
}
