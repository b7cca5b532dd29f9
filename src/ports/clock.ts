/** Wall-clock time in milliseconds since the Unix epoch. */
export interface Clock {
  nowMs(): number;
}
