import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Interrupted, newPassphrase, passphraseFrom, type Terminal } from './passphrase.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pht-passphrase-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

type Fake = { terminal: Terminal; type: (text: string) => void; shown: () => string; modes: boolean[] };

/** A terminal that shows what was written to it and types what it is told to. */
function terminal(options: { tty: boolean; env?: Record<string, string> }): Fake {
  const modes: boolean[] = [];
  let shown = '';
  const stdin = Object.assign(new PassThrough(), {
    isTTY: options.tty,
    setRawMode: (mode: boolean) => {
      modes.push(mode);
      if (mode) shown += '(raw)';
    },
  });
  const stderr = {
    isTTY: options.tty,
    write: (text: string) => {
      shown += text;
    },
  };
  const fake = { stdin, stderr, env: options.env ?? {} } as unknown as Terminal;
  return { terminal: fake, type: (text) => void stdin.write(text), shown: () => shown, modes };
}

function file(text: string, mode = 0o600): Record<string, string> {
  const path = join(dir, 'passphrase');
  writeFileSync(path, text);
  chmodSync(path, mode);
  return { PHT_PASSPHRASE_FILE: path };
}

test('without a terminal and a file the answer comes at once', async () => {
  const { terminal: none } = terminal({ tty: false });
  await expect(passphraseFrom(none)()).rejects.toMatchObject({ code: 'passphrase.required' });
  await expect(newPassphrase(none)).rejects.toMatchObject({ code: 'passphrase.required' });
});

test('a private file is read without its line end, and asked only once', async () => {
  const ask = passphraseFrom(terminal({ tty: false, env: file('correct horse\n') }).terminal);
  expect(await ask()).toBe('correct horse');
  rmSync(join(dir, 'passphrase'));
  expect(await ask()).toBe('correct horse');
});

test.each([
  ['open to others', 'correct horse', 0o644, 'config.invalid'],
  ['empty', '', 0o600, 'input.malformed'],
  ['only a line end', '\n', 0o600, 'config.invalid'],
  ['too large', 'x'.repeat(2000), 0o600, 'input.too-large'],
])('a file that is %s is refused', async (_name, text, mode, code) => {
  const { terminal: none } = terminal({ tty: false, env: file(text, mode) });
  await expect(passphraseFrom(none)()).rejects.toMatchObject({ code });
});

test('a file that is not there is refused, and no prompt takes its place', async () => {
  const fake = terminal({ tty: true, env: { PHT_PASSPHRASE_FILE: join(dir, 'no') } });
  await expect(passphraseFrom(fake.terminal)()).rejects.toMatchObject({ code: 'config.missing' });
  expect(fake.shown()).toBe('');
});

test('what is typed is not shown, can be corrected, and raw mode ends', async () => {
  const fake = terminal({ tty: true });
  const asked = passphraseFrom(fake.terminal)();
  fake.type('wrong\x15corrext\x7f\x7fct horse');
  fake.type('\r');
  expect(await asked).toBe('correct horse');
  expect(fake.shown()).toBe('(raw)Passphrase: \n');
  expect(fake.modes).toStrictEqual([true, false]);
});

test('Ctrl-C ends the question and restores the terminal', async () => {
  const fake = terminal({ tty: true });
  const asked = passphraseFrom(fake.terminal)();
  fake.type('abc\x03');
  await expect(asked).rejects.toBeInstanceOf(Interrupted);
  expect(fake.modes).toStrictEqual([true, false]);
});

test('a new one is typed twice, is long enough, and must agree', async () => {
  const typing = async (first: string, second: string): Promise<string> => {
    const fake = terminal({ tty: true });
    const asked = newPassphrase(fake.terminal);
    fake.type(`${first}\n`);
    setTimeout(() => fake.type(`${second}\n`), 20);
    return asked;
  };
  expect(await typing('correct horse', 'correct horse')).toBe('correct horse');
  await expect(typing('correct horse', 'correct house')).rejects.toMatchObject({ code: 'usage.invalid' });
  await expect(typing('short', 'short')).rejects.toMatchObject({ code: 'usage.invalid' });
  const { terminal: none } = terminal({ tty: false, env: file('short') });
  await expect(newPassphrase(none)).rejects.toMatchObject({ code: 'usage.invalid' });
});
