import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { END, type Entry, indexOf, layer, paxRecord, raw } from './layer.fixture.ts';
import { layerIndexer } from './layer-index.ts';

const sha = (content: string | Buffer): string => createHash('sha256').update(content).digest('hex');

describe('looking into a layer', () => {
  it('finds what an ordinary layer changes, in pieces of any size', async () => {
    const long = `${'a'.repeat(90)}/${'b'.repeat(120)}/ä.txt`;
    const large = Buffer.alloc(70_000, 'x');
    const bytes = await layer(
      { name: './', type: 'directory' },
      { name: 'usr/', type: 'directory', mode: 0o755 },
      { name: 'bin', type: 'symlink', target: 'usr/bin' },
      { name: './usr/bin/su', mode: 0o4755, content: 'binary\0' },
      { name: 'usr/bin/again', type: 'link', target: '/usr/bin/su' },
      { name: 'usr/bin/below', type: 'link', target: 'usr/bin/elsewhere' },
      { name: 'etc/.wh.motd', content: '' },
      { name: 'var/lib/.wh..wh..opq', content: '' },
      { name: 'run/pipe', type: 'fifo', mode: 0o600 },
      { name: 'empty', content: '' },
      { name: 'large', content: large },
      { name: long, content: 'grüße\n' },
    );
    const whole = indexOf(bytes);
    for (const step of [1, 7, 511, 512, 513]) expect(indexOf(bytes, step)).toEqual(whole);
    const { entries, removed, opaque } = whole;
    expect([...removed]).toEqual(['etc/motd']);
    expect([...opaque]).toEqual(['var/lib']);
    expect([...entries.keys()]).toEqual([
      'usr',
      'bin',
      'usr/bin/su',
      'usr/bin/again',
      'usr/bin/below',
      'run/pipe',
      'empty',
      'large',
      long,
    ]);
    const su = {
      type: 'file',
      mode: 0o4755,
      size: 7,
      sha256: sha('binary\0'),
      text: false,
      at: expect.any(Number),
    };
    expect(entries.get('usr/bin/su')).toEqual(su);
    expect(entries.get('usr/bin/again')).toEqual(su);
    expect(entries.get('usr/bin/below')).toEqual({ type: 'link', target: 'usr/bin/elsewhere' });
    expect(entries.get('bin')).toEqual({ type: 'symlink', target: 'usr/bin' });
    expect(entries.get('empty')).toMatchObject({ size: 0, text: true, sha256: sha('') });
    expect(entries.get('large')).toMatchObject({ size: 70_000, text: false, sha256: sha(large) });
    const file = entries.get(long);
    if (file?.type !== 'file') throw new Error('there is no file');
    expect(file.text).toBe(true);
    expect(bytes.subarray(file.at, file.at + file.size).toString()).toBe('grüße\n');
  });

  it('takes a hard link for the file that its target was when the link was made', async () => {
    const { entries } = indexOf(
      await layer(
        { name: 'a', content: 'one' },
        { name: 'b', type: 'link', target: 'a' },
        { name: 'a', content: 'two' },
      ),
    );
    expect(entries.get('b')).toMatchObject({ sha256: sha('one') });
    expect(entries.get('a')).toMatchObject({ sha256: sha('two') });
  });

  it('reads the headers of GNU and of pax alike', () => {
    const name = `${'d'.repeat(150)}/file`;
    const gnu = Buffer.concat([
      raw({ name: '././@LongLink', flag: 'L', magic: 'ustar  \0', content: Buffer.from(`${name}\0`) }),
      raw({ name: 'cut', magic: 'ustar  \0', content: Buffer.from('x') }),
      END,
    ]);
    const pax = Buffer.concat([
      raw({
        name: 'p',
        flag: 'x',
        content: Buffer.concat([paxRecord('path', name), paxRecord('mtime', '1.5')]),
      }),
      raw({ name: 'cut', content: Buffer.from('x') }),
      END,
    ]);
    const prefixed = Buffer.concat([
      raw({ name: 'file', prefix: 'd'.repeat(150), content: Buffer.from('x') }),
      END,
    ]);
    for (const bytes of [gnu, pax, prefixed]) expect([...indexOf(bytes).entries.keys()]).toEqual([name]);
  });
});

