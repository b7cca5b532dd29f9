import type { HopId, TrainId } from '../model/id.ts';

/** What tells the people of a station that something waits for them, or was decided: a train id and a verdict, no more. */

export const NOTICE_VERDICTS = ['ask', 'permit', 'deny'] as const;
export type NoticeVerdict = (typeof NOTICE_VERDICTS)[number];

export type Notice = {
  readonly hopId: HopId;
  readonly trainId: TrainId;
  readonly verdict: NoticeVerdict;
};

/**
 * Notices are written in the transaction of the move that they tell of, one for each hop and verdict, whatever is decided
 * again. An `ask` counts only while a person has to decide; once told it counts again when it still waits at
 * `remindBeforeMs`.
 */
export interface Notices {
  /** Oldest first. */
  waiting(on: readonly NoticeVerdict[], remindBeforeMs: number, max: number): Notice[];
  /** Not told again, but reminded of. */
  told(notices: readonly Notice[], nowMs: number): void;
  /** Verdicts that nobody wants to be told of are settled, so that a later configuration does not bring them up. */
  settle(but: readonly NoticeVerdict[], nowMs: number): void;
  /** When the last digest was made; 0 before the first. */
  lastDigestMs(): number;
  digestMade(nowMs: number): void;
}

/** How the command ended; `code` null when it was killed, did not start, or took too long. */
export type NotifyEnd = { readonly code: number | null; readonly why: string };

/** Runs the station's own command, one at a time. Never throws for what the command does. */
export interface Notifier {
  run(lines: string, signal: AbortSignal): Promise<NotifyEnd>;
}
