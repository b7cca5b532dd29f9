import { mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { Arrival, admissionFileOf, HOP_PROOFS, proofFileOf } from '../../model/account.ts';
import { PhtError } from '../../model/error.ts';
import { type TrainId, TrainIdText } from '../../model/id.ts';
import { COLUMNS_MAX } from '../../model/inquiry.ts';
import { canonicalJson } from '../../model/result/canonical.ts';
import { ColumnName, parseWith, X25519PublicJwk } from '../../model/schema.ts';
import type { Arrivals, Departure, PackedTrain, PackedTrains } from '../../ports/researcher-trains.ts';
import { errnoOf, fileError, readBounded, syncFolder, writeAtomic, writeAtomicAll } from './files.ts';

/**
 * A researcher's packed trains: `trains/<trainId>/` with `manifest.dsse.json`, `columns.json` where train.yaml names
 * any, `key.jwk` until the train has arrived,
 * `departure.json` from the first submission on, `admission.tlog-proof` once it is admitted, and afterwards
 * `results/<station>.{order,receipt}.tlog-proof`, `results/<station>.json` and `arrival.json`.
 */

const MANIFEST_BYTES_MAX = 1024 * 1024;
const SMALL_BYTES_MAX = 8 * 1024;
const COLUMNS_BYTES_MAX = 64 * 1024;
const ARRIVAL_BYTES_MAX = 256 * 1024 * 1024;

const Key = z.strictObject({ ...X25519PublicJwk.shape, d: z.string().regex(/^[A-Za-z0-9_-]{43}$/) });
const Columns = z.array(ColumnName).max(COLUMNS_MAX);
const DepartureFile = z.strictObject({
  v: z.literal(1),
  idempotencyKey: z.string().min(8).max(128),
  departed: z.boolean(),
});

export function createPackedTrains(homeDir: string): PackedTrains {
  const place = join(homeDir, 'trains');
  const folderOf = (trainId: TrainId): string => join(place, trainId);
  return {
    keep: (train) => keep(place, train),
    find: (trainId) => find(folderOf(trainId), trainId),
    list: () => list(place),
    mark: (trainId, departure) => mark(folderOf(trainId), departure),
    keepAdmission: (trainId, proof) => writeAtomic(join(homeDir, admissionFileOf(trainId)), proof),
  };
}

/** Filled beside its place and moved there in one step: a folder with a train's name is a whole train. */
function keep(
  place: string,
  { trainId, manifest, key, columns = [] }: Parameters<PackedTrains['keep']>[0],
): void {
  const draft = join(place, `.${trainId}.new`);
  try {
    mkdirSync(place, { recursive: true, mode: 0o700 });
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { mode: 0o700 });
    writeAtomic(join(draft, 'manifest.dsse.json'), manifest);
    writeAtomic(join(draft, 'key.jwk'), `${JSON.stringify(key)}\n`);
    if (columns.length > 0) writeAtomic(join(draft, 'columns.json'), `${JSON.stringify(columns)}\n`);
    renameSync(draft, join(place, trainId));
    syncFolder(place);
  } catch (cause) {
    rmSync(draft, { recursive: true, force: true });
    throw fileError(cause, join(place, trainId), '(the packed train) could not be written');
  }
}

function find(folder: string, trainId: TrainId): PackedTrain {
  let manifest: Uint8Array;
  try {
    manifest = readBounded(join(folder, 'manifest.dsse.json'), MANIFEST_BYTES_MAX, 'the packed manifest');
  } catch (cause) {
    if (!(cause instanceof PhtError) || cause.code !== 'config.missing') throw cause;
    throw new PhtError('not-found', `this home holds no packed train ${trainId}`, {
      cause,
      hint: 'pht train list names those that it holds',
    });
  }
  const key = readOptional(Key, join(folder, 'key.jwk'), SMALL_BYTES_MAX, "the train's key");
  const marked = readOptional(
    DepartureFile,
    join(folder, 'departure.json'),
    SMALL_BYTES_MAX,
    'the submission',
  );
  const departure = marked && { idempotencyKey: marked.idempotencyKey, departed: marked.departed };
  const columns = readOptional(Columns, join(folder, 'columns.json'), COLUMNS_BYTES_MAX, 'its columns') ?? [];
  return { trainId, manifest, key, departure, columns };
}

function list(place: string): TrainId[] {
  let names: string[];
  try {
    names = readdirSync(place);
  } catch (cause) {
    if (errnoOf(cause) === 'ENOENT') return [];
    throw fileError(cause, place, '(the packed trains) could not be read');
  }
  return names.flatMap((name) => {
    const parsed = TrainIdText.safeParse(name);
    return parsed.success ? [parsed.data] : [];
  });
}

function mark(folder: string, departure: Departure): void {
  writeAtomic(join(folder, 'departure.json'), `${JSON.stringify({ v: 1, ...departure })}\n`);
}

export function createArrivals(homeDir: string): Arrivals {
  const folderOf = (trainId: TrainId): string => join(homeDir, 'trains', trainId);
  return {
    find: (trainId) =>
      readOptional(Arrival, join(folderOf(trainId), 'arrival.json'), ARRIVAL_BYTES_MAX, 'the arrival'),
    keepProofs: (trainId, station, proofs) => {
      resultsIn(folderOf(trainId));
      writeAtomicAll(
        HOP_PROOFS.map((proof) => ({
          path: join(homeDir, proofFileOf(trainId, station, proof)),
          bytes: proofs[proof],
        })),
      );
    },
    keep: (arrival) => keepArrival(folderOf(arrival.trainId), arrival),
  };
}

function resultsIn(folder: string): string {
  const results = join(folder, 'results');
  try {
    if (mkdirSync(results, { recursive: true, mode: 0o700 }) !== undefined) syncFolder(folder);
  } catch (cause) {
    throw fileError(cause, results, '(the results) could not be made');
  }
  return results;
}

/** The key goes last: until then the whole can be done again. */
function keepArrival(folder: string, arrival: Arrival): void {
  const results = resultsIn(folder);
  writeAtomicAll(
    arrival.stations.flatMap(({ station, result }) =>
      result === null
        ? []
        : [{ path: join(results, `${station}.json`), bytes: `${canonicalJson(result)}\n` }],
    ),
  );
  writeAtomic(join(folder, 'arrival.json'), `${JSON.stringify(arrival)}\n`);
  rmSync(join(folder, 'key.jwk'), { force: true });
  syncFolder(folder);
}

function readOptional<T>(schema: z.ZodType<T>, path: string, bytesMax: number, what: string): T | null {
  let bytes: Uint8Array;
  try {
    bytes = readBounded(path, bytesMax, what);
  } catch (cause) {
    if (cause instanceof PhtError && cause.code === 'config.missing') return null;
    throw cause;
  }
  return parseWith(schema, bytes, { bytesMax, what: path }, 'config.invalid');
}
