import { Readable } from 'node:stream';
import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { readOnlyFile } from './output.ts';

type Entry = Partial<Header> & { name: string; content?: string };

async function archive(...entries: Entry[]): Promise<Readable> {
  const tar = pack();
  for (const { content, ...header } of entries) {
    if (content === undefined) tar.entry(header);
    else tar.entry(header, content);
  }
  tar.finalize();
  return Readable.from(tar, { objectMode: false });
}

describe('taking the one result file out of an archive', () => {
  it('takes exactly one regular file of the exact name', async () => {
    const found = await readOnlyFile(await archive({ name: 'result.json', content: '{"a":1}' }), 100);
    expect(found).toEqual({ kind: 'output', bytes: Buffer.from('{"a":1}') });
  });

  it.each<[string, Entry[], string]>([
    ['a symbolic link', [{ name: 'result.json', type: 'symlink', linkname: '/etc/passwd' }], 'symlink'],
    ['a hard link', [{ name: 'result.json', type: 'link', linkname: 'x' }], 'link'],
    ['a FIFO', [{ name: 'result.json', type: 'fifo' }], 'fifo'],
    ['a device', [{ name: 'result.json', type: 'character-device' }], 'character-device'],
    ['a directory', [{ name: 'result.json/', type: 'directory' }], 'directory'],
    ['another name', [{ name: 'other.json', content: '{}' }], 'another file'],
    ['a path', [{ name: '../result.json', content: '{}' }], 'another file'],
    ['one byte too many', [{ name: 'result.json', content: 'x'.repeat(101) }], '101 bytes'],
    [
      'two entries',
      [
        { name: 'result.json', content: '{}' },
        { name: 'result.json', content: '{}' },
      ],
      'more than one',
    ],
  ])('refuses %s', async (_what, entries, why) => {
    const found = await readOnlyFile(await archive(...entries), 100);
    expect(found).toMatchObject({ kind: 'refused', why: expect.stringContaining(why) });
  });

  it('finds nothing in an empty archive and never takes bytes from noise', async () => {
    expect(await readOnlyFile(await archive(), 100)).toEqual({ kind: 'none' });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 2048 }), async (bytes) => {
        const found = await readOnlyFile(Readable.from([Buffer.from(bytes)]), 100).catch(() => ({
          kind: 'none',
        }));
        expect(found.kind).not.toBe('output');
      }),
    );
  });
});
