import type { Digest, HopId, TrainId } from './id.ts';
import type { EntryQuote } from './ledger/entry.ts';
import type { Outcome } from './receipt.ts';

/** The states of one hop at a station, and every allowed move between them (DESIGN, section 5). */
export const HOP_STATES = [
  'received',
  'inspected',
  'decided',
  'awaiting-clearance',
  'cleared',
  'loaded',
  'running',
  'collected',
  'screened',
  'awaiting-witness',
  'sealed',
  'delivered',
] as const;
export type HopState = (typeof HOP_STATES)[number];

/**
 * From each state to the states it may move to. Output lives in memory only until it is sealed, so whatever lies
 * between `cleared` and `sealed` may start again from `cleared` after a crash. A case that changed is decided anew.
 * `awaiting-witness` holds the sealed result until the witnesses have cosigned its release (promise 8).
 * `sealed` holds the receipt, of whichever outcome; `delivered` is the end.
 */
export const HOP_MOVES: Readonly<Record<HopState, readonly HopState[]>> = {
  received: ['inspected', 'sealed'],
  inspected: ['decided', 'sealed'],
  decided: ['decided', 'awaiting-clearance', 'cleared', 'sealed'],
  'awaiting-clearance': ['awaiting-clearance', 'decided', 'cleared', 'sealed'],
  cleared: ['loaded', 'decided', 'sealed'],
  loaded: ['running', 'cleared', 'sealed'],
  running: ['collected', 'cleared', 'sealed'],
  collected: ['screened', 'cleared', 'sealed'],
  screened: ['awaiting-witness', 'sealed', 'cleared'],
  'awaiting-witness': ['sealed', 'cleared'],
  sealed: ['delivered'],
  delivered: [],
};

export function mayMove(from: HopState, to: HopState): boolean {
  return HOP_MOVES[from].includes(to);
}

/** A hop in one of these has its receipt: nothing of it runs again. */
export function isSealed(state: HopState): boolean {
  return state === 'sealed' || state === 'delivered';
}

/**
 * What a dispatcher may be told of a hop before its receipt: coarse, and nothing that the data could sway. Of a result
 * that is held the dispatcher knows already: its release stands in the ledger that the dispatcher mirrors.
 */
export const PROGRESS = [
  'received',
  'awaiting-clearance',
  'awaiting-second-clearance',
  'cleared',
  'running',
  'awaiting-witness',
] as const;
export type Progress = (typeof PROGRESS)[number];

/** What keeps a hop from going on and may pass by itself; afterwards its progress is told again. */
export const WAITS = ['awaiting-engine', 'awaiting-network', 'awaiting-dispatcher'] as const;
export type Wait = (typeof WAITS)[number];

export function progressOf(state: HopState): Progress {
  if (state === 'received' || state === 'inspected' || state === 'decided') return 'received';
  if (state === 'awaiting-clearance' || state === 'awaiting-witness') return state;
  return state === 'cleared' || state === 'loaded' ? 'cleared' : 'running';
}

/** The dispatcher's view of one stop of a journey. `unheard` is its own record, not a receipt. */
export type StopState = 'ordered' | Progress | Wait | Outcome | 'unheard';

export type HopHead = {
  trainId: TrainId;
  hopId: HopId;
  attempt: number;
  epoch: number;
  manifestDigest: Digest;
};

/** The members that tie a ledger entry to its hop; `prev` quotes the counterpart's entry about the same fact. */
export function hopEntryHead(
  hop: HopHead,
  prev: EntryQuote | null = null,
): HopHead & { prev: EntryQuote | null } {
  const { trainId, hopId, attempt, epoch, manifestDigest } = hop;
  return { trainId, hopId, attempt, epoch, manifestDigest, prev };
}
