import type { MessageInitShape } from '@bufbuild/protobuf';
import type { PlanResponseSchema } from '../../gen/pht/v1/journeys_pb.ts';
import { parseEnvelope } from '../../model/dsse.ts';
import { asPhtError, PhtError } from '../../model/error.ts';
import type { Digest } from '../../model/id.ts';
import {
  INQUIRY_BYTES_MAX,
  REPLY_JWE_BYTES_MAX,
  type VerifiedInquiry,
  verifyInquiry,
} from '../../model/inquiry.ts';
import { assertCurrent } from '../../model/network.ts';
import { createRate } from '../../model/rate.ts';
import type { Desk } from './desk.ts';
import { stationKey } from './wake.ts';

/**
 * Questions on their way to stations and answers on their way back, in memory alone: what is lost with this process is
 * asked again. Nothing of them is written down here; each station that answers has it on record.
 */
export interface Inquiries {
  /**
   * One answer for each stop: at once for those that are offline, as they come for the others, and in the end one
   * without a JWE for those that were not heard.
   *
   * @throws PhtError as `verifyInquiry`; `network.expired`, `forbidden`, `input.too-large`, `quota.exceeded`
   */
  plan(inquiry: Uint8Array, caller: string, signal: AbortSignal): AsyncIterable<Planned>;
  /** What a station has not been handed yet, the oldest first; each is handed out once. */
  waitingFor(station: string): Uint8Array[];
  /** Without a JWE the station says that it will not answer. @throws PhtError `not-found`, `input.too-large` */
  reply(station: string, reply: { inquiryDigest: string; jwe: Uint8Array }): void;
}

type Planned = MessageInitShape<typeof PlanResponseSchema>;

const HOUR_MS = 3_600_000;
const PER_RESEARCHER_AND_HOUR_MAX = 30;
const UNDER_WAY_MAX = 64;
const ANSWER_MS_MAX = 20_000;
/** With as many orders as a pull may hold, well below the 4 MiB of one message. */
const PER_PULL_MAX = 4;

type Open = {
  researcher: string;
  bytes: Uint8Array;
  /** Stations that it goes to and that have not been handed it. */
  unsent: Set<string>;
  unheard: Set<string>;
  /** Came in and not yet passed on. */
  replies: { station: string; jwe: Uint8Array }[];
};

/** @param times how long the stations have to answer */
export function createInquiries(desk: Desk, times: { answerMsMax?: number } = {}): Inquiries {
  const open = new Map<Digest, Open>();
  const rate = createRate({ max: PER_RESEARCHER_AND_HOUR_MAX, windowMs: HOUR_MS });
  const answerMsMax = times.answerMsMax ?? ANSWER_MS_MAX;

  const admit = (bytes: Uint8Array, caller: string): VerifiedInquiry => {
    try {
      const inquiry = verified(bytes, caller, desk);
      assertRoom(open, inquiry, caller);
      if (!rate.take(caller, desk.clock.nowMs())) {
        throw exceeded(
          `${PER_RESEARCHER_AND_HOUR_MAX} inquiries were made within an hour`,
          'try again later',
        );
      }
      return inquiry;
    } catch (thrown) {
      desk.rejects.count(asPhtError(thrown).code);
      throw thrown;
    }
  };

  const viewOf = (station: string, jwe: Uint8Array = new Uint8Array()): Planned => {
    const { online, seenMs } = desk.presence.of(station);
    return { station, online, lastSeenMs: BigInt(seenMs), jwe };
  };

  async function* plan(bytes: Uint8Array, caller: string, signal: AbortSignal): AsyncGenerator<Planned> {
    const { digest, predicate } = admit(bytes, caller);
    const stops = [...new Set(predicate.train.route.stops)];
    const online = stops.filter((stop) => desk.presence.of(stop).online);
    const asked: Open = {
      researcher: caller,
      bytes,
      unsent: new Set(online),
      unheard: new Set(online),
      replies: [],
    };
    const listening = desk.wake.listen(inquiryKey(digest));
    open.set(digest, asked);
    try {
      for (const station of online) desk.wake.ring(stationKey(station));
      for (const station of stops) if (!asked.unheard.has(station)) yield viewOf(station);
      const over = AbortSignal.any([signal, AbortSignal.timeout(answerMsMax)]);
      for (;;) {
        // Read first, so that a ring between looking and waiting is not lost.
        const sequence = listening.sequence();
        for (const { station, jwe } of asked.replies.splice(0)) yield viewOf(station, jwe);
        if (asked.replies.length > 0) continue;
        if (signal.aborted) return;
        if (asked.unheard.size === 0 || over.aborted) break;
        await listening.beyond(sequence, answerMsMax, over);
      }
      for (const station of asked.unheard) yield viewOf(station);
    } finally {
      open.delete(digest);
      listening.close();
    }
  }

  return {
    plan,
    waitingFor: (station) => {
      const waiting = [...open.values()].filter(({ unsent }) => unsent.has(station));
      if (waiting.length > PER_PULL_MAX) desk.wake.ring(stationKey(station));
      return waiting.slice(0, PER_PULL_MAX).map(({ bytes, unsent }) => {
        unsent.delete(station);
        return bytes;
      });
    },
    reply: (station, { inquiryDigest, jwe }) => {
      const asked = open.get(inquiryDigest as Digest);
      // Alike for one that is over, one that never was, and one that was put to others.
      if (asked === undefined || asked.unsent.has(station) || !asked.unheard.has(station)) {
        throw new PhtError('not-found', 'no such inquiry waits for this station');
      }
      if (jwe.byteLength > REPLY_JWE_BYTES_MAX) {
        throw new PhtError('input.too-large', `a reply has at most ${REPLY_JWE_BYTES_MAX} bytes`);
      }
      asked.unheard.delete(station);
      asked.replies.push({ station, jwe });
      desk.wake.ring(inquiryKey(inquiryDigest));
    },
  };
}

const inquiryKey = (digest: string): string => `inquiry ${digest}`;

function verified(bytes: Uint8Array, caller: string, desk: Desk): VerifiedInquiry {
  if (bytes.byteLength > INQUIRY_BYTES_MAX) {
    throw new PhtError('input.too-large', `an inquiry has at most ${INQUIRY_BYTES_MAX} bytes`);
  }
  const nowMs = desk.clock.nowMs();
  const network = desk.network();
  assertCurrent(network, nowMs);
  const inquiry = verifyInquiry(parseEnvelope(bytes, 'inquiry'), network, nowMs);
  if (inquiry.predicate.issuer !== caller) {
    throw new PhtError('forbidden', 'the inquiry was signed by another researcher');
  }
  return inquiry;
}

/** @throws PhtError `quota.exceeded` */
function assertRoom(open: ReadonlyMap<Digest, Open>, { digest }: VerifiedInquiry, caller: string): void {
  const own = [...open.values()].some(({ researcher }) => researcher === caller);
  if (own || open.has(digest)) {
    throw exceeded('an inquiry of this researcher is under way', 'wait until it has been answered');
  }
  if (open.size >= UNDER_WAY_MAX) throw exceeded('too many inquiries are under way', 'try again in a minute');
}

function exceeded(message: string, hint: string): PhtError {
  return new PhtError('quota.exceeded', message, { hint });
}
