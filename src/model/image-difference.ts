import { z } from 'zod';
import { HopIdText, TrainIdText } from './id.ts';
import { Sha256Hex, ShortText, Slug, TimestampMs } from './schema.ts';
import type { TrainImage } from './train.ts';

/**
 * What is in an image and was not in the last one that was approved at this station: `pht-image-difference/v1`, as the
 * agent makes it for a person who has to decide. Every text in it but `base` comes from images, that is from strangers.
 */

/** Of the document as JSON in UTF-8; one message of the admin socket. */
export const DIFFERENCE_BYTES_MAX: number = 4 * 1024 * 1024 - 4096;
export const CHANGES_MAX = 2000;
export const SOURCES_MAX = 400;
export const SOURCE_CHARS_MAX: number = 64 * 1024;
const DIFF_CHARS_MAX = 3 * SOURCE_CHARS_MAX;

const Size = z.int().min(0);
const Path = z.string().min(1).max(4096);
const Mode = z.int().min(0).max(0o7777);

/** One path in one of the two images. A folder that no layer names by itself has no mode. */
export const ImageThing = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('file'), mode: Mode, size: Size, sha256: Sha256Hex }),
  z.strictObject({ type: z.literal('directory'), mode: Mode.nullable() }),
  z.strictObject({ type: z.literal('fifo'), mode: Mode }),
  z.strictObject({ type: z.literal('symlink'), target: z.string().min(1).max(4096) }),
]);
export type ImageThing = z.infer<typeof ImageThing>;

/**
 * `source` is the text of an added or changed file, `diff` what changed in it since (unified, three lines around).
 * Where there is no source of such a file, `unshown` says why: it is no text, or larger than 64 KiB, or there were too
 * many, or its layer is not here any more. A `diff` is missing where the earlier source is not here any more.
 */
export const ImageChange = z.strictObject({
  path: Path,
  change: z.enum(['added', 'changed', 'removed', 'mode']),
  before: ImageThing.nullable(),
  now: ImageThing.nullable(),
  source: z.string().max(SOURCE_CHARS_MAX).nullable(),
  diff: z.string().max(DIFF_CHARS_MAX).nullable(),
  unshown: z.enum(['binary', 'large', 'too-many', 'gone']).nullable(),
});
export type ImageChange = z.infer<typeof ImageChange>;

/** What differs in how the two are started. `omitted`: further words that were too many to show. */
export const ConfigChange = z.strictObject({
  what: z.enum(['command', 'env', 'workingDir', 'user']),
  before: z.array(z.string().max(4096)).max(512),
  now: z.array(z.string().max(4096)).max(512),
  omitted: Size,
});
export type ConfigChange = z.infer<typeof ConfigChange>;

/** `by`: `list` where the policy let it in and an admin has its digest on a list of images. */
export const ClearedAs = z.strictObject({
  image: Sha256Hex,
  hopId: HopIdText,
  trainId: TrainIdText,
  researcher: Slug,
  title: ShortText,
  clearedAtMs: TimestampMs,
  by: z.enum(['person', 'list']),
  layersShared: z.int().min(0).max(128),
});
export type ClearedAs = z.infer<typeof ClearedAs>;

/**
 * `compared`: `same-image` when this very image was approved before: then nothing differs. `with-base`: with the image
 * in `base`. `new-layers`: no approved image can be compared with, so what shows is all that is in layers which no
 * approved image had; `base` is null then. `config` is null where the earlier one is not known any more, and the whole
 * of it where there is no base.
 */
export const ImageDifference = z.strictObject({
  schema: z.literal('pht-image-difference/v1'),
  image: Sha256Hex,
  compared: z.enum(['same-image', 'with-base', 'new-layers']),
  base: ClearedAs.nullable(),
  /** Images that were approved here, this one aside. */
  clearedImages: Size,
  layers: z.int().min(1).max(128),
  counts: z.strictObject({ added: Size, changed: Size, removed: Size, mode: Size }),
  config: z.array(ConfigChange).max(4).nullable(),
  changes: z.array(ImageChange).max(CHANGES_MAX),
  /** Changes that are counted and not listed. */
  changesOmitted: Size,
});
export type ImageDifference = z.infer<typeof ImageDifference>;

/** An image that was approved at this station, as a train brought it; newest first in a list of them. */
export type ClearedImage = Omit<ClearedAs, 'image' | 'layersShared'> & { image: TrainImage };

/**
 * In which order to try cleared images as what to compare with: of the same researcher first, then those with most of
 * the first layers in common, then the newest. Other platforms are other files altogether.
 */
export function basesFor(
  image: TrainImage,
  researcher: string,
  cleared: readonly ClearedImage[],
): { cleared: ClearedImage; layersShared: number }[] {
  return cleared
    .filter((each) => each.image.platform === image.platform)
    .map((each) => ({ cleared: each, layersShared: layersShared(image, each.image) }))
    .sort(
      (one, other) =>
        Number(other.cleared.researcher === researcher) - Number(one.cleared.researcher === researcher) ||
        other.layersShared - one.layersShared ||
        other.cleared.clearedAtMs - one.cleared.clearedAtMs,
    );
}

/** How many of the first layers are the same in both. */
export function layersShared(image: TrainImage, other: TrainImage): number {
  const at = image.layers.findIndex(({ diffId }, position) => other.layers[position]?.diffId !== diffId);
  return at === -1 ? image.layers.length : at;
}
