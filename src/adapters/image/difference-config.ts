import type { ImageConfig } from '../../model/image-config.ts';
import type { ConfigChange } from '../../model/image-difference.ts';

/** What differs in how two images are started. */

const WORDS_MAX = 512;
/** Of one list as JSON. */
const WORDS_BYTES_MAX = 128 * 1024;

/** Of the environment only the lines that differ; of a command always the whole, since only the whole means anything. */
export function configChanges(before: ImageConfig | null, now: ImageConfig): ConfigChange[] {
  const then = before ?? { entrypoint: [], env: [], workingDir: '', user: '' };
  const env = { before: without(then.env, now.env), now: without(now.env, then.env) };
  const sameLines = env.before.length === 0 && env.now.length === 0;
  return [
    changeOf('command', then.entrypoint, now.entrypoint),
    // Of two lines with one name, the order says which counts.
    sameLines ? changeOf('env', then.env, now.env) : changeOf('env', env.before, env.now),
    changeOf('workingDir', some(then.workingDir), some(now.workingDir)),
    changeOf('user', some(then.user), some(now.user)),
  ].filter((change) => change !== null);
}

const some = (word: string): string[] => (word === '' ? [] : [word]);

function without(words: readonly string[], others: readonly string[]): string[] {
  const known = new Set(others);
  return words.filter((word) => !known.has(word));
}

function changeOf(
  what: ConfigChange['what'],
  before: readonly string[],
  now: readonly string[],
): ConfigChange | null {
  if (before.length === now.length && before.every((word, at) => word === now[at])) return null;
  const [earlier, later] = [fitting(before), fitting(now)];
  const omitted = before.length - earlier.length + now.length - later.length;
  return { what, before: earlier, now: later, omitted };
}

function fitting(words: readonly string[]): string[] {
  let bytes = 0;
  const over = words.slice(0, WORDS_MAX).findIndex((word) => {
    bytes += Buffer.byteLength(JSON.stringify(word)) + 1;
    return bytes > WORDS_BYTES_MAX;
  });
  return words.slice(0, over === -1 ? WORDS_MAX : over);
}
