import { PhtError } from '../../model/error.ts';
import { type OpenedCheckpoint, openCheckpoint, parseCheckpoint } from '../../model/ledger/checkpoint.ts';
import { parseNote } from '../../model/ledger/note.ts';
import type { NoteKey } from '../../model/ledger/vkey.ts';
import { type Finding, finding } from './findings.ts';
import type { KeyedHead } from './rotations.ts';
import { isAboutTheLog } from './served.ts';

/** One member's log as the network file pins it. */
export type PinnedLog = {
  member: string;
  origin: string;
  /** Those that it had, oldest first. */
  keys: readonly NoteKey[];
};

export function keyedHead(anchor: { size: number; signedBy?: readonly NoteKey[] } | null): KeyedHead | null {
  return anchor?.signedBy === undefined ? null : { size: anchor.size, signedBy: anchor.signedBy };
}

/** The head of a log under any key of its member; null, and a finding, for what is none. */
export function openHead(
  signed: Uint8Array,
  { log, found }: { log: PinnedLog; found: (finding: Finding) => void },
): OpenedCheckpoint | null {
  const { member, origin, keys } = log;
  try {
    return openCheckpoint(signed, { origin, logKeys: keys, witnessKeys: [] });
  } catch (thrown) {
    if (!isAboutTheLog(thrown)) throw thrown;
    const other = originOf(signed);
    const foreign = other !== null && other !== origin;
    const malformed = thrown.code === 'ledger.invalid';
    const code = foreign ? 'checkpoint.foreign' : malformed ? 'checkpoint.malformed' : 'checkpoint.unsigned';
    const text = foreign ? `the checkpoint says that it is of ${other}` : thrown.message;
    found(finding('error', code, { log: member }, text));
    return null;
  }
}

/** What an unverified checkpoint claims to be of; null where it has no form. */
function originOf(signed: Uint8Array): string | null {
  try {
    return parseCheckpoint(parseNote(signed).text).origin;
  } catch (thrown) {
    if (thrown instanceof PhtError) return null;
    throw thrown;
  }
}
