/** One's own ledger before its witnesses. */
export interface Witnessing {
  /**
   * Resolves once a published checkpoint covers at least `size` entries: signed, and cosigned by as many witnesses as
   * the network asks for. Calls that wait together share a round.
   *
   * @throws PhtError `witness.unreachable`, `ledger.unchecked`, `ledger.inconsistent`, `cancelled`
   */
  covered(size: number, signal: AbortSignal): Promise<void>;
  /** One more round for what is signed already: a head whose cosignatures are young shows that nothing is held back. */
  renew(signal: AbortSignal): Promise<void>;
}
