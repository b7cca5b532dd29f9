/** Small files that a run gets to read: its request, the dataset's description, incoming cargo. Never results. */
export interface Spool {
  /** @returns the path of the file, readable by any user who can reach it through a bind mount */
  write(hop: string, name: string, bytes: Uint8Array): Promise<string>;
  remove(hop: string): Promise<void>;
}

/** Brings a train's blob into this member's depot, resuming where it stands. */
export interface BlobSource {
  /** @throws PhtError `unreachable`, `image.mismatch`, `forbidden` */
  fetch(trainId: string, digest: string, bytesTotal: number, signal: AbortSignal): Promise<void>;
}
