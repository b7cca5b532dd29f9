import { Readable } from 'node:stream';
import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { checkLayer } from './layer-check.ts';

type Entry = Partial<Header> & { name: string; content?: string };

async function layer(...entries: Entry[]): Promise<Buffer> {
  const tar = pack();
  for (const { content, ...header } of entries) {
    if (content === undefined) tar.entry(header);
    else tar.entry(header, content);
  }
  tar.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of tar) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

const check = async (...entries: Entry[]): Promise<unknown> =>
  checkLayer(Readable.from([await layer(...entries)]));

describe('checking a layer while it streams by', () => {
  it('passes what an ordinary image holds, in pieces of any size', async () => {
    const bytes = await layer(
      { name: './', type: 'directory' },
      { name: 'bin', type: 'symlink', linkname: 'usr/bin' },
      { name: 'usr/bin/su', mode: 0o4755, content: 'x'.repeat(2000) },
      { name: 'usr/bin/again', type: 'link', linkname: 'usr/bin/su' },
      { name: 'etc/.wh.motd', content: '' },
      { name: 'run/pipe', type: 'fifo' },
      { name: 'etc/absolute', type: 'symlink', linkname: '/etc/passwd' },
    );
    for (const step of [1, 511, 512, 65536]) {
      const pieces = Array.from({ length: Math.ceil(bytes.byteLength / step) }, (_, at) =>
        bytes.subarray(at * step, (at + 1) * step),
      );
      expect(await checkLayer(Readable.from(pieces))).toEqual({ entries: 7, unpackedBytes: 2000 });
    }
  });

  it.each<[string, Entry[]]>([
    ['an absolute name', [{ name: '/etc/passwd', content: 'x' }]],
    ['a climbing name', [{ name: 'a/../../etc/passwd', content: 'x' }]],
    ['a character device', [{ name: 'dev/mem', type: 'character-device', devmajor: 1, devminor: 1 }]],
    ['a block device', [{ name: 'dev/sda', type: 'block-device', devmajor: 8, devminor: 0 }]],
    ['a hard link out of the root', [{ name: 'x', type: 'link', linkname: '../../etc/shadow' }]],
    [
      'writing behind a link',
      [
        { name: 'a', type: 'symlink', linkname: '/etc' },
        { name: 'a/passwd', content: 'x' },
      ],
    ],
    [
      'a whiteout behind a link',
      [
        { name: 'a', type: 'symlink', linkname: '/etc' },
        { name: 'a/b/.wh.x', content: '' },
      ],
    ],
    ['file capabilities', [{ name: 'ping', content: 'x', pax: { 'SCHILY.xattr.security.capability': 'x' } }]],
  ])('refuses %s', async (_what, entries) => {
    await expect(check(...entries)).rejects.toMatchObject({ code: 'image.unsafe' });
  });

  it('refuses a header that would have to be gathered in memory', async () => {
    const long = await layer({ name: 'x', content: '' });
    long.write('L', 156, 'latin1'); // a long name …
    long.write('00040000000\0', 124, 'latin1'); // … of a gigabyte
    long.fill(' ', 148, 156);
    const sum = long.subarray(0, 512).reduce((total, byte) => total + byte, 0);
    long.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
    let read = 0;
    async function* endless(): AsyncGenerator<Uint8Array> {
      yield long.subarray(0, 512);
      for (let at = 0; at < 64; at++, read++) yield Buffer.alloc(1024 * 1024, 'a');
    }
    await expect(checkLayer(endless())).rejects.toMatchObject({ code: 'image.unsafe' });
    expect(read).toBeLessThan(8);
  });

  it('refuses a torn archive and noise, and never crashes', async () => {
    const whole = await layer({ name: 'a', content: 'x'.repeat(5000) });
    await expect(checkLayer(Readable.from([whole.subarray(0, 2000)]))).rejects.toMatchObject({
      code: 'image.unsafe',
    });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 512, maxLength: 2048 }), async (noise) => {
        fc.pre(noise.some((byte) => byte !== 0));
        await expect(checkLayer(Readable.from([Buffer.from(noise)]))).rejects.toMatchObject({
          code: 'image.unsafe',
        });
      }),
    );
  });
});
