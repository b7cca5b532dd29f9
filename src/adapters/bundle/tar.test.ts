import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { paxRecord, raw } from '../image/layer.fixture.ts';
import { readBundle, writeBundle } from './tar.ts';

const files = new Map([
  ['README.txt', Buffer.from('read me')],
  ['logs/north/checkpoint', Buffer.from('head')],
  ['logs/north/3.tlog-proof', Buffer.alloc(2000, 7)],
]);

type Part = Partial<Header> & { name: string; body?: string };

async function tarOf(...parts: Part[]): Promise<Uint8Array> {
  const archive = pack();
  for (const { body = '', ...header } of parts) archive.entry(header, body);
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

describe('a bundle', () => {
  it('reads as it was written, and the same files give the same bytes', async () => {
    const written = await writeBundle(files);
    expect(await readBundle(written)).toEqual(files);
    expect(await writeBundle(new Map([...files].toReversed()))).toEqual(written);
  });

  const HOSTILE: [string, Part[]][] = [
    ['a symbolic link', [{ name: 'a', type: 'symlink', linkname: '/etc/passwd' }]],
    ['a hard link', [{ name: 'a' }, { name: 'b', type: 'link', linkname: 'a' }]],
    ['a folder', [{ name: 'logs', type: 'directory' }]],
    ['a device', [{ name: 'a', type: 'character-device' }]],
    ['a pipe', [{ name: 'a', type: 'fifo' }]],
    ['a name that leads out', [{ name: '../a' }]],
    ['a name that leads out further down', [{ name: 'logs/../../a' }]],
    ['an absolute name', [{ name: '/etc/passwd' }]],
    ['a hidden name', [{ name: '.ssh/authorized_keys' }]],
    ['a name with a control character', [{ name: 'a\u001bb' }]],
    ['a name twice', [{ name: 'a' }, { name: 'a' }]],
    ['an extended header', [{ name: 'a', pax: { comment: 'x' } }]],
    ['a name that is too long', [{ name: 'a'.repeat(81) }]],
    ['a huge file', [{ name: 'a', body: 'x'.repeat(4 * 1024 * 1024 + 1) }]],
  ];
  it.each(HOSTILE)('refuses %s', async (_, parts) => {
    await expect(readBundle(await tarOf(...parts))).rejects.toMatchObject({
      code: expect.stringMatching(/^input\./),
    });
  });

  it('refuses a size that is not there, and what stands behind the end', async () => {
    const written = Buffer.from(await writeBundle(files));
    await expect(readBundle(written.subarray(0, 1536))).rejects.toMatchObject({ code: 'input.malformed' });
    await expect(readBundle(new Uint8Array())).rejects.toMatchObject({ code: 'input.malformed' });
    const more = Buffer.concat([written, Buffer.alloc(512, 1)]);
    await expect(readBundle(more)).rejects.toMatchObject({ code: 'input.malformed' });
  });

  /** As many empty bytes at the end of the last file as would make up for blocks that are no file. */
  const ending = (bytes: number): Part => ({ name: 'z', body: `z${'\0'.repeat(bytes)}` });
  it.each<[string, (plain: Uint8Array) => Buffer[]]>([
    ['an empty block in front, where some readers stop', (plain) => [Buffer.alloc(512), Buffer.from(plain)]],
    [
      'a long name of GNU, which some readers do not know',
      (plain) => [raw({ name: 'L', flag: 'L', content: Buffer.from('other\0') }), Buffer.from(plain)],
    ],
    [
      'a global header',
      (plain) => [raw({ name: 'g', flag: 'g', content: paxRecord('comment', 'x') }), Buffer.from(plain)],
    ],
  ])('refuses %s, also when its size is made up for', async (_, withMore) => {
    const plain = await tarOf({ name: 'a', body: 'x' }, ending(2000));
    await expect(readBundle(plain)).resolves.toHaveProperty('size', 2);
    await expect(readBundle(Buffer.concat(withMore(plain)))).rejects.toMatchObject({
      code: 'input.malformed',
    });
  });

  it('whatever the bytes are, gives files or an error of ours', async () => {
    const written = await writeBundle(files);
    const changes = fc.array(fc.tuple(fc.nat(written.length - 1), fc.nat(255)), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(changes, async (all) => {
        const changed = Buffer.from(written);
        for (const [at, value] of all) changed[at] = value;
        const read = await readBundle(changed).catch((thrown: unknown) => thrown);
        expect(read instanceof Map || read instanceof PhtError).toBe(true);
      }),
      { numRuns: 300 },
    );
  });
});
