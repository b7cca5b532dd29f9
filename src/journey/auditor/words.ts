const TEXT_LETTERS_MAX = 300;

/** Outside text within a finding, bounded. */
export function clip(text: string): string {
  return text.length <= TEXT_LETTERS_MAX ? text : `${text.slice(0, TEXT_LETTERS_MAX - 1)}…`;
}

export function timeText(atMs: number): string {
  return new Date(atMs).toISOString().slice(0, 19).replace('T', ' ');
}
