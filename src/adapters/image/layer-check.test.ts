import { Readable } from 'node:stream';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { END, type Entry, indexOf, layer, paxRecord, raw } from './layer.fixture.ts';
import { checkLayer } from './layer-check.ts';
import { PIECE_BYTES } from './layer-pieces.ts';

const check = async (...entries: Entry[]): Promise<unknown> =>
  checkLayer(Readable.from([await layer(...entries)]));

describe('checking a layer while it streams by', () => {
  it('passes what an ordinary image holds, in pieces of any size', async () => {
    const bytes = await layer(
      { name: './', type: 'directory' },
      { name: 'bin', type: 'symlink', target: 'usr/bin' },
      { name: 'usr/bin/su', mode: 0o4755, content: 'x'.repeat(2000) },
      { name: 'usr/bin/again', type: 'link', target: 'usr/bin/su' },
      { name: 'etc/.wh.motd', content: '' },
      { name: 'run/pipe', type: 'fifo' },
      { name: 'etc/absolute', type: 'symlink', target: '/etc/passwd' },
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
    ['a character device', [{ name: 'dev/mem', type: 'character-device' }]],
    ['a block device', [{ name: 'dev/sda', type: 'block-device' }]],
    ['a hard link out of the root', [{ name: 'x', type: 'link', target: '../../etc/shadow' }]],
    [
      'writing behind a link',
      [
        { name: 'a', type: 'symlink', target: '/etc' },
        { name: 'a/passwd', content: 'x' },
      ],
    ],
    [
      'a whiteout behind a link',
      [
        { name: 'a', type: 'symlink', target: '/etc' },
        { name: 'a/b/.wh.x', content: '' },
      ],
    ],
    ['file capabilities', [withAttribute('security.capability')]],
    ['an attribute of overlayfs', [withAttribute('trusted.overlay.redirect')]],
    ['any attribute of the trusted kind', [withAttribute('trusted.x')]],
    ['an attribute of an overlay of a user', [withAttribute('user.overlay.opaque')]],
  ])('refuses %s', async (_what, entries) => {
    await expect(check(...entries)).rejects.toMatchObject({ code: 'image.unsafe' });
  });

  it('lets other attributes pass, and names the file whose do not', async () => {
    await expect(check(withAttribute('user.note'))).resolves.toMatchObject({ entries: 1 });
    await expect(check(withAttribute('security.capability'))).rejects.toThrow(
      '"ping" carries file capabilities',
    );
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

function withAttribute(name: string): Entry {
  return { name: 'ping', content: 'x', pax: { [`SCHILY.xattr.${name}`]: 'y' } };
}

const evil = raw({ name: 'etc/passwd', content: Buffer.from('x') });

describe('an archive that shows the check one thing and an engine another is refused', () => {
  it.each<[string, Buffer[]]>([
    ['entries behind the end, which some readers reach', [raw({ name: 'a' }), END, evil, END]],
    ['entries behind a single empty block', [raw({ name: 'a' }), END.subarray(512), evil, END]],
    [
      'a symbolic link with a body, which hides entries from those that skip it',
      [raw({ name: 'l', flag: '2', target: 'x', content: evil }), END],
    ],
    ['a hard link with a body', [raw({ name: 'l', flag: '1', target: 'x', content: evil }), END]],
    ['a folder with a body', [raw({ name: 'd/', flag: '5', content: evil }), END]],
    [
      'a global header, which some apply to all that follows',
      [raw({ name: 'g', flag: 'g', content: paxRecord('path', 'b') }), raw({ name: 'a' }), END],
    ],
    [
      'a link whose body is only in its extended header',
      [
        raw({ name: 'p', flag: 'x', content: paxRecord('size', '1024') }),
        raw({ name: 'l', flag: '2', target: 'x' }),
        evil,
        END,
      ],
    ],
    [
      'a name in two headers, of pax and of GNU',
      [
        raw({ name: 'p', flag: 'x', content: paxRecord('path', 'a') }),
        raw({ name: 'L', flag: 'L', content: Buffer.from('b\0') }),
        raw({ name: 'c' }),
        END,
      ],
    ],
    [
      'one path as a link and then as a folder to write into',
      [
        raw({ name: 'a', flag: '2', target: '/etc' }),
        raw({ name: 'a/', flag: '5' }),
        raw({ name: 'a/passwd', content: Buffer.from('x') }),
        END,
      ],
    ],
    ['one path as a file and as a link', [evil, raw({ name: 'etc/passwd', flag: '2', target: '/x' }), END]],
    ['one path added and removed', [evil, raw({ name: 'etc/.wh.passwd' }), END]],
    ['a sparse file', [raw({ name: 's', flag: 'S', magic: 'ustar  \0' }), END]],
    ['a type that engines leave out', [raw({ name: 's', flag: '7', content: Buffer.from('x') }), END]],
    ['an archive older than ustar', [raw({ name: 'a', magic: '\0'.repeat(8) }), END]],
    ['more bytes than any layer has', [raw({ name: 'a', size: '77777777777\0' })]],
  ])('%s', async (_what, parts) => {
    const bytes = Buffer.concat(parts);
    for (const step of [bytes.length, 512, 100]) {
      const pieces = Array.from({ length: Math.ceil(bytes.length / step) }, (_, at) =>
        bytes.subarray(at * step, (at + 1) * step),
      );
      await expect(checkLayer(Readable.from(pieces))).rejects.toMatchObject({ code: 'image.unsafe' });
    }
  });

  it('while padding behind the end, however long, is none', async () => {
    const padded = Readable.from([raw({ name: 'a' }), END, Buffer.alloc(200_000), Buffer.alloc(240)]);
    expect(await checkLayer(padded)).toEqual({ entries: 1, unpackedBytes: 0 });
  });

  it('and whatever passes the check can be looked into by a person', async () => {
    const sound = Buffer.concat([
      raw({ name: 'p', flag: 'x', content: paxRecord('path', 'q') }),
      raw({ name: 'c', content: Buffer.from('x') }),
      raw({ name: 'l', flag: '2', target: 'q' }),
      raw({ name: '.wh.gone' }),
      END,
    ]);
    const change = fc.tuple(fc.nat(sound.length - 1), fc.nat(255));
    await fc.assert(
      fc.asyncProperty(
        fc.array(change, { maxLength: 4 }),
        fc.integer({ min: 1, max: 700 }),
        async (changes, step) => {
          const bytes = Buffer.from(sound);
          for (const [at, value] of changes) bytes[at] = value;
          const seen = attempt(() => indexOf(bytes, step));
          const checked = await checkLayer(Readable.from([bytes])).catch((thrown: unknown) => thrown);
          if (seen instanceof Error) expect(checked).toMatchObject({ code: 'image.unsafe' });
          else expect(checked).toEqual({ entries: expect.any(Number), unpackedBytes: expect.any(Number) });
        },
      ),
    );
  });
});

function attempt<T>(work: () => T): T | PhtError {
  try {
    return work();
  } catch (thrown) {
    if (thrown instanceof PhtError) return thrown;
    throw thrown;
  }
}

it('is not held up by hard links into depths that are not there', async () => {
  const target = (at: number): string => `${at}${'/a'.repeat(2040)}`;
  const links = Array.from({ length: 40 }, (_, at): Entry => {
    return { name: `l${at}`, type: 'link', target: target(at) };
  });
  await expect(check(...links)).rejects.toMatchObject({ code: 'image.unsafe' });
  await check(...links.slice(0, 10));
});

it('lets everybody else go on between the pieces of a chunk', async () => {
  const chunk = Buffer.concat([...Array.from({ length: 2000 }, (_, at) => raw({ name: `f${at}` })), END]);
  let turns = 0;
  let on = true;
  const loop = (): void => {
    turns += 1;
    if (on) setImmediate(loop);
  };
  loop();
  const { entries } = await checkLayer(
    (async function* () {
      yield chunk;
    })(),
  );
  on = false;
  expect(entries).toBe(2000);
  expect(turns).toBeGreaterThanOrEqual(chunk.byteLength / PIECE_BYTES);
});
