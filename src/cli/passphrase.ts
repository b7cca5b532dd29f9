import { assertPrivate, readBounded } from '../adapters/home/files.ts';
import type { AskPassphrase } from '../adapters/home/keys.ts';
import { PhtError } from '../model/error.ts';

/** Passphrases come from a private file or from a person at a terminal, and from nowhere else. */

const PASSPHRASE_BYTES_MAX = 1024;
const LETTERS_MIN = 8;
const INTERRUPT = '\x03';
const END_OF_INPUT = '\x04';

/** A person pressed Ctrl-C at the prompt. */
export class Interrupted extends Error {}

export type Terminal = {
  stdin: NodeJS.ReadStream;
  stderr: NodeJS.WriteStream;
  env: Readonly<Record<string, string | undefined>>;
};

/** Asks once per process, and only when a key needs it. */
export function passphraseFrom(terminal: Terminal): AskPassphrase {
  let asked: Promise<string> | undefined;
  return () => {
    asked ??= existing(terminal);
    return asked;
  };
}

async function existing(terminal: Terminal): Promise<string> {
  return fromFile(terminal) ?? (await prompt(terminal, 'Passphrase: '));
}

/**
 * A new passphrase, typed twice.
 *
 * @throws PhtError `passphrase.required` at once where nobody can be asked, `usage.invalid` for a short one
 */
export async function newPassphrase(terminal: Terminal): Promise<string> {
  const given = fromFile(terminal);
  if (given !== null) return longEnough(given);
  const first = longEnough(await prompt(terminal, 'New passphrase for the private keys: '));
  if ((await prompt(terminal, 'Once more: ')) !== first) {
    throw new PhtError('usage.invalid', 'the two passphrases differ');
  }
  return first;
}

function longEnough(passphrase: string): string {
  if ([...passphrase].length >= LETTERS_MIN) return passphrase;
  throw new PhtError('usage.invalid', `a passphrase has at least ${LETTERS_MIN} characters`);
}

function fromFile({ env }: Terminal): string | null {
  const path = env['PHT_PASSPHRASE_FILE'];
  if (path === undefined || path === '') return null;
  const what = 'the passphrase file';
  const bytes = readBounded(path, PASSPHRASE_BYTES_MAX, what);
  assertPrivate(path, what);
  const passphrase = decode(bytes, path).replace(/\r?\n$/, '');
  if (/\p{Cc}/u.test(passphrase)) {
    throw new PhtError('config.invalid', `${path} (${what}) holds more than one line of plain text`);
  }
  if (passphrase === '') throw new PhtError('config.invalid', `${path} (${what}) is empty`);
  return passphrase.normalize('NFC');
}

/** A lossy reading would take two different files for one passphrase. */
function decode(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new PhtError('config.invalid', `${path} (the passphrase file) is not UTF-8`, { cause });
  }
}

/** Nobody would see a prompt without a terminal: refuse at once instead of hanging. */
async function prompt(terminal: Terminal, question: string): Promise<string> {
  const { stdin, stderr } = terminal;
  if (!stdin.isTTY || !stderr.isTTY) {
    throw new PhtError('passphrase.required', 'a passphrase is needed, and there is no terminal to ask at', {
      hint: 'put it into a file of mode 0600 and name that file in PHT_PASSPHRASE_FILE',
    });
  }
  // Before the question appears: a fast typist's first letters must not show.
  stdin.setRawMode(true);
  try {
    stderr.write(question);
    return (await readLine(stdin)).normalize('NFC');
  } finally {
    stdin.setRawMode(false);
    stdin.pause();
    stderr.write('\n');
  }
}

function readLine(stdin: NodeJS.ReadStream): Promise<string> {
  let typed: string[] = [];
  stdin.setEncoding('utf8');
  return new Promise((resolve, reject) => {
    const finish = (settle: () => void): void => {
      stdin.off('data', onData);
      stdin.off('end', onEnd);
      settle();
    };
    const onEnd = (): void => finish(() => reject(new Interrupted()));
    const onData = (chunk: string | Buffer): void => {
      for (const letter of chunk.toString()) {
        if (letter === '\r' || letter === '\n') finish(() => resolve(typed.join('')));
        else if (letter === INTERRUPT || letter === END_OF_INPUT) onEnd();
        else if (letter === '\x7f' || letter === '\b') typed.pop();
        else if (letter === '\x15') typed = [];
        else if (letter >= ' ') typed.push(letter);
      }
    };
    stdin.on('data', onData);
    stdin.on('end', onEnd);
    stdin.resume();
  });
}
