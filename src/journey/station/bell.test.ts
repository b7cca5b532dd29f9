import { getEventListeners } from 'node:events';
import { expect, test } from 'vitest';
import { createBell } from './bell.ts';

test('a ring before, a ring while waiting, and an abort end the wait; nothing is left on the signal', async () => {
  const bell = createBell();
  const stop = new AbortController();
  bell.ring();
  await bell.wait(stop.signal);
  for (let time = 0; time < 3; time++) {
    const waiting = bell.wait(stop.signal);
    bell.ring();
    await waiting;
  }
  expect(getEventListeners(stop.signal, 'abort')).toEqual([]);
  const last = bell.wait(stop.signal);
  stop.abort();
  await last;
  await bell.wait(stop.signal);
});
