/** The nearest multiple of `base`; halves go up. */
export function roundToBase(count: number, base: number): number {
  return Math.round(count / base) * base;
}

/**
 * `digits` significant decimal digits; `toPrecision` drops the sign of a negative zero.
 *
 * @param value finite
 * @returns finite: the largest double of that sign where rounding up would leave the range of doubles
 */
export function roundSignificant(value: number, digits: number): number {
  const rounded = Number(value.toPrecision(digits));
  return Number.isFinite(rounded) ? rounded : Math.sign(value) * Number.MAX_VALUE;
}
