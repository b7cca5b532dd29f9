import { expect, test } from 'vitest';
import { createTurns } from './turns.ts';

const never = new AbortController().signal;
const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('nothing starts before it is opened; then at most so many at once, first come first served', async () => {
  const turns = createTurns(2);
  const started: number[] = [];
  const ends: (() => void)[] = [];
  const all = [0, 1, 2, 3].map((turn) =>
    turns.whenFree(never, async () => {
      started.push(turn);
      await new Promise<void>((resolve) => ends.push(resolve));
    }),
  );
  await settle();
  expect(started).toEqual([]);
  turns.open();
  turns.open();
  await settle();
  expect(started).toEqual([0, 1]);
  ends[1]?.();
  await settle();
  expect(started).toEqual([0, 1, 2]);
  ends[0]?.();
  await settle();
  for (const end of ends) end();
  await Promise.all(all);
  expect(started).toEqual([0, 1, 2, 3]);
});

test('whoever aborts while waiting leaves at once and takes no turn', async () => {
  const turns = createTurns(1);
  turns.open();
  let end: () => void = () => undefined;
  const first = turns.whenFree(never, () => new Promise<void>((resolve) => (end = resolve)));
  const gone = new AbortController();
  const second = turns.whenFree(gone.signal, async () => 'second');
  const third = turns.whenFree(never, async () => 'third');
  gone.abort(new Error('cancelled'));
  await expect(second).rejects.toThrow('cancelled');
  end();
  expect(await third).toBe('third');
  await first;
  await expect(turns.whenFree(gone.signal, async () => 'fourth')).rejects.toThrow('cancelled');
});

test('work that throws gives its turn back', async () => {
  const turns = createTurns(1);
  turns.open();
  await expect(turns.whenFree(never, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  expect(await turns.whenFree(never, async () => 1)).toBe(1);
});
