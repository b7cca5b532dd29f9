import { afterEach, describe, expect, it } from 'vitest';
import { PhtError } from '../../model/error.ts';
import type { Ledger, LedgerRows, SignedHead } from '../../ports/ledger.ts';
import { createPublisher, type Publisher, type PublisherTimes } from './publish.ts';

const TIMES = { batchMs: 2, coveredMs: 150, shownMs: 300, retryMs: 10, retryMsMax: 40, renewMs: 60_000 };

type Rig = {
  publisher: Publisher;
  /** Entries in the store. */
  size: number;
  signed: number;
  published: number;
  /** What signing or gathering ends in; null for success. */
  unsigned: PhtError | null;
  ungathered: PhtError | null;
  gathers: number;
  atOnce: number;
  gatherMs: number;
  notes: string[];
  over: AbortController;
};

const open: Rig[] = [];
afterEach(async () => {
  for (const rig of open.splice(0)) {
    rig.over.abort();
    rig.unsigned = null;
    await rig.publisher.settle();
  }
});

function rigged(times: Partial<PublisherTimes> = {}): Rig {
  const head = (size: number): SignedHead => ({ size, text: new Uint8Array() });
  const over = new AbortController();
  let running = 0;
  const rig: Rig = {
    ...{ size: 1, signed: 0, published: 0, unsigned: null, ungathered: null, notes: [], over },
    ...{ gathers: 0, atOnce: 0, gatherMs: 1 },
    publisher: createPublisher({
      ledger: {
        covered: async (size: number) => {
          if (rig.unsigned !== null && rig.signed < size) throw rig.unsigned;
          rig.signed = Math.max(rig.signed, size);
        },
        published: () => head(rig.published),
      } as unknown as Ledger,
      rows: { size: () => rig.size } as unknown as LedgerRows,
      gather: async () => {
        rig.gathers += 1;
        running += 1;
        rig.atOnce = Math.max(rig.atOnce, running);
        await new Promise((resolve) => setTimeout(resolve, rig.gatherMs));
        running -= 1;
        if (rig.ungathered !== null) throw rig.ungathered;
        rig.published = rig.signed;
      },
      note: (text) => void rig.notes.push(text),
      isWitnessed: () => true,
      signal: over.signal,
      times: { ...TIMES, ...times },
    }),
  };
  open.push(rig);
  return rig;
}

const unchecked = new PhtError('ledger.unchecked', 'too few have said');
const unreachable = new PhtError('witness.unreachable', 'too few are there');

describe('publishing', () => {
  it('signs, gathers and shows what is new, one round at a time', async () => {
    const rig = rigged();
    rig.gatherMs = 15;
    for (let size = 1; size <= 30; size += 1) {
      rig.size = size;
      rig.publisher.soon();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await expect.poll(() => rig.published).toBe(30);
    expect(rig.atOnce).toBe(1);
    expect(rig.gathers).toBeLessThan(20);
  });

  it('tries again by itself while witnesses are missing, and says so once', async () => {
    const rig = rigged();
    rig.ungathered = unreachable;
    rig.publisher.soon();
    await expect.poll(() => rig.gathers).toBeGreaterThan(3);
    expect(rig.notes).toEqual(['the ledger cannot be published yet']);
    rig.ungathered = null;
    await expect.poll(() => rig.published).toBe(1);
    expect(rig.notes.at(-1)).toBe('the ledger is published again');
  });

  it('has an idle ledger cosigned anew', async () => {
    const rig = rigged({ renewMs: 20 });
    rig.publisher.soon();
    await expect.poll(() => rig.gathers).toBeGreaterThan(3);
    expect(rig.notes).toEqual([]);
  });
});

describe('waiting for a signature', () => {
  it('ends well once the ledger may be signed', async () => {
    const rig = rigged({ coveredMs: 60_000 });
    rig.unsigned = unchecked;
    setTimeout(() => {
      rig.unsigned = null;
    }, 40);
    await rig.publisher.covered(1);
    expect(rig.signed).toBe(1);
  });

  it('is bounded', async () => {
    const rig = rigged();
    rig.unsigned = unchecked;
    const startMs = performance.now();
    await expect(rig.publisher.covered(1)).rejects.toMatchObject({ code: 'ledger.unchecked' });
    expect(performance.now() - startMs).toBeGreaterThan(100);
  });

  it('does not wait for what will not pass', async () => {
    const rig = rigged({ coveredMs: 60_000 });
    rig.unsigned = new PhtError('ledger.inconsistent', 'an old copy');
    await expect(rig.publisher.covered(1)).rejects.toMatchObject({ code: 'ledger.inconsistent' });
  });
});

describe('what is shown', () => {
  it('is all up to now where the witnesses are there', async () => {
    const rig = rigged({ batchMs: 60_000 });
    rig.size = 7;
    await rig.publisher.shown();
    expect(rig.published).toBe(7);
  });

  it('is older where they are not, after a bounded time', async () => {
    const rig = rigged();
    rig.ungathered = unreachable;
    await rig.publisher.shown();
    expect(rig.published).toBe(0);
  });
});

describe('the end', () => {
  it('signs what can be signed, asks nobody, and leaves nothing behind', async () => {
    const rig = rigged({ renewMs: 5 });
    rig.size = 3;
    rig.over.abort();
    await rig.publisher.settle();
    expect([rig.signed, rig.gathers]).toEqual([3, 0]);
    rig.publisher.soon();
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(rig.gathers).toBe(0);
  });

  it('leaves unsigned what nobody vouches for, and hides nothing else', async () => {
    const rig = rigged();
    rig.unsigned = unchecked;
    rig.over.abort();
    await rig.publisher.settle();
    expect(rig.notes).toEqual(['the last entries of the ledger are not signed yet']);
    rig.unsigned = new PhtError('ledger.inconsistent', 'an old copy');
    await expect(rig.publisher.settle()).rejects.toMatchObject({ code: 'ledger.inconsistent' });
  });
});
