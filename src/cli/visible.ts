/** Text of a stranger, so that a person sees each character that it holds and mistakes none for another. */

/**
 * Shown as they are: printable ASCII, letters of Western and Central European languages, and marks of typography.
 * Everything else may not show at all, turn the text around, or look like something that it is not.
 */
const PLAIN = /[\u0020-\u007e\u00a1-\u00ac\u00ae-\u0130\u0132-\u017e–—‘’“”•…€]/u;
const TAB_COLUMNS = 8;

/** One line; what is not plain stands as its escape, such as `\u202e`. A tab goes to its next stop where one is wanted. */
export function visible(text: string, tabs: 'escaped' | 'expanded' = 'escaped'): string {
  let shown = '';
  for (const letter of text) {
    if (letter === '\t' && tabs === 'expanded') {
      shown += ' '.repeat(TAB_COLUMNS - (shown.length % TAB_COLUMNS));
    } else shown += PLAIN.test(letter) ? letter : escaped(letter);
  }
  return shown;
}

function escaped(letter: string): string {
  const point = letter.codePointAt(0) ?? 0;
  const digits = point.toString(16);
  return point > 0xffff ? `\\u{${digits}}` : `\\u${digits.padStart(4, '0')}`;
}
