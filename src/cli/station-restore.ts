import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { readStationConfig } from '../adapters/home/config.ts';
import { readBounded } from '../adapters/home/files.ts';
import { lockHome } from '../adapters/home/lock.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { openStationStore, type StationStore } from '../adapters/store/station-store.ts';
import { LedgerService } from '../gen/pht/v1/ledger_pb.ts';
import { WitnessService } from '../gen/pht/v1/witness_pb.ts';
import { remoteLogs } from '../journey/auditor/remote.ts';
import { type Prepared, prepareRestoration } from '../journey/station/restore.ts';
import { remoteRelay } from '../journey/witness/remote.ts';
import { assertAnswered, seenHeads } from '../journey/witness/seen.ts';
import { PhtError } from '../model/error.ts';
import { NOTE_BYTES_MAX } from '../model/ledger/note.ts';
import { ownLogKeys } from '../model/past-keys.ts';
import { quorumRule } from '../model/witnessing.ts';
import { dialDispatcher } from './dial.ts';
import { type Frame, signerOf } from './frame.ts';
import { wrap } from './text.ts';

/** `pht station restore`: for a home that came back from an old backup. The agent must be stopped; the lock sees to it. */
export async function restoreStation(frame: Frame, options: { yes?: boolean }): Promise<void> {
  const home = frame.openHome(['station']);
  const agreed = options.yes === true;
  if (!agreed) assertTerminal();
  const unlock = lockHome(home.dir);
  try {
    const store = openStationStore(join(home.dir, 'state.db'), home.member.id);
    try {
      const prepared = await prepare(frame, home, store);
      if (prepared === null) return tellNothing(frame, home, store);
      if (!agreed) await confirm(frame, home, prepared);
      store.restoration.apply(prepared.restoration);
      tell(frame, home, prepared);
    } finally {
      store.close();
    }
  } finally {
    unlock();
  }
}

async function prepare(frame: Frame, home: Home, store: StationStore): Promise<Prepared | null> {
  const { signal, output } = frame;
  const member = home.member.id;
  const network = currentNetwork(home);
  const { publicJwk } = await signerOf(home, 'log');
  const rule = quorumRule(network, member);
  const { channel } = await dialDispatcher(home, readStationConfig(home.dir));
  try {
    const relay = remoteRelay(channel.client(WitnessService));
    const note = (text: string, { witness, code }: Readonly<Record<string, unknown>>): void =>
      output.warn(`${text}: ${String(witness)} (${String(code)})`);
    return await prepareRestoration({
      member,
      network,
      publicJwk,
      rows: store.ledgerRows,
      mirror: remoteLogs(channel.client(LedgerService), signal),
      seen: async () => {
        if (rule === null) return [];
        output.progress('asking the witnesses what they have seen of this ledger');
        const keys = ownLogKeys(network, member, publicJwk);
        const { heads, silent } = await seenHeads(rule, keys, { relay, signal, note });
        assertAnswered(rule, silent);
        return heads;
      },
      inFolder: checkpointIn(join(home.dir, 'ledger', 'checkpoint')),
      nowMs: frame.nowMs(),
      progress: (done, size) => output.progress(`read ${done} of ${size} entries from the mirror`),
    });
  } finally {
    channel.close();
  }
}

function checkpointIn(path: string): Uint8Array | null {
  return existsSync(path) ? readBounded(path, NOTE_BYTES_MAX, 'the checkpoint of the ledger') : null;
}

const ONLY_COPY =
  'Make sure that no other copy of this home runs, here or on another machine: two copies would sign two ledgers, and that is proof of misconduct.';

/** Nobody would see a question without a terminal. @throws PhtError `usage.invalid` */
function assertTerminal(): void {
  if (process.stdin.isTTY && process.stderr.isTTY) return;
  throw new PhtError(
    'usage.invalid',
    'this asks before it changes anything, and there is no terminal to ask at',
    {
      hint: `run it at a terminal or with --yes. ${ONLY_COPY}`,
    },
  );
}

