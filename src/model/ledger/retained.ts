import { PAST_HEADS_BYTES_MAX, PAST_HEADS_MAX } from './past-heads.ts';

/** A head that was proved to be on record at `atMs` (Unix epoch), under one version of the network file. */
export type KeptHead = { version: number; size: number; atMs: number; bytes: number };

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
/** A revocation is heard of within minutes, mostly: until then it may be told precisely what came before it. */
export const FINE_MS = 10_000;
const COARSE_MS = 600_000;

const slotMs = (ageMs: number): number => (ageMs < HOUR_MS ? FINE_MS : ageMs < DAY_MS ? COARSE_MS : DAY_MS);

type Limits = { headsMax: number; bytesMax: number };
const LIMITS: Limits = { headsMax: PAST_HEADS_MAX, bytesMax: PAST_HEADS_BYTES_MAX };

/**
 * Which earlier heads of one ledger are worth keeping: the last of each UTC day (of each ten minutes within a day, of ten
 * seconds within an hour), the last of each version of the network, since a later rule may have other witnesses, and the
 * last before each moment at which trust in somebody ended. Beyond the limits, every second one of the older half goes.
 *
 * @param endsMs as `trustEndsMs` gives them
 */
export function retained<T extends KeptHead>(
  heads: readonly T[],
  { nowMs, endsMs, limits = LIMITS }: { nowMs: number; endsMs: readonly number[]; limits?: Limits },
): Set<T> {
  const sorted = heads.toSorted((a, b) => a.atMs - b.atMs || a.size - b.size);
  const slots = new Map<string, T>();
  const versions = new Map<number, T>();
  for (const head of sorted) {
    const width = slotMs(nowMs - head.atMs);
    slots.set(`${width} ${Math.floor(head.atMs / width)}`, head);
    versions.set(head.version, head);
  }
  const before = endsMs.flatMap((endMs) => sorted.findLast(({ atMs }) => atMs < endMs) ?? []);
  const dear = new Set<T>([...versions.values(), ...before]);
  const kept = new Set<T>([...slots.values(), ...dear]);
  return new Set(
    thinned(
      sorted.filter((head) => kept.has(head)),
      dear,
      limits,
    ),
  );
}

function thinned<T extends KeptHead>(
  sorted: readonly T[],
  dear: ReadonlySet<T>,
  { headsMax, bytesMax }: Limits,
): readonly T[] {
  const fits = (of: readonly T[]): boolean =>
    of.length <= headsMax && of.reduce((sum, { bytes }) => sum + bytes + 1, 0) <= bytesMax;
  let left = sorted;
  while (!fits(left)) {
    const older = (spare: ReadonlySet<T>): T[] =>
      left.filter((head, at) => at >= left.length / 2 || at % 2 === 1 || spare.has(head));
    const some = older(dear);
    left = some.length < left.length ? some : older(new Set());
  }
  return left;
}
