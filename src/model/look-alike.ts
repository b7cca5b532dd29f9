import { PhtError } from './error.ts';
import { type Member, type Network, personOf } from './network.ts';
import type { Enrolment } from './network-statements.ts';

/**
 * Names that a person could take for another's (after UTS 39, https://www.unicode.org/reports/tr39/): a small table, for
 * the scripts whose letters pass for Latin ones, and digits that pass for letters.
 */

/** Each run of letters, and what every one of them passes for. */
const CONFUSABLE: readonly (readonly [string, string])[] = [
  // Cyrillic and Greek, Armenian, Cherokee, and Latin variants. A capital i passes for a small l: i, l and 1 are one.
  ['АΑᎪАᴀɑαаӑӓ', 'a'],
  ['ВΒᏴʙßβ', 'b'],
  ['СϹᏟсϲᴄ', 'c'],
  ['ԁԀժᏧɗđ', 'd'],
  ['ЕΕᎬеєҽεɛẹ', 'e'],
  ['ϜғƑƒ', 'f'],
  ['ԌɡɢցᏀ', 'g'],
  ['НΗᎻһհнʜ', 'h'],
  ['IiіιɩıїίᎥ1lӀӏІΙǀ|Ɩŀłו', 'l'],
  ['ЈϳјȷᎫʝ', 'j'],
  ['КΚᏦкκĸᴋқ', 'k'],
  ['МΜᎷмᴍϻ', 'm'],
  ['ΝɴпηոռπŋИи', 'n'],
  ['ОΟОоοσօ०๐0ഠөθøØ', 'o'],
  ['РΡᏢрρϱ', 'p'],
  ['ԛգզ', 'q'],
  ['ᎡгɼᴦЯя', 'r'],
  ['ЅՏᏚѕꜱʂ', 's'],
  ['ТΤᎢтτᴛ', 't'],
  ['υսʋцᴜ', 'u'],
  ['ѴᏙνѵ', 'v'],
  ['ԜᎳѡωԝшɯ', 'w'],
  ['ХΧхχ×', 'x'],
  ['УΥуүγʏ', 'y'],
  ['ΖᏃᴢʐ', 'z'],
  ['‐‑‒–—―−_', '-'],
];

const FOLD: ReadonlyMap<string, string> = new Map(
  CONFUSABLE.flatMap(([letters, latin]) => [...letters].map((letter) => [letter, latin] as const)),
);

/** Two letters that look like one. */
const LIGATURES: readonly (readonly [RegExp, string])[] = [
  [/rn/g, 'm'],
  [/vv/g, 'w'],
];

/**
 * What a name looks like: compatibility forms (fullwidth, mathematical), marks, case, invisible letters and letters of
 * other scripts are folded. Two names with one skeleton may be taken for each other; the skeleton itself means nothing.
 */
export function skeleton(text: string): string {
  const known = KNOWN.get(text);
  if (known !== undefined) return known;
  if (KNOWN.size >= KNOWN_MAX) KNOWN.clear();
  const made = skeletonOf(text);
  KNOWN.set(text, made);
  return made;
}

/** Each member is held against each other one. */
const KNOWN = new Map<string, string>();
const KNOWN_MAX = 10_000;

function skeletonOf(text: string): string {
  const plain = text.normalize('NFKD').replace(/[\p{M}\p{Cf}\p{Cc}\p{Default_Ignorable_Code_Point}]/gu, '');
  const folded = [...plain]
    .map((letter) => FOLD.get(letter) ?? FOLD.get(letter.toLowerCase()) ?? letter.toLowerCase())
    .join('');
  const spaced = folded.replace(/[\s\p{P}\p{S}]+/gu, ' ').trim();
  return LIGATURES.reduce((name, [pair, one]) => name.replace(pair, one), spaced);
}

const SCRIPTS = [
  'Latin',
  'Cyrillic',
  'Greek',
  'Armenian',
  'Georgian',
  'Cherokee',
  'Coptic',
  'Hebrew',
  'Arabic',
  'Devanagari',
  'Thai',
  'Han',
  'Hiragana',
  'Katakana',
  'Hangul',
  'Bopomofo',
] as const;
type Script = (typeof SCRIPTS)[number] | 'another';

