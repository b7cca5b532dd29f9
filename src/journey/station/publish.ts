import type { LedgerService } from '../../gen/pht/v1/ledger_pb.ts';
import { asPhtError } from '../../model/error.ts';
import type { Ledger, LedgerRows } from '../../ports/ledger.ts';
import type { Client } from '../../ports/wire.ts';
import type { Witnessing } from '../../ports/witnessing.ts';
import type { Bell } from './bell.ts';
import { mirror } from './mirror.ts';
import type { Station } from './stages.ts';

/** Cosignatures of an idle ledger are renewed this often. */
const RENEW_MS = 3_600_000;
/** A connection that lasted this long was no failure. */
const STEADY_MS = 60_000;

type Pause = (failures: number, signal: AbortSignal) => Promise<void>;

export type PublishPorts = {
  ledgerClient: Client<typeof LedgerService>;
  ledger: Ledger;
  ledgerRows: LedgerRows;
  witnessing: Witnessing;
  pause: Pause;
  /** Why the ledger is not published now, in words; empty once it is. */
  troubled(problem: string): void;
};

/** Every entry is cosigned and mirrored before long, and an idle ledger is shown to be alive. */
export async function keepPublished(
  station: Station,
  ports: PublishPorts,
  bell: Bell,
  signal: AbortSignal,
): Promise<void> {
  const { witnessing, ledger, ledgerRows: rows } = ports;
  let failures = 0;
  let renewedAtMs = station.clock.nowMs();
  while (!signal.aborted) {
    try {
      await witnessing.covered(rows.size(), signal);
      if (station.clock.nowMs() - renewedAtMs >= RENEW_MS) {
        await witnessing.renew(signal);
        renewedAtMs = station.clock.nowMs();
      }
      await mirror(ports.ledgerClient, { rows, ledger }, signal);
      failures = 0;
      ports.troubled('');
      await bell.wait(AbortSignal.any([signal, AbortSignal.timeout(RENEW_MS)]));
    } catch (thrown) {
      if (signal.aborted) return;
      const { code, message } = asPhtError(thrown);
      // Once: it may take a weekend.
      if (failures === 0) station.note('the ledger is not published', { code, error: thrown });
      ports.troubled(`${message} [${code}]`);
      await ports.pause(failures++, signal);
    }
  }
}

/** This station as a witness of the others, on a connection that it opened. */
export async function keepWitnessing(
  station: Station,
  ports: { listenAsWitness(signal: AbortSignal): Promise<void>; pause: Pause },
  signal: AbortSignal,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const startedAtMs = station.clock.nowMs();
    try {
      await ports.listenAsWitness(signal);
    } catch (thrown) {
      if (signal.aborted) return;
      if (failures === 0) station.note('this station is no witness now', { code: asPhtError(thrown).code });
    }
    failures = station.clock.nowMs() - startedAtMs > STEADY_MS ? 0 : failures + 1;
    await ports.pause(failures, signal);
  }
}
