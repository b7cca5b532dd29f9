import type { ErrorCode } from '../model/error.ts';

/** The one mapping of error codes to exit statuses of the command line. */
export const EXIT = {
  done: 0,
  other: 1,
  usage: 2,
  refused: 3,
  unverified: 4,
  unreachable: 5,
  interrupted: 130,
} as const;
export type ExitStatus = (typeof EXIT)[keyof typeof EXIT];

const { other, usage, refused, unverified, unreachable } = EXIT;

/** Every code stands here once: a new one does not compile until somebody has decided. */
const STATUS: Readonly<Record<ErrorCode, ExitStatus>> = {
  'usage.invalid': usage,
  'config.invalid': usage,
  'config.missing': usage,
  'input.too-large': usage,
  'input.malformed': usage,
  'passphrase.required': usage,
  'passphrase.wrong': usage,
  'home.exists': usage,
  'home.missing': usage,
  'home.locked': usage,
  'statement.malformed': unverified,
  'statement.type': unverified,
  'signature.invalid': unverified,
  'signer.unknown': unverified,
  'network.mismatch': unverified,
  'network.invalid': unverified,
  'network.expired': unverified,
  'network.rollback': unverified,
  'network.stale': unverified,
  'network.behind': unverified,
  'network.forked': unverified,
  'signer.revoked': unverified,
  'certificate.invalid': unverified,
  'manifest.invalid': unverified,
  'manifest.expired': unverified,
  'manifest.too-long': unverified,
  'order.invalid': unverified,
  'order.expired': unverified,
  'order.audience': unverified,
  'inquiry.invalid': unverified,
  'inquiry.expired': unverified,
  replayed: unverified,
  'image.mismatch': unverified,
  'image.unsafe': unverified,
  'image.missing': other,
  'envelope.invalid': unverified,
  'recipient.unknown': unverified,
  'receipt.invalid': unverified,
  'ledger.invalid': unverified,
  'ledger.inconsistent': unverified,
  'ledger.unchecked': unreachable,
  'proof.invalid': unverified,
  'witness.unreachable': unreachable,
  'dispatcher.distrusted': unverified,
  'clearance.invalid': unverified,
  'policy.denied': refused,
  'policy.error': refused,
  'policy.missing': refused,
  'clearance.rejected': refused,
  'clearance.expired': refused,
  'clearance.withdrawn': refused,
  'clearance.same-person': refused,
  'policy.test-failed': unverified,
  'disclosure.withheld': refused,
  'disclosure.held': refused,
  'dataset.unknown': usage,
  'dataset.unreadable': other,
  'dataset.changed': other,
  'engine.unreachable': unreachable,
  'engine.unsafe': refused,
  'run.failed': other,
  'deadline.passed': unreachable,
  cancelled: other,
  'clock.untrusted': unverified,
  'not-found': usage,
  forbidden: refused,
  conflict: other,
  'quota.exceeded': refused,
  'stale.epoch': other,
  unreachable,
  'timed-out': unreachable,
  internal: other,
};

export function exitStatusOf(code: ErrorCode): ExitStatus {
  return STATUS[code];
}

/** What an error means for the data, in one line for people; null where nothing general is true. */
export function meaningOf(code: ErrorCode): string | null {
  // A file may turn out bad, or a disk full, in the middle of a command.
  if (/^(?:config|input)\./.test(code))
    return 'No file was left half-written, and no patient data left a station.';
  if (code.startsWith('dataset.') && STATUS[code] === other)
    return 'No train runs on these data until it is mended.';
  if (code === 'conflict') return 'Nothing was changed.';
  switch (STATUS[code]) {
    case usage:
      return 'Nothing was done: no data was read and nothing was sent.';
    case refused:
      return 'No patient data left the station on account of this.';
    case unverified:
      return 'What could not be verified was not used.';
    case unreachable:
      return 'Nothing is lost: what the other side has already accepted stays there.';
    default:
      return null;
  }
}

/** What to do next, where the error itself does not say. */
const NEXT: Partial<Record<ErrorCode, string>> = {
  'usage.invalid': 'see --help of the command, which has an example',
  'config.missing': 'put that file in its place, from a backup or as docs/ describe it',
  'config.invalid': 'correct what is named above, or restore it from a backup; --debug tells more',
  'input.malformed': 'get the file anew from where it came, or restore it from a backup',
  'input.too-large': 'look whether it is the file that was meant',
  'home.locked': 'stop the other process first',
  'dataset.unknown': 'pht network datasets lists what is offered',
  'passphrase.wrong': 'try again; without the passphrase the key is lost and the member enrols anew',
  'signature.invalid': 'ask whoever gave it to you for it again, by another way',
  'statement.malformed': 'ask whoever gave it to you for it again',
  'network.mismatch': 'compare the network id with the authority; the file may belong to another network',
  'network.invalid': 'ask the network authority for its current file, then: pht network import FILE',
  'signer.unknown': 'import the current network file; if nobody of that name is in it, ask the authority',
  'envelope.invalid': 'ask whoever sealed it to seal it again, to the key in the current network file',
  'proof.invalid': 'get the file anew from who made it; as it is, it proves nothing',
  'ledger.invalid': 'pht audit verify names what is wrong with which log',
  'not-found': 'pht train list names your trains',
  conflict: 'look at what is named above; --debug tells more',
  unreachable: 'look whether the other side runs and config.yaml names its address; then try again',
  'timed-out': 'try again; pht train list shows how far it came',
  internal: 'run it again with --debug, and report what it says',
};

export function nextOf(code: ErrorCode): string | undefined {
  return NEXT[code];
}
