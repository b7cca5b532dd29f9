import { z } from 'zod';
import { ERROR_CODES, PhtError } from '../../model/error.ts';
import { type HopHead, hopEntryHead } from '../../model/hop.ts';
import { DigestText } from '../../model/id.ts';
import type { EntryType, LedgerEntry } from '../../model/ledger/entry.ts';
import { OUTCOMES } from '../../model/receipt.ts';
import { check } from '../../model/schema.ts';
import type { NewEntry } from '../../ports/ledger.ts';
import type { EndedHop, Restoration, SpentRun } from '../../ports/station-restore.ts';

/** What a station's entries say of its hops: as much as it takes not to do anything twice. */

const Ordered = z.looseObject({ orderDigest: DigestText });
const Receipted = z.looseObject({
  outcome: z.enum(OUTCOMES),
  code: z.enum(['released', ...ERROR_CODES]),
  receiptDigest: DigestText,
});

type Hop = {
  head: HopHead;
  ordered: Pick<EndedHop, 'orderDigest' | 'dispatcher' | 'receivedAtMs'> | null;
  /** It was released, and not withdrawn. */
  released: boolean;
  receipt: Pick<EndedHop, 'outcome' | 'code' | 'receiptDigest' | 'endedAtMs'> | null;
  /** Its receipt is among the restored entries. */
  endedSince: boolean;
  wentOn: boolean;
};

/** What the station did since, and nothing here can bring back. */
const TOLD = [
  'salts.erased',
  'trust.decided',
  'witness.conflict',
  'clearance.standing',
  'clearance.withdrawn',
] as const satisfies readonly EntryType[];
export type Told = Record<(typeof TOLD)[number], number>;

export type Account = Pick<
  Restoration,
  'ended' | 'startOver' | 'releases' | 'runs' | 'rejected' | 'voided' | 'wordsLostMs' | 'highestMs'
> & {
  /** Takes back on record each release that never left. */
  withdrawals: NewEntry[];
  told: Told;
};

export type Accounting = {
  /** An entry that stands here already, or with `since` one that is restored. */
  take(entry: LedgerEntry, since: boolean): void;
  /** An entry that was never signed. @returns whether it still holds behind the restored ones */
  carries(entry: LedgerEntry): boolean;
  close(): Account;
};

/**
 * Follows entries in their order: those that stay, those that are restored, those that were never signed.
 *
 * @throws PhtError `ledger.invalid`, from `take`, for an entry that does not say what its type has to
 */
export function createAccounting(): Accounting {
  const hops = new Map<string, Hop>();
  const runs: SpentRun[] = [];
  const rejected = new Set<string>();
  const told = Object.fromEntries(TOLD.map((type) => [type, 0])) as Told;
  let highestMs = 0;
  let wordsLostMs: number | null = null;

  const take: Accounting['take'] = (entry, since) => {
    if (since) {
      highestMs = Math.max(highestMs, entry.ts);
      for (const type of TOLD) if (entry.type === type) told[type]++;
      if (entry.type === 'clearance.withdrawn') wordsLostMs = Math.max(wordsLostMs ?? 0, entry.ts);
    }
    const head = headOf(entry);
    if (head === null) return;
    const hop = hops.get(head.hopId) ?? newHop(head);
    hops.set(head.hopId, hop);
    if (since) hop.wentOn = true;
    follow(hop, entry, since);
    const run = since ? runOf(head, entry) : null;
    if (run !== null) runs.push(run);
    const refused = since ? rejectedIn(entry) : null;
    if (refused !== null) rejected.add(refused);
    if (run !== null || refused !== null) wordsLostMs = Math.max(wordsLostMs ?? 0, entry.ts);
  };

  const carries: Accounting['carries'] = (entry) => {
    const head = headOf(entry);
    if (head === null) return entry.hopId === null;
    const hop = hops.get(head.hopId);
    if (hop !== undefined) hop.wentOn = true;
    if (hop !== undefined || entry.type !== 'order.received') return false;
    // An order that was taken on is not lost, wherever its hop stood.
    const taken = newHop(head);
    follow(taken, entry, false);
    hops.set(head.hopId, { ...taken, wentOn: true });
    return true;
  };

  return {
    take,
    carries,
    close: () => ({
      ...closed([...hops.values()]),
      ...{
        runs,
        rejected: [...rejected],
        voided: told['clearance.withdrawn'] > 0,
        wordsLostMs,
        highestMs,
        told,
      },
    }),
  };
}

function closed(hops: readonly Hop[]): Pick<Account, 'ended' | 'startOver' | 'releases' | 'withdrawals'> {
  const open = hops.filter(({ wentOn, receipt }) => wentOn && receipt === null);
  const ended = hops.filter(({ endedSince }) => endedSince);
  return {
    ended: ended.map(endedHop),
    startOver: open.map(({ head }) => head.hopId),
    releases: ended.flatMap(({ released, head: { hopId, manifestDigest } }) =>
      released ? [{ hopId, manifestDigest }] : [],
    ),
    // A result leaves with its receipt alone, and there is none on record.
    withdrawals: open
      .filter(({ released }) => released)
      .map(({ head }) => ({
        type: 'release.withdrawn',
        ...hopEntryHead(head),
        body: { code: 'ledger.inconsistent' },
      })),
  };
}

function headOf({ trainId, hopId, manifestDigest, attempt, epoch }: LedgerEntry): HopHead | null {
  if (trainId === null || hopId === null || manifestDigest === null) return null;
  if (attempt === null || epoch === null) return null;
  return { trainId, hopId, manifestDigest, attempt, epoch };
}

function newHop(head: HopHead): Hop {
  return { head, ordered: null, released: false, receipt: null, endedSince: false, wentOn: false };
}

function follow(hop: Hop, { type, ts, body, prev }: LedgerEntry, since: boolean): void {
  switch (type) {
    case 'order.received': {
      const { orderDigest } = check(Ordered, body, `order.received of ${hop.head.hopId}`, 'ledger.invalid');
      hop.ordered = { orderDigest, dispatcher: prev?.origin.split('/').at(-1) ?? '', receivedAtMs: ts };
      return;
    }
    case 'result.released':
      hop.released = true;
      return;
    case 'release.withdrawn':
      hop.released = false;
      return;
    case 'receipt.issued': {
      const said = check(Receipted, body, `receipt.issued of ${hop.head.hopId}`, 'ledger.invalid');
      const { outcome, code, receiptDigest } = said;
      hop.receipt = { outcome, code, receiptDigest, endedAtMs: ts };
      hop.endedSince = since;
      return;
    }
    default:
  }
}

function runOf({ hopId, manifestDigest }: HopHead, { type, body }: LedgerEntry): SpentRun | null {
  const { by, caseDigest, standing } = body;
  if (type !== 'clearance.recorded' || by !== 'person' || typeof caseDigest !== 'string') return null;
  return { hopId, manifestDigest, caseDigest, standing: standing === true };
}

/** @returns the case that a person said no to */
function rejectedIn({ type, body: { verdict, caseDigest } }: LedgerEntry): string | null {
  const isNo = type === 'clearance.recorded' && verdict === 'reject';
  return isNo && typeof caseDigest === 'string' ? caseDigest : null;
}

function endedHop({ head, ordered, receipt }: Hop): EndedHop {
  if (ordered === null || receipt === null) {
    throw new PhtError('ledger.invalid', `${head.hopId} has a receipt on record and no order`);
  }
  const { hopId, manifestDigest, attempt, epoch } = head;
  return { hopId, manifestDigest, attempt, epoch, ...ordered, ...receipt };
}
