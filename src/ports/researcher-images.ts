import type { TrainImage } from '../model/train.ts';

/** Where a train's image comes from: a directory with a `Dockerfile`, or an image that the engine holds already. */
export type ImageOrigin = { directory: string } | { reference: string };

export interface TrainImages {
  /**
   * Builds or finds the image, and sees to it that its config and each uncompressed layer lie in the member's own
   * depot, hashed. What is there already is not exported again.
   *
   * @throws PhtError `usage.invalid` with the engine's own words when the build fails, `engine.unreachable`,
   *   `image.missing`, `image.unsafe`
   */
  take(origin: ImageOrigin, signal: AbortSignal): Promise<TrainImage>;
}
