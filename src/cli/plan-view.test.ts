import { expect, test } from 'vitest';
import type { Outlook, Plan, PlannedStop } from '../journey/researcher/plan.ts';
import type { TrainId } from '../model/id.ts';
import { planLines, planStatus } from './plan-view.ts';

const OUTLOOK: Outlook = {
  dataset: { offered: true, missingColumns: [] },
  verdict: 'permit',
  code: null,
  approvals: 0,
  standing: 'none',
  text: '',
  reasons: ['any: any train of this network'],
  engineReady: true,
};

const stop = (station: string, change: Partial<PlannedStop> = {}): PlannedStop => ({
  ...{ station, word: 'replied', online: true, lastSeenMs: null, outlook: OUTLOOK, code: null, text: '' },
  ...change,
});

const outlook = (change: Partial<Outlook>): Partial<PlannedStop> => ({ outlook: { ...OUTLOOK, ...change } });

const planOf = (...stops: PlannedStop[]): Plan => ({
  trainId: 'trn_0123456789abcdef01234567' as TrainId,
  title: 'Survival by arm',
  dataset: 'cgd',
  columns: ['age', 'sex'],
  stops,
  minStations: 2,
  able: 1,
  enough: false,
});

const LONG = 'a-hospital-with-a-name-of-forty-letters';

test('a person sees who would run it, who asks whom, who lacks what, and who said nothing', () => {
  const lines = planLines(
    planOf(
      stop('north'),
      stop('south', outlook({ verdict: 'ask', approvals: 2 })),
      stop('east', outlook({ dataset: { offered: true, missingColumns: ['sex'] }, engineReady: false })),
      stop(
        'west',
        outlook({
          verdict: 'deny',
          code: 'dataset.unknown',
          dataset: { offered: false, missingColumns: [] },
        }),
      ),
      stop('gone', { word: 'offline', online: false, lastSeenMs: 0, outlook: null }),
      stop('mute', { word: 'silent', outlook: null }),
    ),
  );
  expect(lines.slice(2, 9)).toEqual([
    'STATION  STATE      DATASET    COLUMNS  VERDICT       APPROVAL BY',
    'north    online     offered    all      would run     nobody',
    'south    online     offered    all      asks first    2 persons',
    'east     online     offered    lacks 1  would run     nobody',
    'west     online     not there  -        would refuse  -',
    'gone     offline    -          -        -             -',
    'mute     no answer  -          -        -             -',
  ]);
  const text = lines.join('\n');
  expect(text).toContain('north: it would run now; decided again when it comes\n  - any: any train');
  expect(text).toContain('south: 2 persons must approve it');
  expect(text).toContain('- its cgd has no column sex\n  - its container engine could not run a train now');
  expect(text).toContain(
    'west: it would be refused now: the station offers no dataset of this name\n(dataset.unknown)',
  );
  expect(text).toContain('gone: offline, last seen 1970-01-01T00:00:00.000Z, says the dispatcher');
  expect(text).toContain('1 of 6 stops have what it needs and would take it; 2 needed.');
  expect(lines.at(-1)).toBe('Next: pht train submit trn_0123456789abcdef01234567');
});

test('a standing clearance is told apart from the policy, and one that may be from one that is', () => {
  const asks = { verdict: 'ask', approvals: 2 } as const;
  const lines = planLines(
    planOf(
      stop('north', outlook({ ...asks, standing: 'covers' })),
      stop(LONG, outlook({ ...asks, standing: 'may-cover' })),
      stop('south', outlook(asks)),
    ),
  );
  for (const line of lines) expect([...line].length).toBeLessThanOrEqual(80);
  const text = lines.join(' ').replace(/\s+/g, ' ');
  expect(text).toContain('north online offered all would run nobody');
  expect(text).toContain('offered all may ask 2 persons');
  expect(text).toContain('south online offered all asks first 2 persons');
  expect(text).toContain('north: it would run now by a standing clearance, which has a run left for it');
  expect(text).toContain('2 persons may have to approve it: a standing clearance over its code may cover it');
});

test('whatever a station says stays within 80 columns and moves no terminal', () => {
  const nasty = `\u001b[2J\u202egnirts\u0007 ${'word '.repeat(60)}`;
  const lines = planLines(
    planOf(
      stop(LONG, outlook({ verdict: 'deny', code: 'policy.denied', reasons: [nasty] })),
      stop('liar', { word: 'unverified', outlook: null, code: 'signature.invalid', text: nasty }),
    ),
  );
  for (const line of lines) {
    expect([...line].length).toBeLessThanOrEqual(80);
    expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  }
  expect(lines.join(' ')).toContain('liar: its answer does not verify:');
});

test('a no is an answer; what does not verify, or nobody answering, is none', () => {
  const denied = stop('north', outlook({ verdict: 'deny', code: 'policy.denied' }));
  const silent = stop('south', { word: 'silent', outlook: null });
  const liar = stop('west', { word: 'unverified', outlook: null, code: 'signature.invalid' });
  expect(planStatus(planOf(denied, silent))).toBe(0);
  expect(planStatus(planOf(denied, silent, liar))).toBe(4);
  expect(planStatus(planOf(silent))).toBe(5);
});
