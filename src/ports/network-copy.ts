import type { Network } from '../model/network.ts';

/** This member's copy of the network file, on disk. */
export interface NetworkCopy {
  /** The file as it is passed on to others, who believe its signatures alone. */
  read(): Uint8Array;
  /**
   * Takes over what is newer in a file, on disk before it returns.
   *
   * @throws PhtError `network.rollback`, `network.forked`, `network.mismatch`, `network.invalid`, `network.behind`,
   *   `signature.invalid`, `statement.*`, `input.*`
   */
  take(file: Uint8Array): TakenOver;
}

export type TakenOver = {
  /** The one now in force. */
  readonly network: Network;
  readonly changed: boolean;
};
