import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DisclosureSettings, disclosureDigest, PRESETS, tighten } from './settings.ts';

describe('disclosure settings', () => {
  it('accepts its own presets', () => {
    for (const preset of Object.values(PRESETS)) expect(DisclosureSettings.parse(preset)).toEqual(preset);
    expect(PRESETS.sacro).toMatchObject({ threshold: 10, roundBase: 5, zerosDisclosive: true, dofMin: 10 });
    expect(PRESETS.sacro).toMatchObject({ nkN: 2, nkPercent: 90, pPercent: 10, significantDigits: 4 });
    expect(PRESETS.sacro).not.toHaveProperty('minEventsFromV');
  });

  it.each([
    { threshold: 4, roundBase: 1 },
    { threshold: 10.5 },
    { threshold: undefined },
    { roundBase: 0 },
    { roundBase: 20 },
    { dofMin: 0 },
    { nkN: 3 },
    { nkPercent: 100 },
    { pPercent: 0 },
    { significantDigits: 5 },
    { bitsMax: 1e9 },
    { off: true },
  ])('refuses %j', (change) => {
    expect(DisclosureSettings.safeParse({ ...PRESETS.sacro, ...change }).success).toBe(false);
  });

  it('lets a manifest tighten and never loosen', () => {
    expect(tighten(PRESETS.sacro, 20).threshold).toBe(20);
    expect(tighten(PRESETS.sacro, 1)).toEqual(PRESETS.sacro);
    expect(tighten(PRESETS.sacro, undefined)).toEqual(PRESETS.sacro);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1000 }), (asked) => {
        const tightened = tighten(PRESETS.sacro, asked);
        expect(tightened.threshold).toBeGreaterThanOrEqual(PRESETS.sacro.threshold);
        expect(DisclosureSettings.safeParse(tightened).success).toBe(true);
      }),
    );
  });

  it('has one digest per meaning', () => {
    const reversed = Object.fromEntries(Object.entries(PRESETS.sacro).reverse());
    expect(disclosureDigest(DisclosureSettings.parse(reversed))).toBe(disclosureDigest(PRESETS.sacro));
    expect(disclosureDigest({ ...PRESETS.sacro, threshold: 11 })).not.toBe(disclosureDigest(PRESETS.sacro));
    // Pinned: ledgers and case files hold it.
    expect(disclosureDigest(PRESETS.sacro)).toMatchInlineSnapshot(
      `"ce2bd641544536be35727081c6346032d81d9b15a4e49c4a39be7fa972b92377"`,
    );
  });
});
