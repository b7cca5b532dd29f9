import { BUNDLE_BYTES_MAX, readBundle } from '../adapters/bundle/tar.ts';
import { readBounded } from '../adapters/home/files.ts';
import { currentNetwork, parseNetworkFile, readNetworkFile } from '../adapters/home/network-file.ts';
import { replayDecision } from '../adapters/policy/replay.ts';
import { alsoFound } from '../journey/auditor/audit.ts';
import { bundleIn } from '../journey/auditor/bundle.ts';
import { type Finding, finding } from '../journey/auditor/findings.ts';
import { verifyBundle } from '../journey/auditor/verify-bundle.ts';
import { PhtError } from '../model/error.ts';
import type { Network } from '../model/network.ts';
import { openNetwork } from '../model/open-network.ts';
import { assertSamePast } from '../model/same-past.ts';
import { check, Sha256Hex } from '../model/schema.ts';
import { lifeLines, lifeView } from './audit-life.ts';
import type { VerifyOptions } from './audit-source.ts';
import { reportLines, reportView } from './audit-view.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';

/** `pht audit verify --bundle FILE`: no network, no home; the one thing to know beforehand is the network's id. */
export async function verifyBundleFile(
  frame: Frame,
  file: string,
  options: Omit<VerifyOptions, 'bundle'>,
): Promise<void> {
  const { logs, against, disclosure = [], evidence = [] } = options;
  const files = disclosure.length + evidence.length;
  if (logs !== undefined || against !== undefined || options.new === true || files > 0)
    throw new PhtError('usage.invalid', '--bundle stands alone: all that it needs is in it');
  const pinned = pinnedIn(frame, options.networkId);
  const bundle = bundleIn(await readBundle(readBounded(file, BUNDLE_BYTES_MAX, 'the bundle')));
  const inside = openNetwork(parseNetworkFile(bundle.network, `${file}: network.json`), pinned.id);
  const given =
    options.network === undefined ? null : openNetwork(readNetworkFile(options.network), pinned.id);
  const { network, findings } = judging(inside, [pinned.network, given]);
  const verified = verifyBundle(bundle, network, replayDecision, inside.version);
  const report = { ...verified, ...alsoFound(verified, findings) };
  const context = { network, live: false, name: file, compared: true, proved: report.entries.length };
  const trainId = report.trainId ?? 'no train';
  const partial = 'A bundle shows what is in it; it cannot show that nothing was left out.';
  frame.output.result({ ...reportView(report, context), ...lifeView(trainId, report.entries, report) }, [
    ...lifeLines(trainId, report.entries, report),
    '',
    ...reportLines(report, context, frame.output.paint),
    partial,
  ]);
  if (report.failed) process.exitCode = EXIT.unverified;
}

type Pinned = { id: string /** Of the home, where there is one. */; network: Network | null };

/** An id that came with the bundle would prove nothing. */
function pinnedIn(frame: Frame, given: string | undefined): Pinned {
  if (given !== undefined)
    return { id: check(Sha256Hex, given, '--network-id', 'usage.invalid'), network: null };
  try {
    const home = frame.openHome();
    return { id: home.member.networkId, network: currentNetwork(home) };
  } catch (cause) {
    if (!(cause instanceof PhtError) || cause.code !== 'usage.invalid') throw cause;
    throw new PhtError('usage.invalid', 'whose network the bundle should be of was not said', {
      cause,
      hint: "name its id with --network-id; the network's authority reads it out to you",
    });
  }
}

/**
 * The newest of the network files at hand judges, since it knows the whole past and who has left since; that in the
 * bundle must tell the same of what they have in common.
 */
function judging(
  inside: Network,
  others: readonly (Network | null)[],
): { network: Network; findings: Finding[] } {
  let network = inside;
  const findings: Finding[] = [];
  for (const other of others) {
    if (other === null) continue;
    const [older, newer] = other.version < network.version ? [other, network] : [network, other];
    try {
      assertSamePast(older, newer);
    } catch (thrown) {
      if (!(thrown instanceof PhtError)) throw thrown;
      findings.push(finding('misconduct', 'network.forked', { log: null }, thrown.message));
    }
    network = newer;
  }
  return { network, findings };
}
