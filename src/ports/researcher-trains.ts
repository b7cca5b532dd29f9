import type { Arrival, HopProof } from '../model/account.ts';
import type { TrainId } from '../model/id.ts';
import type { JourneyView } from '../model/journey-view.ts';
import type { X25519PublicJwk } from '../model/schema.ts';

/** One train's own key, both halves: what comes back is sealed to it alone. */
export type TrainKey = X25519PublicJwk & { d: string };

/**
 * A packed train as it lies in the researcher's home. `manifest` is the signed envelope as it will travel. `key` is null
 * once the train has arrived completely: what was sealed to it stays closed for ever. `columns`: what train.yaml says
 * that it reads, which is no part of the manifest.
 */
export type PackedTrain = {
  readonly trainId: TrainId;
  readonly manifest: Uint8Array;
  readonly key: TrainKey | null;
  readonly departure: Departure | null;
  readonly columns?: readonly string[];
};

/** The idempotency key is on disk before the first byte is sent, so that a retry is the same submission. */
export type Departure = { idempotencyKey: string; departed: boolean };

/** Each call is durable when it returns; a crash leaves the old or the new, never a part. */
export interface PackedTrains {
  keep(train: PackedTrain & { key: TrainKey }): void;
  /** @throws PhtError `not-found` */
  find(trainId: TrainId): PackedTrain;
  /** In no particular order. */
  list(): TrainId[];
  mark(trainId: TrainId, departure: Departure): void;
  /** The dispatcher's proof that it has put this train on record, as `admissionFileOf` names it. */
  keepAdmission(trainId: TrainId, proof: Uint8Array): void;
}

/** What the dispatcher claimed of a journey, and when this home heard it. */
export type Heard = { readonly heardAtMs: number; readonly journey: JourneyView };

/** The last claim on each journey, to look at while the dispatcher cannot be asked; nothing is decided by it. */
export interface HeardJourneys {
  /** @throws PhtError `config.invalid`, `input.*` */
  list(): Heard[];
  /** In place of all that was kept. */
  replace(journeys: readonly JourneyView[], nowMs: number): void;
  /** In place of what was kept of this journey. */
  keep(journey: JourneyView, nowMs: number): void;
}

/** Verified results at rest, readable by their owner alone. */
export interface Arrivals {
  find(trainId: TrainId): Arrival | null;
  /** The verified proofs of one station's hop, as `proofFileOf` names them; later ones take the place of earlier ones. */
  keepProofs(trainId: TrainId, station: string, proofs: Readonly<Record<HopProof, Uint8Array>>): void;
  /** Keeps a complete arrival and then deletes the train's private key (protocol, section 6). */
  keep(arrival: Arrival): void;
}
