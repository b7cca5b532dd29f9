import { asPhtError } from '../../model/error.ts';
import { LINES_TYPE } from '../../model/ledger/add-checkpoint.ts';
import type { OwnTree } from './start.ts';
import type { Witness } from './witness.ts';

/** The start-up rule of one process, passed once for its ledger and its witness alike. */
export type Vouched = {
  /** What `createLedger` takes as `beforeSigning`. @throws PhtError whatever `check` throws */
  beforeSigning(tree: OwnTree): Promise<void>;
  /** Has begun to find out, where nobody has yet; never throws. */
  look(): void;
  is(): boolean;
  /** Another member contradicts what this ledger signed: it may run twice, which only shows afterwards. */
  doubt(): void;
};

/** A liar must not have a ledger ask at every signature: it is asked anew for a contradiction this often at most. */
const DOUBT_MS = 3_600_000;
/** Nor must whoever asks a witness that may not cosign yet. */
const LOOK_MS = 1000;

export type VouchedOptions = {
  /** As `createStartCheck` gives it. */
  check: (tree: OwnTree) => Promise<void>;
  /** One's own ledger as it is signed now. */
  own: () => OwnTree;
  note: (text: string, details: Readonly<Record<string, unknown>>) => void;
  doubtMs?: number;
  lookMs?: number;
  /** Monotonic, in milliseconds. */
  nowMs?: () => number;
};

/** Nothing is signed while it is found out, so that a ledger cannot outgrow what is asked about it. */
export function createVouched(options: VouchedOptions): Vouched {
  const { check, own, note, nowMs = () => performance.now() } = options;
  const { doubtMs = DOUBT_MS, lookMs = LOOK_MS } = options;
  let passed = false;
  let running: Promise<void> | null = null;
  let complaint = '';
  let doubtedAtMs = Number.NEGATIVE_INFINITY;
  let lookedAtMs = Number.NEGATIVE_INFINITY;

  const find = (tree: OwnTree): Promise<void> => {
    running ??= check(tree)
      .then(() => {
        passed = true;
      })
      .finally(() => {
        running = null;
      });
    return running;
  };

  return {
    is: () => passed,
    doubt: () => {
      if (nowMs() - doubtedAtMs < doubtMs) return;
      [passed, doubtedAtMs] = [false, nowMs()];
    },
    beforeSigning: async (tree) => {
      if (!passed) await find(tree);
    },
    look: () => {
      if (passed || running !== null || nowMs() - lookedAtMs < lookMs) return;
      lookedAtMs = nowMs();
      find(own()).catch((thrown: unknown) => {
        const { code, message } = asPhtError(thrown);
        // Each question that comes meanwhile asks again.
        if (complaint !== code) note('this member cosigns nothing yet', { code, message, err: thrown });
        complaint = code;
      });
    },
  };
}

/**
 * A witness that cosigns nothing before its own ledger is known to be no old copy: a home that was restored from a backup
 * or cloned has forgotten, with its ledger, what it cosigned for others, and would cosign their roll-back (protocol,
 * section 7: sign nothing). What it has seen it says at any time, or no network could ever start.
 */
export function onceVouched(witness: Witness, vouched: Vouched): Witness {
  return {
    seen: witness.seen,
    addCheckpoint: (body) => {
      if (vouched.is()) return witness.addCheckpoint(body);
      vouched.look();
      return { status: 503, contentType: LINES_TYPE, body: Buffer.from('ask again later\n') };
    },
  };
}
