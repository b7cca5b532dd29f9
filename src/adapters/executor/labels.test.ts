import { expect, test } from 'vitest';
import { hopLabels, ownership, PREPARED_LABEL } from './labels.ts';

test('a run is told from what was prepared, whatever label its image was given', () => {
  const image: Record<string, string> = { [PREPARED_LABEL]: '1', 'signalbox.hop': 'hop_of_another' };
  const merged = { ...image, ...hopLabels(ownership('ab'.repeat(32), 'north'), 'hop_one', 3) };
  expect(merged[PREPARED_LABEL]).not.toBe('1');
  expect(merged['signalbox.hop']).toBe('hop_one');
});
