/** What a running hop asks of its dispatcher. It informs liveness and fences old attempts; it is no gate of trust. */
export interface Leases {
  /**
   * Takes or renews the lease; a dispatcher that cannot be reached does not stop a hop that was cleared.
   *
   * @throws PhtError `stale.epoch` when a newer attempt of this visit exists
   */
  hold(hopId: string, epoch: number, signal: AbortSignal): Promise<void>;
}
