import { existsSync } from 'node:fs';
import { writeBundle } from '../adapters/bundle/tar.ts';
import { readBounded, writeAtomic } from '../adapters/home/files.ts';
import { networkPath } from '../adapters/home/network-file.ts';
import { type BundledLog, filesOf, newLog } from '../journey/auditor/bundle.ts';
import type { Statements } from '../journey/auditor/remote.ts';
import { encodeEnvelope, parseEnvelope, payloadOf } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import { digestOf, TrainIdText } from '../model/id.ts';
import { NETWORK_BYTES_MAX } from '../model/network-news.ts';
import { check } from '../model/schema.ts';
import { readDisclosures } from './audit-disclosure.ts';
import { type Proof, provenEntries } from './audit-proof.ts';
import { type Audited, withLogs } from './audit-source.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';
import { wrap } from './text.ts';

/** `pht audit bundle TRAIN --out FILE`: what a stranger needs to check one train without any network. */
export async function bundleTrain(
  frame: Frame,
  train: string,
  options: { logs?: string; out: string; disclosure?: string[] },
): Promise<void> {
  const trainId = check(TrainIdText, train, 'the train', 'usage.invalid');
  const { out } = options;
  if (existsSync(out)) throw new PhtError('usage.invalid', `${out} exists already; name another with --out`);
  await withLogs(frame, options, async (audited) => {
    const { home, network } = audited;
    const disclosures = (await readDisclosures(options.disclosure ?? [], home, network)).filter(
      ({ predicate }) => predicate.trainId === trainId,
    );
    const { proofs, report, heads } = await provenEntries(frame, audited, trainId);
    const statements = await statementsFor(audited, trainId);
    const signed = disclosures.map(({ envelope, predicate }) => ({
      bytes: encodeEnvelope(envelope),
      station: predicate.issuer,
    }));
    const files = filesOf(
      {
        network: readBounded(networkPath(home), NETWORK_BYTES_MAX, 'the network file'),
        logs: bundled(proofs, heads),
        statements,
        disclosures: signed.map(({ bytes }) => bytes),
      },
      {
        statement: (bytes) => digestOf(payloadOf(parseEnvelope(bytes, 'statement'))),
        disclosure: (bytes) => signed.find((each) => each.bytes === bytes)?.station ?? '',
      },
    );
    writeAtomic(out, await writeBundle(files), 0o644);
    const counts = { proofs: proofs.length, statements: statements.length, disclosures: signed.length };
    frame.output.result({ trainId, file: out, networkId: network.id, ...counts, failed: report.failed }, [
      `wrote ${out}`,
      ...wrap(
        `${counts.proofs} proofs, ${counts.statements} signed statements and ${counts.disclosures} disclosures. ` +
          'Results are not in it.',
      ),
      ...(statements.length === 0 ? wrap('A copy of logs holds no statements; a live audit adds them.') : []),
      'Anybody checks it with:',
      `  pht audit verify --bundle ${out} \\`,
      `      --network-id ${network.id}`,
      ...(report.failed ? wrap('The logs have findings. See: pht audit verify') : []),
    ]);
    if (report.failed) process.exitCode = EXIT.unverified;
  });
}

function bundled(proofs: readonly Proof[], heads: ReadonlyMap<string, Uint8Array>): Map<string, BundledLog> {
  const logs = new Map<string, BundledLog>();
  for (const { member, index, bytes, early } of proofs) {
    const log = logs.get(member) ?? newLog(heads.get(member) ?? new Uint8Array());
    logs.set(member, log);
    log.proofs.set(index, bytes);
    if (early !== null) log.early.set(index, early);
  }
  return logs;
}

/** In the one byte form in which envelopes are kept. */
async function statementsFor({ statements }: Audited, trainId: string): Promise<Uint8Array[]> {
  const of: Statements | null = (await statements?.(trainId)) ?? null;
  if (of === null) return [];
  const all = [of.manifest, of.cancellation, ...of.orders, ...of.receipts];
  return all
    .filter((bytes) => bytes.byteLength > 0)
    .map((bytes) => encodeEnvelope(parseEnvelope(bytes, 'statement')));
}