const OF_SCRIPT = SCRIPTS.map((script) => [script, new RegExp(`\\p{Script=${script}}`, 'u')] as const);

/** Languages that are written in several scripts, beside which Latin is usual (UTS 39, "highly restrictive"). */
const TOGETHER: readonly ReadonlySet<Script>[] = [
  new Set(['Latin', 'Han', 'Hiragana', 'Katakana']),
  new Set(['Latin', 'Han', 'Hangul']),
  new Set(['Latin', 'Han', 'Bopomofo']),
];

export function scriptsOf(text: string): Script[] {
  const found = new Set<Script>();
  for (const letter of text.normalize('NFKC')) {
    if (!/\p{L}/u.test(letter)) continue;
    found.add(OF_SCRIPT.find(([, pattern]) => pattern.test(letter))?.[0] ?? 'another');
  }
  return [...found];
}

/** Letters of scripts that no language writes together. */
export function mixedScript(text: string): boolean {
  const scripts = scriptsOf(text);
  if (scripts.length < 2) return false;
  return !TOGETHER.some((usual) => scripts.every((script) => usual.has(script)));
}

/** Every letter beyond ASCII by its number, so that nothing in it can look like anything else. */
export function escaped(text: string): string {
  return text.replace(/[^\x20-\x7e]/gu, (letter) => `\\u{${(letter.codePointAt(0) ?? 0).toString(16)}}`);
}

type Named = Pick<Member, 'id' | 'title' | 'organisation' | 'person'>;

/** What an admin has to be told about how a member is called; in words, each on a line. Empty for an honest name. */
export function nameWarnings(member: Named, network: Pick<Network, 'members'>): string[] {
  const others = [...network.members.values()].filter((other) => other.id !== member.id);
  const mixed = (['title', 'organisation'] as const).flatMap((part) => {
    if (!mixedScript(member[part])) return [];
    const scripts = scriptsOf(member[part]).join(' and ');
    return [`the ${part} of ${member.id} has letters of ${scripts}: ${escaped(member[part])}`];
  });
  const alike = others.flatMap((other) => likenesses(member, other, true));
  return [...mixed, ...alike];
}

/** `whole`: organisations count too. Two members of one house, or of one person, are called alike on purpose. */
function likenesses(member: Named, other: Named, whole: boolean): string[] {
  const found: string[] = [];
  if (skeleton(member.id) === skeleton(other.id)) found.push(`the id ${member.id} looks like ${other.id}`);
  const onePerson = personOf(member) === personOf(other);
  if (!onePerson && skeleton(member.title) === skeleton(other.title)) {
    found.push(`the title of ${member.id} looks like that of ${other.id}: ${escaped(member.title)}`);
  }
  const { organisation } = member;
  const disguised =
    organisation !== other.organisation && skeleton(organisation) === skeleton(other.organisation);
  if (whole && disguised) {
    const theirs = escaped(other.organisation);
    found.push(
      `the organisation of ${member.id} looks like that of ${other.id}: ${escaped(organisation)}, not ${theirs}`,
    );
  }
  return found;
}

/**
 * Nobody is admitted under a name that passes for another member's, unless whoever admits has said that he looked.
 *
 * @param members those of the network; the enrolling member's own earlier entry does not count
 * @throws PhtError `conflict`
 */
export function assertNoLookAlike(
  enrolment: Pick<Enrolment, 'member' | 'title' | 'organisation'> & { person?: string | undefined },
  members: Iterable<Named>,
): void {
  const { member: id, title, organisation, person } = enrolment;
  const named: Named = { id, title, organisation, ...(person === undefined ? {} : { person }) };
  for (const other of members) {
    if (other.id === id) continue;
    const [first] = likenesses(named, other, false);
    if (first === undefined) continue;
    throw new PhtError('conflict', `${first}; people could take one for the other`, {
      hint: 'have the member enrol under another name, or admit it with --accept-look-alike once you are sure who it is',
    });
  }
}
