import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { PhtError } from '../../model/error.ts';
import { errnoOf, fileError, syncFolder } from './files.ts';

/** @throws PhtError `home.exists` unless there is nothing yet, or an empty folder, at that place */
export function assertNoHome(dir: string): void {
  try {
    if (readdirSync(dir).length === 0) return;
  } catch (cause) {
    const code = errnoOf(cause);
    if (code === 'ENOENT') return;
    if (code !== 'ENOTDIR') throw fileError(cause, dir, '(the home directory) could not be read');
  }
  throw homeExists(dir);
}

/**
 * Builds a home beside its place and moves it there in one step: a crash or an error leaves no half-written home.
 *
 * @param fill writes the home's files into the draft, which has mode 0700
 * @throws PhtError `home.exists`
 */
export async function createHome(dir: string, fill: (draft: string) => Promise<void>): Promise<void> {
  assertNoHome(dir);
  const place = resolve(dir);
  const draft = join(dirname(place), `.${basename(place)}.${randomBytes(6).toString('hex')}.new`);
  const discard = (): void => rmSync(draft, { recursive: true, force: true });
  // Ctrl-C ends the process without unwinding; a draft holds private keys and must not stay.
  process.once('exit', discard);
  try {
    mkdirSync(dirname(place), { recursive: true });
    mkdirSync(draft, { mode: 0o700 });
    await fill(draft);
    // Renaming a folder replaces an empty folder and nothing else, so two racing inits cannot both win.
    renameSync(draft, place);
    syncFolder(dirname(place));
  } catch (cause) {
    discard();
    if (['ENOTEMPTY', 'EEXIST'].includes(errnoOf(cause))) throw homeExists(dir);
    throw fileError(cause, dir, '(the home directory) could not be made');
  } finally {
    process.off('exit', discard);
  }
}

const homeExists = (dir: string): PhtError =>
  new PhtError('home.exists', `${dir} is already there and not empty; nothing was changed`, {
    hint: 'choose another place (--home or --out DIR); what is there is never overwritten, since its keys would be lost',
  });
