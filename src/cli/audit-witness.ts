import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readVisitorConfig } from '../adapters/home/config.ts';
import { writeAtomic } from '../adapters/home/files.ts';
import { lockHome } from '../adapters/home/lock.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { openDatabase } from '../adapters/store/database.ts';
import { createWitnessStore, WITNESS_TABLES } from '../adapters/store/witness-store.ts';
import { backoffMs } from '../adapters/wire/backoff.ts';
import type { Channel } from '../adapters/wire/client.ts';
import { WitnessService } from '../gen/pht/v1/witness_pb.ts';
import { listenAsWitness } from '../journey/witness/remote.ts';
import { createWitness, type Witness } from '../journey/witness/witness.ts';
import { asPhtError, PhtError } from '../model/error.ts';
import { conflictDigest, formatMisconduct, misconductOf } from '../model/ledger/misconduct.ts';
import type { LedgerConflict, WitnessStore } from '../ports/witness.ts';
import { auditDir } from './audit-state.ts';
import { dialDispatcher } from './dial.ts';
import { fetchNetwork, isFetchDue } from './fetch-network.ts';
import type { Frame } from './frame.ts';
import { type LedgerKeys, openLedgerKeys } from './ledger-keys.ts';

/** A connection that lasted this long was no failure. */
const STEADY_MS = 60_000;
/** How often the age of network file and certificate is looked at. */
const LOOK_MS = 15 * 60_000;

/** `pht audit witness`: one more memory that no hospital and no dispatcher keeps. */
export async function witnessLogs(frame: Frame): Promise<void> {
  const home = frame.openHome(['auditor']);
  assertNamed(home, frame);
  const dir = join(auditDir(home.dir), 'witness');
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const unlock = lockHome(dir);
  const database = openDatabase(join(dir, 'state.db'), [WITNESS_TABLES]);
  try {
    // An auditor keeps no ledger of his own: what he finds is kept as a file that anybody can verify.
    const store = createWitnessStore(database, null);
    const tell = (text: string): void => frame.output.progress(text);
    const keys = await openLedgerKeys(home, 'witness', () => currentNetwork(home), tell);
    await keepWitnessing(composeWitness(home, store, keys, frame), home, keys, frame);
  } finally {
    database.close();
    unlock();
  }
}

function assertNamed(home: Home, frame: Frame): void {
  const network = currentNetwork(home);
  const me = network.members.get(home.member.id);
  if (me?.keys.witness === undefined) {
    throw new PhtError('signer.unknown', `the network file names no witness key of ${home.member.id}`, {
      hint: 'ask the authority to admit this home, then: pht network import FILE',
    });
  }
  const { witnessing } = network;
  const counted = witnessing.quorum !== 'none' && witnessing.witnesses.includes(home.member.id);
  if (!counted) {
    frame.output.warn(
      'the network file does not count this witness: it is asked nothing until the authority names it (pht network witnesses)',
    );
  }
}

function composeWitness(home: Home, store: WitnessStore, { signer }: LedgerKeys, frame: Frame): Witness {
  const told = new Set<string>();
  return createWitness({
    id: home.member.id,
    network: () => currentNetwork(home),
    store,
    signer,
    nowMs: frame.nowMs,
    conflict: (conflict) => {
      const digest = conflictDigest(conflict);
      if (told.has(digest)) return;
      told.add(digest);
      const file = keepEvidence(home, conflict);
      frame.output.event(
        { conflict: digest, member: conflict.member, size: conflict.size, file },
        `${conflict.member} signed two ledgers of ${conflict.size} entries; ${file} proves it: pht audit misconduct FILE`,
      );
    },
  });
}

function keepEvidence(home: Home, conflict: LedgerConflict): string {
  const misconduct = misconductOf(currentNetwork(home), conflict);
  const file = join(auditDir(home.dir), `${conflict.member}-${conflict.size}.misconduct`);
  writeAtomic(file, formatMisconduct(misconduct));
  return file;
}

async function keepWitnessing(witness: Witness, home: Home, keys: LedgerKeys, frame: Frame): Promise<void> {
  const { signal } = frame;
  const { channel, dispatcher } = await dialDispatcher(home, readVisitorConfig(home.dir));
  frame.output.event(
    { ready: true, witness: home.member.id, dispatcher: dispatcher.id },
    `${home.member.id} is a witness now, asked through ${dispatcher.id}`,
  );
  const current = keepCurrent(home, channel, keys, frame);
  try {
    for (let failures = 0; !signal.aborted; ) {
      const startedAtMs = frame.nowMs();
      const replaced = current.replaced();
      try {
        await listenAsWitness(channel.client(WitnessService), witness, AbortSignal.any([signal, replaced]));
      } catch (thrown) {
        if (signal.aborted) return;
        if (replaced.aborted) continue;
        const { code, message } = asPhtError(thrown);
        // What no waiting mends is for the person who started this.
        if (code === 'forbidden' || code === 'signer.unknown') throw thrown;
        frame.output.progress(`${message}; trying again`);
      }
      failures = frame.nowMs() - startedAtMs > STEADY_MS ? 0 : failures + 1;
      await sleep(backoffMs(failures, Math.random), undefined, { signal }).catch(() => undefined);
    }
  } finally {
    current.close();
    channel.close();
  }
}

/** Who runs for longer than a certificate is good for renews it in time, and goes on over a new connection. */
function keepCurrent(
  home: Home,
  channel: Channel,
  keys: LedgerKeys,
  { signal, nowMs, output }: Frame,
): { replaced(): AbortSignal; close(): void } {
  let connection = new AbortController();
  const asking = { signal, nowMs, tell: (line: string) => output.progress(line) };
  const look = async (): Promise<void> => {
    await keys.look();
    try {
      if (!isFetchDue(home, currentNetwork(home), nowMs())) return;
      if (!(await fetchNetwork(home, channel, asking))) return;
    } catch (thrown) {
      // The next look, or what listens beside it, meets the same.
      return output.progress(asPhtError(thrown).message);
    }
    await keys.look();
    channel.renew();
    const before = connection;
    connection = new AbortController();
    before.abort(new PhtError('cancelled', 'there is a newer connection'));
  };
  void look();
  const timer = setInterval(() => void look(), LOOK_MS);
  return { replaced: () => connection.signal, close: () => clearInterval(timer) };
}
