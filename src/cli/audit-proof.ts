import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { readBounded, writeAtomic } from '../adapters/home/files.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import type { AuditReport } from '../journey/auditor/audit.ts';
import { keeperOf, watchTrain } from '../journey/auditor/audit.ts';
import { earlyProof } from '../journey/auditor/early.ts';
import { type ClaimedHead, claimedHead, claimedHeads, mergedHeads } from '../journey/auditor/past-heads.ts';
import { checkProof, type Placed, proofOf } from '../journey/auditor/prove.ts';
import { lifeOf } from '../journey/auditor/show.ts';
import { timeText } from '../journey/auditor/words.ts';
import { PhtError } from '../model/error.ts';
import { type TrainId, TrainIdText } from '../model/id.ts';
import { memberOf, type Network } from '../model/network.ts';
import { check } from '../model/schema.ts';
import type { LogSource } from '../ports/log-source.ts';
import { runAudit } from './audit-run.ts';
import { type Audited, withLogs } from './audit-source.ts';
import type { Memory } from './audit-state.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';
import { table, wrap } from './text.ts';

const PROOF_BYTES_MAX = 256 * 1024;

type ProofOptions = { logs?: string; out?: string; check?: string };

/** `pht audit proof TRAIN` and `pht audit proof --check FILE` */
export async function proveTrain(
  frame: Frame,
  train: string | undefined,
  options: ProofOptions,
): Promise<void> {
  if ((train === undefined) === (options.check === undefined))
    throw new PhtError('usage.invalid', 'name either a train, or a file with --check');
  if (options.check !== undefined) return checkFile(frame, options.check);
  const trainId = check(TrainIdText, train, 'the train', 'usage.invalid');
  const out = options.out ?? `${trainId}-proofs`;
  await withLogs(frame, options, async (audited) => {
    const { proofs: all, report } = await provenEntries(frame, audited, trainId);
    const proofs = all.filter(({ entry }) => entry.trainId === trainId);
    mkdirSync(out, { recursive: true });
    const written = proofs.map(({ member, index, entry, bytes }) => {
      const file = join(out, `${member}-${index}.tlog-proof`);
      writeAtomic(file, bytes, 0o644);
      return { file, member, index, type: entry.type };
    });
    frame.output.result({ trainId, proofs: written, failed: report.failed }, [
      ...table(
        ['LOG', 'ENTRY', 'WHAT', 'FILE'],
        written.map(({ member, index, type, file }) => [member, String(index), type, file]),
      ),
      '',
      ...wrap(
        `${written.length} proofs (C2SP tlog-proof) in ${out}. Check one with: pht audit proof --check FILE`,
      ),
      ...(report.failed ? wrap('The logs have findings. See: pht audit verify') : []),
    ]);
    if (report.failed) process.exitCode = EXIT.unverified;
  });
}

/** `early`: the same under the first head that witnesses are known to have seen it in. */
export type Proof = Placed & { bytes: Uint8Array; early: Uint8Array | null };
type Proven = {
  proofs: Proof[];
  report: AuditReport;
  kept: LogSource;
  heads: ReadonlyMap<string, Uint8Array>;
};

/**
 * Every entry about a train, in logs that verify, with its proof.
 *
 * @throws PhtError `not-found` when no log that verifies speaks of it
 */
export async function provenEntries(frame: Frame, audited: Audited, trainId: TrainId): Promise<Proven> {
  const watched = watchTrain(trainId);
  const { report, kept, memory } = await runAudit(frame, audited, { onEntry: watched.onEntry });
  const heads = new Map(
    report.logs.flatMap(({ member, head }) => (head?.sound === true ? [[member, head.signed] as const] : [])),
  );
  const proofs: Proof[] = [];
  const { network } = audited;
  const past = new Map<string, ClaimedHead[]>();
  for (const { member, index, entry } of [...watched.entries, ...watched.ofLogs()]) {
    const signed = heads.get(member.id);
    const log = report.logs.find((each) => each.member === member.id);
    if (signed === undefined || log?.head == null) continue;
    const { size } = log.head.checkpoint;
    const placed = { member: member.id, index, entry };
    const earlier = past.get(member.id) ?? (await earlierHeads(member.id, kept, memory));
    past.set(member.id, earlier);
    const early = await earlyProof(placed, earlier, { source: kept, network, size });
    proofs.push({ ...placed, early, bytes: await proofOf(placed, signed, { source: kept, network }) });
  }
  if (proofs.length === 0) {
    throw new PhtError('not-found', `no log that verifies speaks of ${trainId}`, {
      hint: 'pht audit verify says which logs there are, and whether any is missing',
    });
  }
  return { proofs, report, kept, heads };
}

/** Those that this auditor saw, and those that were served with the log; what is wrong with them the audit has said. */
async function earlierHeads(member: string, kept: LogSource, memory: Memory): Promise<ClaimedHead[]> {
  const said = (): void => undefined;
  const seen = memory.seen.get(member) ?? [];
  return mergedHeads(
    seen.flatMap(({ signed }) => claimedHead(member, signed, said) ?? []),
    await claimedHeads(member, () => kept.pastHeads(member), said),
  );
}

function checkFile(frame: Frame, file: string): void {
  const network = currentNetwork(frame.openHome());
  const proven = checkProof(readBounded(file, PROOF_BYTES_MAX, 'the proof'), network);
  const { member, quote, entry, witnesses, quorum } = proven;
  const [event] = lifeOf([{ member: logKeeper(network, member), index: quote.index, entry }], []);
  const cosigned = quorum === null || witnesses.length >= quorum;
  const seen = `seen by ${witnesses.length === 0 ? 'no witness' : witnesses.join(', ')}`;
  const size = proven.opened.checkpoint.size;
  frame.output.result({ holds: true, member, ...quote, size, entry, witnesses, quorum, cosigned }, [
    ...wrap(`HOLDS: entry ${quote.index} of the ${size} of ${member}, ${seen}`),
    ...wrap(`${timeText(entry.ts)} UTC  ${event?.text ?? entry.type}`, 2),
    ...(entry.trainId === null ? [] : [`  ${entry.trainId}`]),
    ...(cosigned
      ? []
      : wrap(`Fewer than the ${quorum} witnesses that the network asks for have seen this head.`)),
  ]);
}

function logKeeper(network: Network, id: string): ReturnType<typeof memberOf> {
  return keeperOf(network, id) ?? memberOf(network, id, 'station');
}
