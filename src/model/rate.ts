/** At most `max` in any window of `windowMs`, for each key by itself. Whoever asks brings the time. */
export type Rate = {
  /** @returns whether there was room; only then it counts */
  take(key: string, nowMs: number): boolean;
};

export function createRate({ max, windowMs }: { max: number; windowMs: number }): Rate {
  const taken = new Map<string, number[]>();
  const isRecent = (atMs: number, nowMs: number): boolean => Math.abs(nowMs - atMs) < windowMs;
  return {
    take: (key, nowMs) => {
      for (const [other, times] of taken) {
        // Those who asked long ago leave nothing behind.
        if (!times.some((atMs) => isRecent(atMs, nowMs))) taken.delete(other);
      }
      const recent = (taken.get(key) ?? []).filter((atMs) => isRecent(atMs, nowMs));
      if (recent.length >= max) return false;
      taken.set(key, [...recent, nowMs]);
      return true;
    },
  };
}
