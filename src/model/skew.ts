/** How far two honest clocks may lie apart, in milliseconds (protocol, section 8). */
export const SKEW_MS: number = 5 * 60_000;
