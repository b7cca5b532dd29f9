import { readBounded } from '../adapters/home/files.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { type Finding, finding } from '../journey/auditor/findings.ts';
import { PhtError } from '../model/error.ts';
import {
  accountableKeys,
  conflictDigest,
  type Misconduct,
  parseMisconduct,
  verifyMisconduct,
} from '../model/ledger/misconduct.ts';
import type { Network } from '../model/network.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';
import { wrap } from './text.ts';

const FILE_BYTES_MAX = 256 * 1024;

/** @throws PhtError `proof.invalid` where the file proves nothing, `network.mismatch`, `signer.unknown` */
function readMisconduct(file: string, network: Network): Misconduct {
  const misconduct = parseMisconduct(readBounded(file, FILE_BYTES_MAX, 'the proof of misconduct'));
  const { member, networkId } = misconduct;
  if (networkId !== network.id) throw new PhtError('network.mismatch', `${file} is of another network`);
  const keys = accountableKeys(network, member);
  if (keys.length === 0)
    throw new PhtError(
      'signer.unknown',
      `the network file names no log key of ${member} that it answers for`,
    );
  verifyMisconduct(misconduct, keys);
  return misconduct;
}

/** What witnesses' files prove, as findings. @throws PhtError as `pht audit misconduct` */
export function evidenceIn(files: readonly string[], network: Network): Finding[] {
  return files.map((file) => {
    const misconduct = readMisconduct(file, network);
    const text = `two signed heads of ${misconduct.size} entries, in ${file}: conflict ${conflictDigest(misconduct)}`;
    return finding('misconduct', 'log.forked', { log: misconduct.member }, text);
  });
}

/** `pht audit misconduct FILE`: whether the file proves it, with the pinned key of whom it accuses. */
export function judgeMisconduct(frame: Frame, file: string): void {
  const misconduct = readMisconduct(file, currentNetwork(frame.openHome()));
  const { member, size, origin } = misconduct;
  const means =
    `${member} signed two different heads of its log of ${size} entries. No honest log does that: ` +
    'it has shown one history to some and another one to others.';
  const digest = conflictDigest(misconduct);
  frame.output.result(
    { proved: true, code: 'log.forked', member, origin, size, conflictDigest: digest, means },
    [
      frame.output.paint('red', `PROVED: misconduct of ${member}`),
      ...wrap(means, 2),
      ...wrap(`The conflict is named ${digest} in the logs of its witnesses.`, 2),
      ...wrap('Keep the file, and show it to the other members and to the authority.', 2),
    ],
  );
  process.exitCode = EXIT.unverified;
}
