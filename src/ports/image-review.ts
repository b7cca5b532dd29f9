import type { ImageConfig } from '../model/image-config.ts';
import type { ClearedImage, ImageDifference } from '../model/image-difference.ts';
import type { TrainImage } from '../model/train.ts';

/** What of an image a comparison needs; `config` is null where its blob is not known any more. */
export type ReviewedImage = { image: TrainImage; config: ImageConfig | null };

export type ComparedImages = Pick<ImageDifference, 'counts' | 'config' | 'changes' | 'changesOmitted'>;

/**
 * One look at the files of images, by their layers. What a look has learnt of a layer stays on disk and outlives the
 * blob. Every tar is a stranger's: nothing is unpacked, and however many files it has, nothing else has to wait for that.
 */
export interface ImageReview {
  /** Whether the layer was looked into before. */
  knows(diffId: string): Promise<boolean>;

  /**
   * Looks into a layer whose blob lies in the depot.
   *
   * @returns bytes of each part that was read
   * @throws PhtError `image.unsafe`, `not-found` when the blob is not here
   */
  learn(diffId: string, signal: AbortSignal): AsyncIterable<number>;

  /**
   * From the depot or from an earlier look.
   *
   * @throws PhtError `image.mismatch`, `image.unsafe`
   */
  config(image: TrainImage): Promise<ImageConfig | null>;

  /**
   * All layers of both must be known. Against null, all that is in layers which `seen` does not name.
   *
   * @throws PhtError `image.unsafe`
   */
  compare(
    now: ReviewedImage,
    base: ReviewedImage | null,
    seen: ReadonlySet<string>,
    signal: AbortSignal,
  ): Promise<ComparedImages>;

  /** Frees what it holds. Whatever is asked after that, or was under way, fails. */
  close(): Promise<void>;
}

/** `clearances`: digests of the statements of persons that it was cleared by. */
export type ClearedHop = ClearedImage & { readonly clearances: readonly string[] };

/**
 * Images that somebody stands for: of trains that persons cleared, and those that an admin has listed by their digest.
 * What the policy let in unlisted, nobody has looked at: to compare with it would hide it from whoever has to.
 */
export interface ClearedImages {
  /**
   * Of the `hopsMax` hops that were cleared last and were not refused by policy or person after all; newest first.
   *
   * @param listed config digests
   */
  list(hopsMax: number, listed: readonly string[]): ClearedHop[];
}