async function confirm(frame: Frame, home: Home, { from, to }: Prepared): Promise<void> {
  const told = [
    `The ledger of ${home.member.id} has ${to} entries, and this home holds ${from} of them: it is an old copy.`,
    `The ${to - from} that are missing were read from the dispatcher's mirror and verified.`,
    ONLY_COPY,
  ];
  // Below the last line of progress.
  process.stderr.write(`\n${told.flatMap((line) => wrap(line)).join('\n')}\nRestore them? [yes/no] `);
  if ((await typedLine(frame.signal)).trim().toLowerCase() === 'yes') return;
  throw new PhtError('cancelled', 'nothing was restored');
}

/** Empty at the end of input, or when the command is stopped. */
function typedLine(signal: AbortSignal): Promise<string> {
  const lines = createInterface({ input: process.stdin, signal });
  return new Promise<string>((resolve) => {
    lines.once('line', resolve);
    lines.once('close', () => resolve(''));
  }).finally(() => lines.close());
}

function tellNothing(frame: Frame, home: Home, { ledgerRows }: StationStore): void {
  const size = ledgerRows.checkpoint()?.size ?? 0;
  frame.output.result({ station: home.member.id, restored: 0, from: size, to: size }, [
    ...wrap(
      `There is nothing to restore: this home holds all ${size} entries of its ledger that the mirror and the witnesses have seen.`,
    ),
  ]);
}

function tell(frame: Frame, home: Home, { restoration, from, to, since }: Prepared): void {
  const { ended, startOver, releases, runs } = restoration;
  const erasures = since['salts.erased'];
  const conflicts = since['witness.conflict'];
  const withdrawals = since['clearance.withdrawn'];
  const station = home.member.id;
  const counts = {
    ended: ended.length,
    released: releases.length,
    cleared: runs.length,
    startOver: startOver.length,
  };
  frame.output.result(
    { station, restored: to - from, from, to, ...counts, erasures, conflicts, withdrawals },
    [
      `${station} has its ledger back, verified: entries ${from} to ${to - 1}. They tell of`,
      ...wrap(`hops that had ended, whose orders are refused as replayed: ${counts.ended}`, 2),
      ...wrap(`releases, of results that are not released again: ${counts.released}`, 2),
      ...wrap(`runs that a person had cleared, which stay used: ${counts.cleared}`, 2),
      ...wrap(`hops that had not ended; those that are known here start over: ${counts.startOver}`, 2),
      'What cannot be restored of that time:',
      ...REMAINS.flatMap((line) => wrap(`- ${line}`, 2)),
      ...(erasures === 0 ? [] : wrap(eraseAgain(erasures))),
      ...(conflicts === 0 ? [] : wrap(lookAgain(conflicts))),
      ...(withdrawals === 0 ? [] : wrap(decideAgain(withdrawals))),
      ...wrap(ONLY_COPY),
      'Next: pht station serve',
    ],
  );
}

const REMAINS = [
  'receipts and sealed results; what the dispatcher has not fetched is lost',
  'salts: nobody can open the commitments of these entries any more',
  'approvals that were not used, and standing clearances that were signed: decide again',
  'orders that had arrived and not ended: the dispatcher offers them again or reports them as unheard',
  'what this station had cosigned for others as their witness',
] as const;

const eraseAgain = (count: number): string =>
  `Erasures since, each of which the backup has undone: ${count}. Run pht station forget again for each of these persons.`;

const lookAgain = (count: number): string =>
  `Times that this station saw two versions of another member's ledger since, whose proofs are lost: ${count}. Ask an auditor before trains run again.`;

const decideAgain = (count: number): string =>
  `Clearances taken back since: ${count}. Nobody can tell any more which, so none that this home knows lets anything run: decide again.`;
