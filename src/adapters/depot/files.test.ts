import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Depot } from '../../ports/depot.ts';
import { createDepot } from './files.ts';

let directory = '';
let depot: Depot;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'depot-'));
  depot = createDepot(directory);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const digestOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const withCode = (code: string) => expect.objectContaining({ code });

async function* chunks(bytes: Uint8Array, size = 1000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const part of stream) parts.push(part);
  return Buffer.concat(parts);
}

test('what was written is read, from any offset, from a private file', async () => {
  const bytes = randomBytes(1_300_000);
  const digest = digestOf(bytes);
  expect(await depot.write(digest, bytes.length, 0, chunks(bytes))).toEqual({
    bytes: bytes.length,
    complete: true,
  });
  expect(await depot.status(digest)).toEqual({ bytes: bytes.length, complete: true });
  for (const offset of [0, 1, 524_288, 1_299_999, 1_300_000, 9_000_000]) {
    expect((await collect(depot.read(digest, offset))).equals(bytes.subarray(offset))).toBe(true);
  }
  expect((await stat(join(directory, 'blobs', 'sha256', digest))).mode & 0o777).toBe(0o600);
  expect((await stat(join(directory, 'blobs', 'sha256'))).mode & 0o777).toBe(0o700);
  expect((await stat(join(directory, 'partial'))).mode & 0o777).toBe(0o700);
  expect(await readdir(join(directory, 'partial'))).toEqual([]);
});

test('an interrupted write keeps its bytes, also for the next process, and goes on at its offset', async () => {
  const bytes = randomBytes(10_000);
  const digest = digestOf(bytes);
  const breaking = (async function* () {
    yield bytes.subarray(0, 4000);
    throw new Error('the line is dead');
  })();
  await expect(depot.write(digest, bytes.length, 0, breaking)).rejects.toThrow('the line is dead');
  expect(await depot.status(digest)).toEqual({ bytes: 4000, complete: false });
  await expect(collect(depot.read(digest, 0))).rejects.toThrow(withCode('not-found'));
  depot = createDepot(directory);
  expect(await depot.write(digest, bytes.length, 4000, chunks(bytes.subarray(4000, 7000)))).toEqual({
    bytes: 7000,
    complete: false,
  });
  expect((await depot.write(digest, bytes.length, 7000, chunks(bytes.subarray(7000)))).complete).toBe(true);
  expect((await collect(depot.read(digest, 0))).equals(bytes)).toBe(true);
});

test('a write that does not start where the blob stands is a conflict', async () => {
  const bytes = randomBytes(5000);
  const digest = digestOf(bytes);
  await depot.write(digest, bytes.length, 0, chunks(bytes.subarray(0, 2000)));
  for (const offset of [0, 1999, 2001, 5000]) {
    await expect(depot.write(digest, bytes.length, offset, chunks(bytes))).rejects.toThrow(
      withCode('conflict'),
    );
  }
  expect(await depot.status(digest)).toEqual({ bytes: 2000, complete: false });
});

test('bytes of another digest are thrown away', async () => {
  const digest = digestOf(randomBytes(10));
  await expect(depot.write(digest, 5000, 0, chunks(randomBytes(5000)))).rejects.toThrow(
    withCode('image.mismatch'),
  );
  expect(await depot.status(digest)).toEqual({ bytes: 0, complete: false });
});

test('a partial blob that was damaged on disk is found when it is resumed', async () => {
  const bytes = randomBytes(5000);
  const digest = digestOf(bytes);
  await depot.write(digest, bytes.length, 0, chunks(bytes.subarray(0, 2000)));
  const path = join(directory, 'partial', digest);
  const damaged = await readFile(path);
  damaged[7] = (damaged[7] ?? 0) ^ 1;
  await writeFile(path, damaged);
  await expect(depot.write(digest, bytes.length, 2000, chunks(bytes.subarray(2000)))).rejects.toThrow(
    withCode('image.mismatch'),
  );
  expect((await depot.write(digest, bytes.length, 0, chunks(bytes))).complete).toBe(true);
});

