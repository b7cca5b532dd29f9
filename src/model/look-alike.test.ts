import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { assertNoLookAlike, escaped, mixedScript, nameWarnings, skeleton } from './look-alike.ts';
import type { Member } from './network.ts';

const member = (id: string, title: string, organisation = 'Example University', person?: string): Member =>
  ({ id, title, organisation, ...(person === undefined ? {} : { person }) }) as Member;
const networkOf = (...members: Member[]) => ({ members: new Map(members.map((each) => [each.id, each])) });

describe('a skeleton', () => {
  test.each([
    ['Cyrillic letters', 'Аnnа dе Vriеs', 'Anna de Vries'],
    ['Greek letters', 'Αnna dε Vries', 'Anna de Vries'],
    ['fullwidth letters', 'Ａｎｎａ', 'Anna'],
    ['mathematical letters', '𝐀𝐧𝐧𝐚', 'Anna'],
    ['small capitals', 'ᴀɴɴᴀ', 'Anna'],
    ['accents', 'Ánnà', 'Anna'],
    ['a zero', 'n0rth', 'north'],
    ['a capital o', 'nOrth', 'north'],
    ['a one', 'he11o', 'hello'],
    ['a capital i', 'heIIo', 'hello'],
    ['another case', 'LISA', 'lisa'],
    ['r and n', 'arnsterdam', 'amsterdam'],
    ['two v', 'vvest', 'west'],
    ['an invisible letter', 'an\u200bna', 'anna'],
    ['a soft hyphen', 'an\u00adna', 'anna'],
    ['blanks', '  Anna   de Vries ', 'Anna de Vries'],
    ['another dash', 'us–other', 'us-other'],
    ['dotless i', 'lısa', 'lisa'],
  ])('sees through %s', (_, disguised, honest) => {
    expect(disguised).not.toBe(honest);
    expect(skeleton(disguised)).toBe(skeleton(honest));
  });

  test.each([
    ['amsterdam', 'rotterdam'],
    ['station-1', 'station-2'],
    ['Anna de Vries', 'Anna de Vriend'],
    ['nih', 'mih'],
    ['北京大学', '南京大学'],
    ['Иван', 'Петр'],
  ])('keeps %s and %s apart', (one, other) => {
    expect(skeleton(one)).not.toBe(skeleton(other));
  });

  test('is the same of itself, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
        expect(skeleton(skeleton(text))).toBe(skeleton(text));
      }),
    );
  });
});

test.each([
  ['Anna de Vries', false],
  ['Анна', false],
  ['Αθήνα', false],
  ['東京 University カタカナ ひらがな', false],
  ['서울 大學 Seoul', false],
  ['Zürich 2026', false],
  ['', false],
  ['Аnna', true],
  ['Annα', true],
  ['Иван Petrov', true],
  ['שלוםabc', true],
  ['ᎪNNA', true],
])('%j mixes scripts: %s', (text, mixed) => {
  expect(mixedScript(text)).toBe(mixed);
});

test('escaping leaves nothing that could look like anything else', () => {
  expect(escaped('Аnna\u202e😀')).toBe('\\u{410}nna\\u{202e}\\u{1f600}');
});

describe('warnings for an admin', () => {
  const anna = member('anna', 'Anna de Vries', 'Amsterdam UMC');

  test('none for honest names, for one house, and for one person with two roles', () => {
    const lee = member('lee', 'Dr Lee', 'Amsterdam UMC');
    const annaToo = member('anna-research', 'Anna de Vries', 'Amsterdam UMC', 'anna');
    const network = networkOf(anna, lee, annaToo);
    for (const each of network.members.values()) expect(nameWarnings(each, network)).toEqual([]);
  });

  test('name the scripts and the letters by number', () => {
    const [mixed] = nameWarnings(member('lee', 'Dr Lее'), networkOf(anna));
    expect(mixed).toBe('the title of lee has letters of Latin and Cyrillic: Dr L\\u{435}\\u{435}');
  });

  test('name whom it looks like, by id, title and organisation', () => {
    const other = member('arnna', 'Anna dе Vries', 'Аmsterdam UMC');
    expect(nameWarnings(other, networkOf(anna)).join('\n')).toContain('looks like that of anna');
    expect(nameWarnings(other, networkOf(anna)).filter((line) => line.includes('organisation'))).toHaveLength(
      2,
    );
    expect(nameWarnings(member('n0rth', 'Other'), networkOf(member('north', 'North')))).toEqual([
      'the id n0rth looks like north',
    ]);
    expect(nameWarnings(member('eve', 'Anna de Vries'), networkOf(anna))).toHaveLength(1);
  });
});

describe('admission', () => {
  const members = [member('north', 'North Hospital'), member('anna', 'Anna de Vries')];
  const enrol = (id: string, title: string, person?: string) => () =>
    assertNoLookAlike({ member: id, title, organisation: 'O', person }, members);

  test.each([
    ['n0rth', 'Another'],
    ['eve', 'Аnna de Vries'],
    ['eve', 'Anna de Vries'],
    ['eve', 'ANNA DE VRIES'],
  ])('of %s, %s is refused', (id, title) => {
    expect(enrol(id, title)).toThrow(
      expect.objectContaining({ code: 'conflict', hint: expect.stringContaining('--accept-look-alike') }),
    );
  });

  test('of the same member again, of the same person, and of anybody else goes on', () => {
    expect(enrol('anna', 'Anna de Vries')).not.toThrow();
    expect(enrol('anna-research', 'Anna de Vries', 'anna')).not.toThrow();
    expect(enrol('south', 'South Hospital')).not.toThrow();
  });
});
