import { lstat, readdir, readFile, realpath } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import { PhtError } from '../../model/error.ts';

const CONTEXT_BYTES_MAX = 64 * 1024 * 1024;
const CONTEXT_ENTRIES_MAX = 10_000;
const LEFT_OUT: ReadonlySet<string> = new Set(['.git', 'node_modules']);

/** What one build sends: sorted, owned by root, without times, so that the same files give the same image. */
export type BuildContext = { archive: NodeJS.ReadableStream; bytes: number };

type ContextFile = { name: string; path: string; executable: boolean; bytes: number };

/**
 * The files of one directory as a build context. The archive is made here and not by the engine's library, whose
 * archiver follows links.
 *
 * @throws PhtError `input.malformed` for links out of the directory and special files, `input.too-large`
 */
export async function buildContext(directory: string): Promise<BuildContext> {
  const files: ContextFile[] = [];
  const root = await realpath(directory);
  await collect(root, root, files);
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  if (bytes > CONTEXT_BYTES_MAX || files.length > CONTEXT_ENTRIES_MAX) {
    throw new PhtError(
      'input.too-large',
      `${directory} holds more than 64 MiB or 10,000 files; an image is built from less`,
    );
  }
  files.sort((a, b) => (a.name < b.name ? -1 : 1));
  const archive = pack();
  for (const file of files) {
    const content = await readFile(file.path);
    archive.entry(
      { name: file.name, mode: file.executable ? 0o755 : 0o644, mtime: new Date(0), uid: 0, gid: 0 },
      content,
    );
  }
  archive.finalize();
  return { archive: Readable.from(archive, { objectMode: false }), bytes };
}

async function collect(root: string, directory: string, files: ContextFile[]): Promise<void> {
  for (const name of await readdir(directory)) {
    if (LEFT_OUT.has(name)) continue;
    const path = join(directory, name);
    const inside = await resolveInside(root, path);
    const stat = await lstat(inside);
    if (stat.isDirectory()) {
      if (inside !== path)
        throw new PhtError('input.malformed', `${path} links to a directory; copy it instead`);
      await collect(root, path, files);
    } else if (stat.isFile()) {
      const executable = (stat.mode & 0o100) !== 0;
      files.push({
        name: relative(root, path).split(sep).join('/'),
        path: inside,
        executable,
        bytes: stat.size,
      });
    } else {
      throw new PhtError('input.malformed', `${path} is neither a file nor a directory`);
    }
    if (files.length > CONTEXT_ENTRIES_MAX) return;
  }
}

async function resolveInside(root: string, path: string): Promise<string> {
  const target = await realpath(path).catch((cause: unknown) => {
    throw new PhtError('input.malformed', `${path} links to nothing`, { cause });
  });
  if (target !== root && !target.startsWith(root + sep)) {
    throw new PhtError('input.malformed', `${path} links out of ${root}`);
  }
  return target;
}