test('more than the declared size is refused before it is written', async () => {
  const bytes = randomBytes(5000);
  const digest = digestOf(bytes);
  await expect(depot.write(digest, 3500, 0, chunks(bytes))).rejects.toThrow(withCode('input.too-large'));
  expect((await depot.status(digest)).bytes).toBeLessThanOrEqual(3500);
  await depot.write(digest, bytes.length, (await depot.status(digest)).bytes, chunks(bytes.subarray(3000)));
  // Whoever declares another size for a digest that is known is wrong.
  await expect(depot.write(digest, 4999, 0, chunks(bytes))).rejects.toThrow(withCode('image.mismatch'));
});

test('one writer per blob: the second is a conflict and harms nothing', async () => {
  const bytes = randomBytes(5000);
  const digest = digestOf(bytes);
  const go = Promise.withResolvers<void>();
  const slow = (async function* () {
    yield bytes.subarray(0, 1000);
    await go.promise;
    yield bytes.subarray(1000);
  })();
  const first = depot.write(digest, bytes.length, 0, slow);
  await expect(depot.write(digest, bytes.length, 0, chunks(bytes))).rejects.toThrow(withCode('conflict'));
  go.resolve();
  expect((await first).complete).toBe(true);
});

test('a process killed in the middle of a write loses nothing that it had written, and shows nothing', async () => {
  const bytes = Buffer.alloc(3_000_000, 'abc');
  const digest = digestOf(bytes);
  const script = `
    import { createDepot } from ${JSON.stringify(new URL('./files.ts', import.meta.url).href)};
    const bytes = Buffer.alloc(3_000_000, 'abc');
    async function* chunks() {
      yield bytes.subarray(0, 1_000_000);
      yield bytes.subarray(1_000_000, 2_000_000);
      console.log('written');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    }
    await createDepot(${JSON.stringify(directory)}).write('${digest}', bytes.length, 0, chunks());`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  const held = await depot.status(digest);
  expect(held).toEqual({ bytes: 2_000_000, complete: false });
  expect(
    (await depot.write(digest, bytes.length, held.bytes, chunks(bytes.subarray(held.bytes), 1e6))).complete,
  ).toBe(true);
});

test('trim removes the oldest first, never what is kept', async () => {
  const blobs = [3, 2, 1, 0].map((age) => ({ age, bytes: randomBytes(1000) }));
  for (const { age, bytes } of blobs) {
    await depot.write(digestOf(bytes), bytes.length, 0, chunks(bytes));
    const at = new Date(Date.now() - age * 60_000);
    await utimes(join(directory, 'blobs', 'sha256', digestOf(bytes)), at, at);
  }
  const [oldest, older, newer, newest] = blobs.map(({ bytes }) => digestOf(bytes));
  await depot.trim(2500, new Set([oldest ?? '']));
  const left = await readdir(join(directory, 'blobs', 'sha256'));
  expect(left.sort()).toEqual([oldest, newest].sort());
  expect([older, newer].some((digest) => left.includes(digest ?? ''))).toBe(false);
  await depot.trim(0, new Set());
  expect(await readdir(join(directory, 'blobs', 'sha256'))).toEqual([]);
});

test('a digest is never a path', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(fc.string(), fc.constantFrom('../../etc/passwd', 'A'.repeat(64), `${'a'.repeat(64)}\n`)),
      async (digest) => {
        await expect(depot.status(digest)).rejects.toThrow(withCode('input.malformed'));
        await expect(depot.write(digest, 1, 0, chunks(Buffer.from('x')))).rejects.toThrow(
          withCode('input.malformed'),
        );
        await expect(collect(depot.read(digest, 0))).rejects.toThrow(withCode('input.malformed'));
      },
    ),
    { numRuns: 30 },
  );
  for (const count of [-1, 0.5, Number.NaN, 2 ** 60]) {
    await expect(depot.write('a'.repeat(64), count, 0, chunks(Buffer.from('x')))).rejects.toThrow(
      withCode('input.malformed'),
    );
  }
});
