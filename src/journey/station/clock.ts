import { PhtError } from '../../model/error.ts';
import { SKEW_MS } from '../../model/train.ts';
import type { Station } from './stages.ts';

/**
 * No run and no release while the wall clock lies more than the skew below the highest time ever seen here; nobody
 * else's word on time moves that bound (protocol, section 8).
 *
 * @throws PhtError `clock.untrusted`
 */
export function assertClock(station: Station, nowMs: number): void {
  if (nowMs < station.highestMs() - SKEW_MS) {
    throw new PhtError(
      'clock.untrusted',
      'the clock of this station went back; nothing runs until it is right again',
    );
  }
}
