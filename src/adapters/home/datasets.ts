import { readdirSync, realpathSync, type Stats, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { z } from 'zod';
import { Column, DatasetDescription } from '../../model/dataset.ts';
import { PhtError } from '../../model/error.ts';
import { check, ShortText, Slug } from '../../model/schema.ts';
import { errnoOf, fileError } from './files.ts';
import { readYaml } from './yaml.ts';

/** `datasets/<id>.yaml` of a station: what it offers, described by its admin. */

const FILES_MAX = 256;

const DatasetFile = z
  .strictObject({
    title: ShortText,
    file: z.string().min(1).max(1000).optional(),
    folder: z.string().min(1).max(1000).optional(),
    format: z.literal('csv'),
    columns: z.array(Column).min(1).max(500),
  })
  .refine(({ file, folder }) => (file === undefined) !== (folder === undefined), {
    message: 'needs either file or folder',
    path: ['file'],
  })
  .refine(({ columns }) => new Set(columns.map(({ name }) => name)).size === columns.length, {
    message: 'a column is described twice',
    path: ['columns'],
  })
  .refine(({ columns }) => columns.every(({ levels }) => new Set(levels).size === (levels?.length ?? 0)), {
    message: 'a level is named twice',
    path: ['columns'],
  });

/** `path` is absolute, without symbolic links, and a regular file; `name` is what the train sees. */
export type DatasetPart = { readonly name: string; readonly path: string };
export type Dataset = { readonly description: DatasetDescription; readonly files: readonly DatasetPart[] };

/** @returns the ids of all descriptions in this home, sorted; other files in the folder are ignored */
export function listDatasets(dir: string): string[] {
  let names: string[];
  try {
    names = readdirSync(join(dir, 'datasets'));
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return [];
    throw fileError(cause, join(dir, 'datasets'), 'could not be read');
  }
  return names
    .filter((name) => name.endsWith('.yaml'))
    .map((name) => name.slice(0, -'.yaml'.length))
    .filter((id) => Slug.safeParse(id).success)
    .sort();
}

/**
 * @throws PhtError `dataset.unknown`, `dataset.unreadable` when its files are not there, `config.invalid` when the
 *   description does not fit
 */
export function readDataset(dir: string, id: string): Dataset {
  if (!Slug.safeParse(id).success) throw unknown(id);
  const path = join(dir, 'datasets', `${id}.yaml`);
  let described: z.infer<typeof DatasetFile>;
  try {
    described = readYaml(DatasetFile, path, 'the dataset description');
  } catch (cause) {
    if (cause instanceof PhtError && cause.code === 'config.missing') throw unknown(id, cause);
    throw cause;
  }
  const { title, file, folder, format, columns } = described;
  const place = resolve(dirname(path), file ?? folder ?? '');
  const files = (file === undefined ? partsOf(place, id) : [place]).map((part) => regularFile(part, id));
  const description = { id, title, files: files.map(({ name }) => name), format, columns };
  return { description: check(DatasetDescription, description, `dataset ${id}`, 'config.invalid'), files };
}

const unknown = (id: string, cause?: unknown): PhtError =>
  new PhtError('dataset.unknown', `this station has no dataset ${JSON.stringify(id.slice(0, 60))}`, {
    cause,
  });

function partsOf(folder: string, id: string): string[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch (cause) {
    throw unreadable(id, folder, cause);
  }
  const parts = names.filter((name) => name.endsWith('.csv')).sort();
  if (parts.length === 0)
    throw new PhtError('dataset.unreadable', `dataset ${id}: ${folder} holds no .csv file`);
  if (parts.length > FILES_MAX) {
    throw new PhtError('config.invalid', `dataset ${id}: ${folder} holds more than ${FILES_MAX} .csv files`);
  }
  return parts.map((name) => join(folder, name));
}

function regularFile(place: string, id: string): DatasetPart {
  let path: string;
  let stat: Stats;
  try {
    path = realpathSync(place);
    stat = statSync(path);
  } catch (cause) {
    throw unreadable(id, place, cause);
  }
  if (!stat.isFile())
    throw new PhtError('dataset.unreadable', `dataset ${id}: ${place} is not a regular file`);
  return { name: basename(place), path };
}

function unreadable(id: string, place: string, cause: unknown): PhtError {
  return new PhtError(
    'dataset.unreadable',
    `dataset ${id}: ${fileError(cause, place, 'could not be read').message}`,
    {
      cause,
    },
  );
}

export type Readable =
  | { ok: true }
  | { ok: false; failing: { path: string; mode: string; need: 'r' | 'rx' } };

/**
 * Whether a train's user could read a file that is bound into its container (the folders above play no part there).
 * Reads permission bits only; access lists are not looked at.
 *
 * @throws PhtError `dataset.unreadable` when there is no such file
 */
export function readableBy(path: string, uid: number, gid: number): Readable {
  let stat: Stats;
  try {
    stat = statSync(path);
  } catch (cause) {
    throw new PhtError('dataset.unreadable', fileError(cause, path, 'could not be read').message, { cause });
  }
  // The kernel stops at the first class that matches, even if a later one would grant more.
  const shift = stat.uid === uid ? 6 : stat.gid === gid ? 3 : 0;
  const need = stat.isDirectory() ? 0o5 : 0o4;
  if (((stat.mode >> shift) & need) === need) return { ok: true };
  const mode = (stat.mode & 0o7777).toString(8).padStart(4, '0');
  return { ok: false, failing: { path, mode, need: stat.isDirectory() ? 'rx' : 'r' } };
}
