import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { extract } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { verifyImageConfig } from '../../model/image-config.ts';
import type { ImageSource } from '../../ports/executor.ts';
import { cellImage } from './cell.ts';
import { assertIdentity } from './load.ts';
import { ociArchive, ociManifest } from './oci.ts';

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex');

async function unpacked(source: ImageSource): Promise<Map<string, Buffer>> {
  const reader = extract();
  ociArchive(source, 'signalbox/x:1')
    .on('error', (error) => reader.destroy(error))
    .pipe(reader);
  const files = new Map<string, Buffer>();
  for await (const entry of reader) {
    const chunks: Uint8Array[] = [];
    for await (const chunk of entry) chunks.push(chunk as Uint8Array);
    files.set(entry.header.name, Buffer.concat(chunks));
  }
  return files;
}

describe('the archive that an engine loads', () => {
  it('holds blobs under their digests, and two indexes that agree', async () => {
    const source = await cellImage('x86_64');
    const files = await unpacked(source);
    for (const [name, content] of files) {
      if (name.startsWith('blobs/sha256/')) expect(sha256(content)).toBe(name.slice('blobs/sha256/'.length));
    }
    const index = JSON.parse(String(files.get('index.json')));
    const manifest = JSON.parse(String(files.get(`blobs/sha256/${index.manifests[0].digest.slice(7)}`)));
    const [listed] = JSON.parse(String(files.get('manifest.json')));
    expect(manifest.config.digest).toBe(`sha256:${source.image.configDigest}`);
    expect(listed.Config).toBe(`blobs/sha256/${source.image.configDigest}`);
    const asPath = ({ digest }: { digest: string }): string => `blobs/sha256/${digest.slice(7)}`;
    expect(listed.Layers).toEqual(manifest.layers.map(asPath));
    expect(files.get(listed.Layers[0])?.byteLength).toBe(source.image.layers[0]?.bytes);
  });

  it.each(['x86_64', 'aarch64'])('is the same every time for %s', async (architecture) => {
    const [one, two] = [await cellImage(architecture), await cellImage(architecture)];
    expect(ociManifest(one.image).equals(ociManifest(two.image))).toBe(true);
    expect(one.image.configDigest).toBe(two.image.configDigest);
    expect(verifyImageConfig(one.config, one.image).entrypoint).toEqual(['/cell']);
  });

  it('breaks off when a layer is not the signed one, too short or too long', async () => {
    const source = await cellImage('x86_64');
    const length = source.image.layers[0]?.bytes ?? 0;
    for (const content of [Buffer.alloc(length, 7), Buffer.alloc(length - 1), Buffer.alloc(length + 1)]) {
      const lying = { ...source, layer: async () => Readable.from([content]) };
      await expect(unpacked(lying)).rejects.toMatchObject({ code: 'image.mismatch' });
    }
  });

  it('names a repeated layer twice and carries it once', async () => {
    const source = await cellImage('x86_64');
    const layers = [...source.image.layers, ...source.image.layers];
    const files = await unpacked({ ...source, image: { ...source.image, layers } });
    expect(JSON.parse(String(files.get('manifest.json')))[0].Layers).toHaveLength(2);
    expect([...files.keys()].filter((name) => name.startsWith('blobs/'))).toHaveLength(3);
  });

  it('refuses machines that it has no cell for', async () => {
    await expect(cellImage('riscv64')).rejects.toMatchObject({ code: 'engine.unsafe' });
  });
});

describe('the identity of a loaded image', () => {
  it('is by config or by our manifest, with the same layers and effective config', async () => {
    const { image, config: bytes } = await cellImage('x86_64');
    const config = verifyImageConfig(bytes, image);
    const info = {
      Id: `sha256:${image.configDigest}`,
      Os: 'linux',
      Architecture: 'amd64',
      RootFS: { Type: 'layers', Layers: [`sha256:${image.layers[0]?.diffId}`] },
      Config: {
        Entrypoint: ['/cell'],
        Cmd: null,
        Env: null,
        WorkingDir: '/',
        User: '',
        Labels: null,
        Volumes: null,
      },
    };
    const check = (change: object): void =>
      assertIdentity({ ...info, ...change } as unknown as Docker.ImageInspectInfo, image, config);
    expect(() => check({})).not.toThrow();
    expect(() => check({ Id: `sha256:${sha256(ociManifest(image))}` })).not.toThrow();
    const changes = [
      { Id: `sha256:${'0'.repeat(64)}` },
      { RootFS: { Type: 'layers', Layers: [] } },
      { Architecture: 'arm64' },
      { Config: { ...info.Config, Entrypoint: ['/bin/sh'] } },
      { Config: { ...info.Config, Env: ['A=1'] } },
      { Config: { ...info.Config, WorkingDir: '/proc/self' } },
      { Config: { ...info.Config, User: 'root' } },
      { Config: { ...info.Config, Labels: { a: 'b' } } },
      { Config: { ...info.Config, Volumes: { '/x': {} } } },
    ];
    for (const change of changes)
      expect(() => check(change)).toThrow(expect.objectContaining({ code: 'image.mismatch' }));
  });
});
