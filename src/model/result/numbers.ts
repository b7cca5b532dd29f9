/** The nearest multiple of `base`; halves go up. */
export function roundToBase(count: number, base: number): number {
  return Math.round(count / base) * base;
}

/** `digits` significant decimal digits; `toPrecision` drops the sign of a negative zero. */
export function roundSignificant(value: number, digits: number): number {
  return Number(value.toPrecision(digits));
}
