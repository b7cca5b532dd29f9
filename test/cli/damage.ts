import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';

/** What happens to files: disks, editors, other systems and other people. Each works on any file. */

const GIB = 1024 ** 3;

export const DAMAGES = {
  absent: (path) => rmSync(path, { recursive: true }),
  empty: (path) => writeFileSync(path, ''),
  'cut in half': (path) => {
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.subarray(0, bytes.byteLength / 2));
  },
  'of another type': (path) => writeFileSync(path, '[1, 2, 3]\n'),
  'too large': (path) => truncateSync(path, 8 * GIB),
  'with a key twice': (path) => prepend(path, '"v": 1, "v": 1,', 'title: a\ntitle: a\n'),
  'with an unknown member': (path) => prepend(path, '"unheardOf": 1,', 'unheardOf: 1\n'),
  'in UTF-16': (path) => writeFileSync(path, Buffer.from(`\ufeff${readFileSync(path, 'utf8')}`, 'utf16le')),
  'in Latin-1': (path) =>
    writeFileSync(path, readFileSync(path, 'utf8').replace(/[a-z]/, '\u00e4'), 'latin1'),
  'with NUL bytes': (path) => writeFileSync(path, `${readFileSync(path, 'utf8')}\0\0`),
  'a folder': (path) => {
    rmSync(path, { recursive: true });
    mkdirSync(path);
  },
  'a link to itself': (path) => {
    rmSync(path, { recursive: true });
    symlinkSync(path, path);
  },
  // Whoever opens it without care waits for ever.
  'a pipe': (path) => {
    rmSync(path, { recursive: true });
    execFileSync('mkfifo', ['-m', '600', path]);
  },
} satisfies Record<string, (path: string) => void>;

export type Damage = keyof typeof DAMAGES;
export const ALL = Object.keys(DAMAGES) as Damage[];

/** JSON gets the new members inside its braces, YAML as lines of its own. */
function prepend(path: string, members: string, lines: string): void {
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.startsWith('{') ? `{${members}${text.slice(1)}` : `${lines}${text}`);
}

/** A file, or a folder's name, that holds nothing of what is expected there. */
export function replaceByJunk(path: string): void {
  rmSync(path, { recursive: true, force: true });
  writeFileSync(path, Buffer.from(Array.from({ length: 5000 }, (_, at) => (at * 7919) % 251)));
  chmodSync(path, 0o600);
}
