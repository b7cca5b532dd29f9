import type { Network } from './network.ts';

/**
 * The moments at which trust in somebody's keys has ended: what was signed with them counts only if it is proved to have
 * been on record before (protocol, section 1). Milliseconds since the Unix epoch, each once, oldest first.
 */
export function trustEndsMs({ spans }: Pick<Network, 'spans'>): number[] {
  const ends = spans.flatMap(({ ended }) => {
    if (ended === undefined) return [];
    const stolen = ended.invalidAfterMs === undefined ? [] : [ended.invalidAfterMs];
    return ended.why === 'revoked' ? [...stolen, ended.atMs] : stolen;
  });
  return [...new Set(ends)].toSorted((a, b) => a - b);
}
