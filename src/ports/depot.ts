/** Content-addressed blobs of one member. What is complete has been verified against its digest and fsynced. */
export interface Depot {
  /** Bytes of the blob that are held so far, and whether it is complete. */
  status(digest: string): Promise<{ bytes: number; complete: boolean }>;

  /**
   * Appends from `offset` on, hashing while streaming. When the last byte arrives the digest is compared before the
   * blob becomes visible; what does not match is thrown away. An interrupted write keeps its bytes, to resume.
   *
   * @param bytesTotal the declared size: more is refused
   * @throws PhtError `image.mismatch`, `input.too-large`, `conflict` when the offset is not where the blob stands
   */
  write(
    digest: string,
    bytesTotal: number,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<{ bytes: number; complete: boolean }>;

  /** @throws PhtError `not-found` when the blob is not complete */
  read(digest: string, offset: number): AsyncIterable<Uint8Array>;

  /** Removes blobs that `keep` does not name, oldest first, until at most `bytesMax` are held. */
  trim(bytesMax: number, keep: ReadonlySet<string>): Promise<void>;
}
