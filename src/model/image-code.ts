import { type Digest, digestOf } from './id.ts';
import type { ImageConfig } from './image-config.ts';
import { canonicalJson } from './result/canonical.ts';
import type { TrainImage } from './train.ts';

/**
 * What makes an image *this train's code*, as against the base that it stands on: how it is started, and its top
 * layer. A base that was rebuilt with newer packages changes the image's digest and leaves this one.
 *
 * A clearance on it alone would let anything ride below the same top layer (another `libc`, another interpreter), so
 * whoever accepts it demands `standsOnOneOf` the images that a person approved as well.
 */

export type ImageCode = {
  schema: 'pht-image-code/v1';
  platform: string;
  /** Entrypoint and command, joined as the engine would: only the whole is what runs. */
  command: string[];
  /** In the image's order, which decides between two lines of one name. */
  env: string[];
  workingDir: string;
  user: string;
  topLayer: string;
};

/**
 * SHA-256 over the canonical JSON (sorted keys, no spaces) of `ImageCode`.
 *
 * @param config as `verifyImageConfig` read it: its layers are those of `image`
 */
export function codeDigestOf(config: ImageConfig, image: TrainImage): Digest {
  const code: ImageCode = {
    schema: 'pht-image-code/v1',
    platform: config.platform,
    command: config.entrypoint,
    env: config.env,
    workingDir: config.workingDir,
    user: config.user,
    topLayer: topOf(image),
  };
  return digestOf(canonicalJson(code));
}

/**
 * Whether the layers below the top are, in this order, all of one of these images, or all below its top. Fewer, or layers
 * that were approved apart from each other, are not enough: a layer may remove or replace files of those below it, so
 * that two harmless ones make a third thing together, and without one of them something comes to light that nobody saw.
 */
export function standsOnOneOf(image: TrainImage, approved: readonly TrainImage[]): boolean {
  const below = image.layers.slice(0, -1);
  return approved.some(
    ({ layers, platform }) =>
      platform === image.platform &&
      (below.length === layers.length || below.length === layers.length - 1) &&
      below.every(({ diffId }, at) => layers[at]?.diffId === diffId),
  );
}

function topOf({ layers }: TrainImage): string {
  const top = layers.at(-1);
  if (top === undefined) throw new TypeError('an image has at least one layer');
  return top.diffId;
}
