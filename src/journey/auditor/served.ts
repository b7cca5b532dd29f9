import { PhtError } from '../../model/error.ts';
import { type Finding, finding } from './findings.ts';

/** The codes that say something about what was served, rather than about the way to it. */
export function isAboutTheLog(thrown: unknown): thrown is PhtError {
  if (!(thrown instanceof PhtError)) return false;
  return !['unreachable', 'timed-out', 'cancelled', 'forbidden', 'config.invalid'].includes(thrown.code);
}

/** What a source threw instead of what it was asked for. Throws what says nothing about the log. */
export function servedFinding(member: string, thrown: unknown): Finding {
  if (!isAboutTheLog(thrown)) throw thrown;
  const code = thrown.code === 'ledger.invalid' ? 'file.damaged' : 'log.withheld';
  return finding('error', code, { log: member }, thrown.message);
}
