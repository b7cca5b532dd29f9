import { PhtError } from '../../model/error.ts';
import type { Member, Network, Role } from '../../model/network.ts';
import type { Clock } from '../../ports/clock.ts';
import type { DispatcherStore } from '../../ports/dispatcher-store.ts';
import type { Signer } from '../../ports/signer.ts';
import type { CallContext } from '../../ports/wire.ts';
import type { WitnessedHead } from '../../ports/witness.ts';
import type { Presence } from './presence.ts';
import type { Rejects } from './rejects.ts';
import type { Wake } from './wake.ts';

/** What one researcher may take up at a time. */
export type Quotas = {
  readonly openTrainsPerResearcherMax: number;
  readonly blobBytesPerTrainMax: number;
  readonly blobBytesPerResearcherMax: number;
};

export const QUOTAS: Quotas = {
  openTrainsPerResearcherMax: 100,
  blobBytesPerTrainMax: 8 * 1024 ** 3,
  blobBytesPerResearcherMax: 64 * 1024 ** 3,
};

/** The dispatcher's place of work: who it is, what it holds, and whom it tells. */
export type Desk = {
  /** Its own member id, which issues the orders. */
  readonly id: string;
  network(): Network;
  readonly store: DispatcherStore;
  /** Over the statement key. */
  readonly signer: Signer;
  readonly clock: Clock;
  readonly wake: Wake;
  readonly presence: Pick<Presence, 'of'>;
  readonly rejects: Rejects;
  readonly quotas: Quotas;
  /** Has the ledger's new entries published before long. */
  publish(): void;
  /**
   * The `.tlog-proof` of one entry of the dispatcher's own ledger, once a signed checkpoint covers it.
   *
   * @throws PhtError `ledger.unchecked`
   */
  prove(index: number): Promise<Uint8Array>;
  /** A validly signed head of another ledger: two roots for one size are evidence, and stay. */
  noteHead(member: string, origin: string, head: WitnessedHead): void;
  /** One line in this process's own log. */
  note(text: string, details: Readonly<Record<string, unknown>>): void;
};

/** Mutual TLS has authenticated the caller already; a service that was bound wrongly must not open a door. */
export function callerOf(context: CallContext, ...roles: readonly Role[]): Member {
  const { caller } = context;
  if (caller === null || !roles.includes(caller.role)) {
    throw new PhtError('forbidden', 'this member may not ask that of the dispatcher');
  }
  return caller;
}
