import type { Digest } from '../../model/id.ts';
import type { StationLists } from '../../model/lists.ts';
import type { Network } from '../../model/network.ts';
import type { VerifiedOrder } from '../../model/order.ts';
import type { ExplanationLevel } from '../../model/refusal.ts';
import type { DisclosureSettings } from '../../model/result/settings.ts';
import type { Limits, VerifiedManifest } from '../../model/train.ts';
import type { Clock } from '../../ports/clock.ts';
import type { OpenDataset } from '../../ports/datasets.ts';
import type { LoadedImage } from '../../ports/executor.ts';
import type { PolicyAnswer } from '../../ports/policy.ts';
import type { HopRecord } from '../../ports/station-store.ts';
import type { Commitments } from './commit.ts';

/**
 * What each step hands to the next. A step demands the stage that only the step before it can make, so a gate that is
 * skipped is a compile error.
 */
declare const made: unique symbol;
type Stage<Name extends string> = { readonly [made]: Name };

export type Inspected = Stage<'inspected'> & {
  readonly hop: HopRecord;
  readonly order: VerifiedOrder;
  readonly manifest: VerifiedManifest;
  readonly dataset: OpenDataset;
};

export type Decided = Stage<'decided'> & {
  readonly inspected: Inspected;
  readonly hop: HopRecord;
  readonly answer: PolicyAnswer;
  readonly policyDigest: string;
  readonly disclosure: DisclosureSettings;
  readonly caseDigest: Digest;
};

export type Cleared = Stage<'cleared'> & {
  readonly decided: Decided;
  readonly hop: HopRecord;
  readonly deadlineAtMs: number;
};

export type Loaded = Stage<'loaded'> & {
  readonly cleared: Cleared;
  readonly hop: HopRecord;
  readonly image: LoadedImage;
  readonly entrypoint: string[];
  readonly workingDir: string;
  readonly env: string[];
};

export type Collected = Stage<'collected'> & {
  readonly cleared: Cleared;
  readonly hop: HopRecord;
  /** In memory only, until it has been screened and sealed. */
  readonly output: Uint8Array;
};

export type Screened = Stage<'screened'> & {
  readonly cleared: Cleared;
  readonly hop: HopRecord;
  /** The canonical bytes of the released document. */
  readonly result: Uint8Array;
};

/** Only the step that owns a stage calls this, with its own stage's name. */
export function stage<S extends Stage<string>>(content: Omit<S, typeof made>): S {
  return content as S;
}

/** What every step of a station may ask: who we are, which network is pinned now, and what time it is. */
export type Station = {
  readonly id: string;
  network(): Network;
  readonly clock: Clock;
  readonly maxima: Limits;
  readonly lifetimeMsMax: number;
  readonly runAs: string;
  /** Ids of known weaknesses of the engine that this station's admin runs with. */
  readonly acceptEngineRisks: readonly string[];
  readonly blobCacheBytesMax: number;
  readonly explanations: ExplanationLevel;
  disclosure(): DisclosureSettings;
  /** This station's own lists of researchers and images, which its policy may speak of. */
  lists(): StationLists;
  /** The highest time ever seen here. */
  highestMs(): number;
  readonly commitments: Commitments;
  /** The station's own log; never sent to anyone. */
  note(text: string, detail: Record<string, unknown>): void;
};