const file = (name: string): Entry => ({ name, content: 'x' });

describe('a layer that engines could unpack in two ways, or that was made to harm, is refused', () => {
  it.each<[string, Entry[]]>([
    ['an absolute name', [file('/etc/passwd')]],
    ['a climbing name', [file('a/../../etc/passwd')]],
    ['a device', [{ name: 'dev/mem', type: 'character-device' }]],
    ['a hard link out of the root', [{ name: 'x', type: 'link', target: '../../etc/shadow' }]],
    [
      'a hard link to a folder',
      [
        { name: 'd/', type: 'directory' },
        { name: 'x', type: 'link', target: 'd' },
      ],
    ],
    [
      'a hard link through a link',
      [
        { name: 'a', type: 'symlink', target: '/etc' },
        { name: 'x', type: 'link', target: 'a/shadow' },
      ],
    ],
    ['a hard link to the root', [{ name: 'x', type: 'link', target: '/' }]],
    ['a file behind a link', [{ name: 'a', type: 'symlink', target: '/etc' }, file('a/passwd')]],
    ['a file behind a file', [file('a'), file('a/b/c')]],
    [
      'a whiteout behind a link',
      [
        { name: 'a', type: 'symlink', target: '/etc' },
        { name: 'a/.wh.x', content: '' },
      ],
    ],
    ['a link in the place of a folder', [file('a/b'), { name: 'a', type: 'symlink', target: '/etc' }]],
    ['a file in the place of a folder', [{ name: 'a/', type: 'directory' }, file('a')]],
    ['a folder in the place of a file', [file('a'), { name: 'a/', type: 'directory' }]],
    ['a link in the place of a file', [file('a'), { name: 'a', type: 'symlink', target: 'b' }]],
    ['a file as the root', [{ name: './', type: 'symlink', target: '/etc' }]],
    ['a whiteout of what stands beside it', [file('a'), { name: '.wh.a', content: '' }]],
    ['a whiteout of a folder that it fills', [{ name: '.wh.a', content: '' }, file('a/b')]],
    [
      'a folder after its own whiteouts',
      [
        { name: 'a/.wh..wh..opq', content: '' },
        { name: 'a/', type: 'directory' },
      ],
    ],
    ['a whiteout of the folder above', [{ name: 'a/.wh...', content: '' }]],
    ['a whiteout of its own folder', [{ name: 'a/.wh..', content: '' }]],
    ['a whiteout of nothing', [{ name: 'a/.wh.', content: '' }]],
    ['a name of AUFS', [{ name: '.wh..wh.plnk', content: '' }]],
    ['a file in a folder of AUFS', [file('.wh..wh.plnk/1.2')]],
    ['a folder that is a whiteout', [{ name: '.wh.a/', type: 'directory' }]],
    ['file capabilities', [{ ...file('ping'), pax: { 'SCHILY.xattr.security.capability': 'x' } }]],
    ['an attribute of overlayfs', [{ ...file('d'), pax: { 'SCHILY.xattr.trusted.overlay.redirect': '/x' } }]],
    [
      'a sparse file of pax',
      [{ ...file('d'), pax: { 'GNU.sparse.major': '1', 'GNU.sparse.name': 'other' } }],
    ],
  ])('%s', async (_what, entries) => {
    const bytes = await layer(...entries);
    expect(() => indexOf(bytes)).toThrow(expect.objectContaining({ code: 'image.unsafe' }));
  });

  const x = Buffer.from('x');
  const pax = (...records: Buffer[]): Buffer =>
    raw({ name: 'p', flag: 'x', content: Buffer.concat(records) });
  it.each<[string, Buffer[]]>([
    [
      'entries behind the end, where some readers stop',
      [raw({ name: 'a', content: x }), END, raw({ name: 'a', content: x })],
    ],
    ['an entry behind a single empty block', [Buffer.alloc(512), raw({ name: 'a', content: x }), END]],
    [
      'a link with content, which some readers skip',
      [raw({ name: 'l', flag: '2', target: 'x', content: raw({ name: 'h' }) }), END],
    ],
    ['a hard link with content', [raw({ name: 'l', flag: '1', target: 'x', content: x }), END]],
    ['a folder with content', [raw({ name: 'd/', flag: '5', content: x }), END]],
    ['a plain file named like a folder', [raw({ name: 'd/', content: x }), END]],
    [
      'a global header',
      [raw({ name: 'g', flag: 'g', content: paxRecord('path', 'b') }), raw({ name: 'a' }), END],
    ],
    ['a sparse file of GNU', [raw({ name: 's', flag: 'S', magic: 'ustar  \0' }), END]],
    ['a sparse map', [raw({ name: 's', magic: 'ustar  \0', prefix: `${'\0'.repeat(41)}00000000001` }), END]],
    [
      'names in two ways',
      [
        pax(paxRecord('path', 'a')),
        raw({ name: 'L', flag: 'L', content: Buffer.from('b\0') }),
        raw({ name: 'c' }),
        END,
      ],
    ],
    [
      'two long names',
      [
        raw({ name: 'L', flag: 'L', content: Buffer.from('a\0') }),
        raw({ name: 'L', flag: 'L', content: Buffer.from('b\0') }),
        raw({ name: 'c' }),
        END,
      ],
    ],
    [
      'an empty long name',
      [raw({ name: 'L', flag: 'L', content: Buffer.from('\0') }), raw({ name: 'c' }), END],
    ],
    [
      'an empty long target',
      [raw({ name: 'K', flag: 'K' }), raw({ name: 'c', flag: '1', target: 'x' }), END],
    ],
    [
      'two extended headers',
      [pax(paxRecord('path', 'a')), pax(paxRecord('path', 'b')), raw({ name: 'c' }), END],
    ],
    [
      'a record that stands twice',
      [pax(paxRecord('path', 'a'), paxRecord('path', 'b')), raw({ name: 'c' }), END],
    ],
    ['an empty path', [pax(paxRecord('path', '')), raw({ name: 'c' }), END]],
    ['a path with a NUL', [pax(paxRecord('path', 'a\0b')), raw({ name: 'c' }), END]],
    ['a size that is no number', [pax(paxRecord('size', '1e3')), raw({ name: 'c' }), END]],
    ['a record with a wrong length', [pax(Buffer.from('99 path=a\n')), raw({ name: 'c' }), END]],
    ['a record without an end', [pax(Buffer.from('9 path=ab')), raw({ name: 'c' }), END]],
    ['a header that describes nothing', [raw({ name: 'a' }), pax(paxRecord('path', 'b')), END]],
    ['an archive of star', [raw({ name: 'a', trailer: 'tar\0' }), END]],
    ['an archive of no known format', [raw({ name: 'a', magic: '\0'.repeat(8) }), END]],
    ['a negative size', [raw({ name: 'a', size: '\xff'.repeat(12) }), END]],
    ['a size beyond all numbers', [raw({ name: 'a', size: `\x80${'\xff'.repeat(11)}` }), END]],
    ['a size in no notation', [raw({ name: 'a', size: '12x4567890\0\0' }), END]],
    ['a name that is not UTF-8', [raw({ name: 'a\xff' }), END]],
    ['no name', [raw({ name: '' }), END]],
    [
      'a header that would have to be gathered',
      [raw({ name: 'L', flag: 'L', size: '00040000000\0' }), Buffer.alloc(4096, 'a')],
    ],
    ['a file that is cut off', [raw({ name: 'a', size: '00000002000\0' }), x]],
    ['half a header', [raw({ name: 'a' }).subarray(0, 300)]],
  ])('%s', (_what, parts) => {
    expect(() => indexOf(Buffer.concat(parts))).toThrow(expect.objectContaining({ code: 'image.unsafe' }));
  });

  it('a wrong checksum', () => {
    const bytes = Buffer.concat([raw({ name: 'a' }), END]);
    bytes[0] = 0x62;
    expect(() => indexOf(bytes)).toThrow(expect.objectContaining({ code: 'image.unsafe' }));
  });

  it('names of a few bytes each that would grow without bound', () => {
    const deep = Array.from({ length: 400 }, (_, at) => {
      const path = `${String(at)}/${'a/'.repeat(2040)}f`;
      return [pax(paxRecord('path', path)), raw({ name: 'f' })];
    });
    expect(() => indexOf(Buffer.concat(deep.flat()))).toThrow(/too long altogether/);
  });

  it.each([
    ['a file', raw({ name: 'd/a' })],
    ['a link', raw({ name: 'd/a', flag: '2', target: 'b' })],
    ['a folder', raw({ name: 'd/a/', flag: '5' })],
    ['a folder on the way', raw({ name: 'd/a/b' })],
  ])('%s that is removed as well, in either order', (_what, entry) => {
    const whiteout = raw({ name: 'd/.wh.a' });
    for (const both of [
      [whiteout, entry],
      [entry, whiteout],
    ])
      expect(() => indexOf(Buffer.concat([...both, END]))).toThrow(/both added and removed/);
  });

  it('counts what its links point to among its names', () => {
    const pax = raw({ name: 'x', flag: 'x', content: paxRecord('linkpath', 'a'.repeat(4096)) });
    const link = Buffer.concat([pax, raw({ name: 'link', flag: '2' })]);
    const indexer = layerIndexer();
    expect(() => {
      for (let at = 0; at < 20_000; at++) indexer.push(link);
    }).toThrow(/too long altogether/);
  });

  it('anything that is thrown is a refusal, whatever the bytes', () => {
    const mutated = Buffer.concat([
      raw({ name: 'a/b', content: x }),
      pax(paxRecord('path', 'q')),
      raw({ name: 'c' }),
      END,
    ]);
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(mutated.length - 1), fc.nat(255)), { maxLength: 6 }),
        fc.nat(mutated.length),
        (changes, length) => {
          const bytes = Buffer.from(mutated);
          for (const [at, value] of changes) bytes[at] = value;
          refusedOrRead(bytes.subarray(0, length));
        },
      ),
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 2000 }), refusedOrRead));
  });
});

function refusedOrRead(bytes: Uint8Array): void {
  try {
    indexOf(bytes);
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(PhtError);
    expect(thrown).toMatchObject({ code: 'image.unsafe' });
  }
}

it('reads every name and content that tar-stream can write', async () => {
  const part = fc.stringMatching(/^[A-Za-z0-9ä_-]{1,40}$/);
  const path = fc.array(part, { minLength: 1, maxLength: 6 }).map((parts) => `r/${parts.join('/')}`);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.tuple(path, fc.uint8Array({ maxLength: 1500 })), {
        selector: ([name]) => name,
        maxLength: 8,
      }),
      fc.integer({ min: 1, max: 1024 }),
      async (files, step) => {
        const names = files.map(([name]) => name);
        fc.pre(names.every((name) => !names.some((other) => other.startsWith(`${name}/`))));
        const bytes = await layer(
          ...files.map(([name, content]) => ({ name, content: Buffer.from(content) })),
        );
        const { entries } = indexOf(bytes, step);
        expect([...entries.keys()]).toEqual(names);
        for (const [name, content] of files)
          expect(entries.get(name)).toMatchObject({
            sha256: sha(Buffer.from(content)),
            size: content.length,
          });
      },
    ),
    { numRuns: 50 },
  );
});
