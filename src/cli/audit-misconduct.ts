import { readBounded } from '../adapters/home/files.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { PhtError } from '../model/error.ts';
import { conflictDigest, parseMisconduct, verifyMisconduct } from '../model/ledger/misconduct.ts';
import { ledgerOrigin, logKey } from '../model/ledger/origin.ts';
import { EXIT } from './exit.ts';
import type { Frame } from './frame.ts';
import { wrap } from './text.ts';

const FILE_BYTES_MAX = 256 * 1024;

/** `pht audit misconduct FILE`: whether the file proves it, with the pinned key of whom it accuses. */
export function judgeMisconduct(frame: Frame, file: string): void {
  const network = currentNetwork(frame.openHome());
  const misconduct = parseMisconduct(readBounded(file, FILE_BYTES_MAX, 'the proof of misconduct'));
  const { member, networkId, size, origin } = misconduct;
  if (networkId !== network.id) throw new PhtError('network.mismatch', `${file} is of another network`);
  const jwk = network.members.get(member)?.keys.log;
  if (jwk === undefined)
    throw new PhtError('signer.unknown', `the network file names no log key of ${member}`);
  verifyMisconduct(misconduct, logKey(ledgerOrigin(network.id, member), jwk));
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
