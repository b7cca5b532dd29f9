import { say, verbatim } from './screen.ts';

/** Everything that the demo claims, each looked at; the exit status is theirs. */
export type Checks = {
  /** @param detail what was seen, shown where it does not hold */
  hold(name: string, ok: boolean, detail?: string): void;
  failed(): number;
  summary(): void;
};

/** @param tell where what does not hold is said at once */
export function createChecks(tell: (line: string) => void = say): Checks {
  const seen: { name: string; ok: boolean; detail: string }[] = [];
  return {
    hold(name, ok, detail = '') {
      seen.push({ name, ok, detail });
      if (!ok) tell(`DOES NOT HOLD: ${name}${detail === '' ? '' : `: ${detail}`}`);
    },
    failed: () => seen.filter(({ ok }) => !ok).length,
    summary() {
      verbatim(seen.map(({ name, ok }) => `  ${ok ? 'ok    ' : 'FAILED'}  ${name}`));
      const failed = seen.filter(({ ok }) => !ok).length;
      verbatim(['', `demo: ${seen.length - failed} passed, ${failed} failed`]);
    },
  };
}

/** Strict equality of what programs read, as JSON. */
export function same(seen: unknown, wanted: unknown): boolean {
  return JSON.stringify(seen) === JSON.stringify(wanted);
}
