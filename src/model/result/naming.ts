import type { Codebook } from './codebook.ts';
import type { Output } from './schema.ts';

/** Words that an id may be made of besides column names and the signed parameters' words. */
const ID_WORDS: readonly string[] = [
  'frequencies frequency counts count cells table histogram hist patients events rows total n by per overall',
  'linear aggregations means mean sd summary numeric tests test logrank log rank survival effect',
  'arm arms group groups status not available unavailable missing',
].flatMap((line) => line.split(' '));
export const ID_WORDS_MAX: number = 6;

export function columnsOf(output: Output): string[] {
  const dims = 'dims' in output ? output.dims.map((dim) => dim.var) : [];
  return 'var' in output ? [output.var, ...dims] : dims;
}

/** The words of which this output's id may consist. */
export function idVocabulary(output: Output, codebook: Codebook): Set<string> {
  const given = [...columnsOf(output), ...codebook.words].map((word) => word.toLowerCase());
  return new Set([...ID_WORDS, ...given.filter((word) => /^[a-z0-9_.]+$/.test(word))]);
}

/**
 * Ids and titles are free text in which a train could write what it likes. A title stays only where it is the dataset's
 * title of a column of this output. An id stays only where it is up to six words joined by `.` or `_`, each a name
 * of this output's columns, a word of the signed parameters (both in lower case) or one of the fixed words above; any
 * other becomes `o1`, `o2`, … by its place in the released result.
 *
 * @param outputs in their released order
 */
export function nameOutputs(
  outputs: readonly Output[],
  codebook: Codebook,
): { outputs: Output[]; transforms: string[] } {
  const transforms = new Set<string>();
  const named = outputs.map((output, place) => {
    const id = isSpelledFrom(output.id, idVocabulary(output, codebook)) ? output.id : `o${place + 1}`;
    if (id !== output.id) transforms.add('names: ids replaced');
    if (!('title' in output) || output.title === undefined) return { ...output, id };
    const titles = columnsOf(output).map((name) => codebook.columns.get(name)?.title);
    if (titles.includes(output.title)) return { ...output, id };
    transforms.add('names: titles dropped');
    const { title: _dropped, ...untitled } = output;
    return { ...untitled, id };
  });
  return { outputs: named, transforms: [...transforms] };
}

function isSpelledFrom(id: string, vocabulary: ReadonlySet<string>): boolean {
  if (/^o[0-9]+$/.test(id)) return false;
  // wordsTo[at]: fewest words that spell the id up to `at`, which must be followed by a joint or the end.
  const wordsTo = new Map<number, number>([[0, 0]]);
  for (let start = 0; start < id.length; start++) {
    const words = wordsTo.get(start);
    if (words === undefined || words >= ID_WORDS_MAX) continue;
    for (const word of vocabulary) {
      const end = start + word.length;
      const joint = id[end];
      if (word === '' || !id.startsWith(word, start)) continue;
      if (joint === undefined && end === id.length) return true;
      if (joint !== '.' && joint !== '_') continue;
      wordsTo.set(end + 1, Math.min(words + 1, wordsTo.get(end + 1) ?? ID_WORDS_MAX));
    }
  }
  return false;
}
