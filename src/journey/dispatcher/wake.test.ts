import { describe, expect, it } from 'vitest';
import { createWake } from './wake.ts';

const never = new AbortController().signal;
const LONG_MS = 3_600_000;

describe('a wake-up', () => {
  it('that rang between looking and waiting is not lost', async () => {
    const wake = createWake();
    const listening = wake.listen('a');
    const seen = listening.sequence();
    wake.ring('a');
    await listening.beyond(seen, LONG_MS, never);
    expect(listening.sequence()).toBe(seen + 1);
  });

  it('reaches everybody who listens for it and nobody else', async () => {
    const wake = createWake();
    const [first, second, other] = [wake.listen('a'), wake.listen('a'), wake.listen('b')];
    const waits = [first, second].map((each) => each.beyond(each.sequence(), LONG_MS, never));
    wake.ring('a');
    await Promise.all(waits);
    expect(other.sequence()).toBe(1);
    first.close();
    first.close();
    wake.ring('a');
    expect(second.sequence()).toBe(3);
  });

  it('is forgotten once nobody listens', () => {
    const wake = createWake();
    const listening = wake.listen('a');
    wake.ring('a');
    listening.close();
    wake.ring('a');
    expect(wake.listen('a').sequence()).toBe(1);
  });

  it('ends after the longest wait and on an abort', async () => {
    const listening = createWake().listen('a');
    await listening.beyond(1, 1, never);
    const controller = new AbortController();
    const waiting = listening.beyond(1, LONG_MS, controller.signal);
    controller.abort();
    await waiting;
    await listening.beyond(1, LONG_MS, controller.signal);
    expect(listening.sequence()).toBe(1);
  });
});
