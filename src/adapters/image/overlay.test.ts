import { describe, expect, it } from 'vitest';
import { type Entry, indexOf, layer } from './layer.fixture.ts';
import { overlay } from './overlay.ts';

const file = (name: string, content = name): Entry => ({ name, content });

async function files(...layers: Entry[][]): Promise<ReturnType<typeof overlay>> {
  const indexes = await Promise.all(
    layers.map(async (entries, at) => ({ diffId: `layer${at}`, index: indexOf(await layer(...entries)) })),
  );
  return overlay(indexes);
}

const paths = async (...layers: Entry[][]): Promise<string[]> =>
  [...(await files(...layers)).keys()].toSorted();

describe('the files of an image', () => {
  it('are those of its layers, of which an upper one replaces what is below', async () => {
    const all = await files(
      [file('a', '1'), file('d/b')],
      [file('a', '22'), { name: 'd/', type: 'directory', mode: 0o700 }],
    );
    expect([...all.keys()].toSorted()).toEqual(['a', 'd', 'd/b']);
    expect(all.get('a')).toMatchObject({ size: 2, layer: 'layer1' });
    expect(all.get('d')).toEqual({ type: 'directory', mode: 0o700, layer: 'layer1' });
    expect(all.get('d/b')).toMatchObject({ layer: 'layer0' });
  });

  it('are without what a whiteout removes, with all that is in it', async () => {
    const below = [file('a'), file('d/x/1'), file('d/y'), file('e')];
    expect(await paths(below, [file('.wh.a', ''), file('d/.wh.x', '')])).toEqual(['d', 'd/y', 'e']);
    expect(await paths(below, [file('.wh.nothing', ''), file('no/way/.wh.x', '')])).toEqual(
      await paths(below),
    );
    expect(await paths(below, [file('.wh.a', '')], [file('a')])).toEqual(await paths(below));
  });

  it('are without what is below an opaque folder, and with what its own layer puts there in any order', async () => {
    const below = [file('d/x/1'), file('d/y'), file('e')];
    expect(await paths(below, [file('d/z'), file('d/.wh..wh..opq', '')])).toEqual(['d', 'd/z', 'e']);
    expect(await paths(below, [file('.wh..wh..opq', ''), file('z')])).toEqual(['z']);
    expect(await paths(below, [file('q/.wh..wh..opq', '')])).toEqual(await paths(below));
  });

  it('lose a folder to a file or a link, and a file to a folder', async () => {
    expect(await paths([file('d/x')], [file('d')])).toEqual(['d']);
    expect(await paths([file('d/x')], [{ name: 'd', type: 'symlink', target: 'e' }])).toEqual(['d']);
    expect(await paths([file('d')], [{ name: 'd/', type: 'directory' }, file('d/x')])).toEqual(['d', 'd/x']);
    const over = [{ name: 'bin', type: 'symlink', target: 'usr/bin' } satisfies Entry, file('usr/bin/sh')];
    expect(await paths(over, [{ name: 'bin/', type: 'directory' }, file('bin/x')])).toEqual([
      'bin',
      'bin/x',
      'usr',
      'usr/bin',
      'usr/bin/sh',
    ]);
  });

  it('take a link away under an opaque folder', async () => {
    const below: Entry[] = [{ name: 'a', type: 'symlink', target: 'b' }, file('b/x')];
    const above: Entry[] = [{ name: 'a/', type: 'directory' }, file('a/.wh..wh..opq', ''), file('a/y')];
    expect(await paths(below, above)).toEqual(['a', 'a/y', 'b', 'b/x']);
  });

  it('share content by hard links, as it was below', async () => {
    const link: Entry = { name: 'b', type: 'link', target: 'd/a' };
    const all = await files([file('d/a', 'old')], [link, file('d/a', 'newer')]);
    expect(all.get('b')).toMatchObject({ size: 3, layer: 'layer0' });
    expect(all.get('d/a')).toMatchObject({ size: 5, layer: 'layer1' });
  });

  it.each<[string, Entry[][]]>([
    [
      'a file behind a link below, which some engines follow',
      [[{ name: 'a', type: 'symlink', target: 'b' }, file('b/x')], [file('a/x')]],
    ],
    [
      'a folder that comes only after such a file',
      [[{ name: 'a', type: 'symlink', target: 'b' }], [file('a/x'), { name: 'a/', type: 'directory' }]],
    ],
    ['a file behind a file below', [[file('a')], [file('a/x')]]],
    [
      'a whiteout behind a link below',
      [[{ name: 'a', type: 'symlink', target: 'b' }, file('b/x')], [file('a/.wh.x', '')]],
    ],
    [
      'an opaque folder behind a link below',
      [[{ name: 'a', type: 'symlink', target: 'b' }, file('b/c/x')], [file('a/c/.wh..wh..opq', '')]],
    ],
    [
      'an opaque link',
      [[{ name: 'a', type: 'symlink', target: 'b' }, file('b/x')], [file('a/.wh..wh..opq', '')]],
    ],
    ['a hard link to nothing', [[file('a')], [{ name: 'l', type: 'link', target: 'b' }]]],
    ['a hard link to a folder below', [[file('d/a')], [{ name: 'l', type: 'link', target: 'd' }]]],
    [
      'a hard link behind a link below',
      [
        [{ name: 'a', type: 'symlink', target: 'b' }, file('b/x')],
        [{ name: 'l', type: 'link', target: 'a/x' }],
      ],
    ],
    ['a hard link in the lowest layer to nothing', [[{ name: 'l', type: 'link', target: 'b' }]]],
  ])('cannot be told: %s', async (_what, layers) => {
    await expect(files(...layers)).rejects.toMatchObject({ code: 'image.unsafe' });
  });

  it('are told in time however many whiteouts there are', async () => {
    const many = Array.from({ length: 20_000 }, (_, at) => file(`d/${at}`, ''));
    const none = Array.from({ length: 20_000 }, (_, at) => file(`d/.wh.${at}`, ''));
    expect(await paths(many, none)).toEqual(['d']);
  }, 10_000);
});
