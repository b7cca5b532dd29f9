import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { type Header, pack } from 'tar-stream';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { PhtError } from '../../model/error.ts';
import { readImageArchive } from './export.ts';

type Entry = Partial<Header> & { name: string; content?: string | Buffer };

async function tar(...entries: Entry[]): Promise<Buffer> {
  const archive = pack();
  for (const { content, ...header } of entries) {
    if (content === undefined) archive.entry(header);
    else archive.entry(header, content);
  }
  archive.finalize();
  const chunks: Uint8Array[] = [];
  for await (const chunk of archive) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');
const bomb = await tar({ name: 'zeros', content: Buffer.alloc(64 * 1024 * 1024) });
const climbing = await tar({ name: '../x', content: 'x' });
const json = (value: unknown): string => JSON.stringify(value);

const small = await tar({ name: 'bin/a', content: 'a' });
const large = await tar({ name: 'bin/b', content: 'b'.repeat(3 * 1024 * 1024) });
const configOf = (...layers: Buffer[]): string =>
  json({
    architecture: 'amd64',
    os: 'linux',
    config: { Cmd: ['/bin/a'] },
    rootfs: { type: 'layers', diff_ids: layers.map((layer) => `sha256:${sha256(layer)}`) },
  });
const config = configOf(small, large, small);
const expected = {
  configDigest: sha256(Buffer.from(config)),
  configBytes: config.length,
  platform: 'linux/amd64',
  layers: [small, large, small].map((layer) => ({ diffId: sha256(layer), bytes: layer.byteLength })),
};

const CLASSIC: Entry[] = [
  { name: 'one/layer.tar', content: small },
  { name: 'two/layer.tar', content: large },
  { name: 'three/layer.tar', type: 'symlink', linkname: '../one/layer.tar' },
  { name: 'c.json', content: config },
  {
    name: 'manifest.json',
    content: json([{ Config: 'c.json', Layers: ['one/layer.tar', 'two/layer.tar', 'three/layer.tar'] }]),
  },
];

function ociLayout(layers: Buffer[], blob: string = config): Entry[] {
  const media = 'application/vnd.oci.image';
  const descriptor = (bytes: Buffer): object => ({
    mediaType: `${media}.x`,
    digest: `sha256:${sha256(bytes)}`,
    size: bytes.byteLength,
  });
  const manifest = Buffer.from(
    json({ schemaVersion: 2, config: descriptor(Buffer.from(blob)), layers: layers.map(descriptor) }),
  );
  const blobs = [manifest, Buffer.from(blob), ...layers];
  return [
    ...blobs.map((content) => ({ name: `blobs/sha256/${sha256(content)}`, content })),
    { name: 'index.json', content: json({ schemaVersion: 2, manifests: [descriptor(manifest)] }) },
  ];
}

describe('turning what an engine saves into blobs', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'signalbox-export-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const read = async (entries: Entry[]): ReturnType<typeof readImageArchive> =>
    readImageArchive(Readable.from([await tar(...entries)]), directory);

  it.each([
    ['the archive of old, with a repeated layer as a link', CLASSIC],
    ['an OCI layout', ociLayout([small, large, small])],
    ['an OCI layout with compressed layers', ociLayout([gzipSync(small), gzipSync(large), small])],
  ])('reads %s', async (_what, entries) => {
    const { image, config: bytes } = await read(entries);
    expect(image).toEqual(expected);
    expect(Buffer.from(bytes).toString()).toBe(config);
    const files = readdirSync(directory).sort();
    expect(files).toEqual([expected.configDigest, sha256(small), sha256(large)].sort());
    for (const name of files) expect(sha256(readFileSync(join(directory, name)))).toBe(name);
  });

  it.each<[string, string, Entry[]]>([
    ['other layers than the config names', 'image.mismatch', ociLayout([small, large, large])],
    ['a missing layer', 'image.mismatch', CLASSIC.slice(1)],
    ['a missing config', 'image.mismatch', CLASSIC.filter(({ name }) => name !== 'c.json')],
    ['no list of its parts', 'image.mismatch', CLASSIC.slice(0, 4)],
    [
      'two images',
      'image.mismatch',
      [...CLASSIC.slice(0, 4), { name: 'manifest.json', content: json([{}, {}]) }],
    ],
    ['a bomb', 'image.unsafe', ociLayout([gzipSync(bomb)], configOf(bomb))],
    ['a layer that climbs', 'image.unsafe', ociLayout([climbing], config)],
    [
      'zstd',
      'image.unsafe',
      ociLayout([Buffer.concat([Buffer.from([0x28, 0xb5, 0x2f, 0xfd]), Buffer.alloc(600)])], config),
    ],
    ['torn gzip', 'image.unsafe', ociLayout([gzipSync(small).subarray(0, 60)], config)],
  ])('refuses %s and leaves nothing half-written', async (_what, code, entries) => {
    await expect(read(entries)).rejects.toMatchObject({ code });
    for (const name of readdirSync(directory)) expect(sha256(readFileSync(join(directory, name)))).toBe(name);
  });

  it('refuses noise with a reason', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 1024 }), async (noise) => {
        const reading = readImageArchive(Readable.from([Buffer.from(noise)]), directory);
        await expect(reading).rejects.toBeInstanceOf(PhtError);
      }),
      { numRuns: 50 },
    );
  });
});
