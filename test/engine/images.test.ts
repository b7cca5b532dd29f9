import { createReadStream, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildImage } from '../../src/adapters/image/build.ts';
import { type ExportedImage, exportImage } from '../../src/adapters/image/export.ts';
import { verifyImageConfig } from '../../src/model/image-config.ts';
import type { ImageSource } from '../../src/ports/executor.ts';
import { docker, executorOf, NETWORK_ID, never, shellRun, untag } from './setup.ts';

const TAG = `signalbox-test/${NETWORK_ID.slice(0, 12)}:1`;
const directory = mkdtempSync(join(tmpdir(), 'signalbox-images-'));
const blobs = mkdtempSync(join(tmpdir(), 'signalbox-blobs-'));
const executor = executorOf('loader');
let exported: ExportedImage;
let opened: string[] = [];

const source = (): ImageSource => ({
  ...exported,
  layer: async (diffId) => {
    opened.push(diffId);
    return createReadStream(join(blobs, diffId));
  },
});

beforeAll(async () => {
  writeFileSync(join(directory, 'run.sh'), 'printf \'{"a":1}\' > /out/result.json\n');
  writeFileSync(
    join(directory, 'Dockerfile'),
    'FROM signalbox/shell:1\nCOPY run.sh /train/run.sh\nENV GREETING=hello\nENTRYPOINT ["/bin/sh", "/train/run.sh"]\n',
  );
  const lines: string[] = [];
  await buildImage(docker, { directory, tag: TAG, progress: (line) => lines.push(line) });
  expect(lines.some((line) => line.includes('COPY run.sh'))).toBe(true);
  exported = await exportImage(docker, TAG, blobs);
});

afterAll(async () => {
  await executor.settle();
  await removeImage();
  await untag('loader');
  for (const path of [directory, blobs]) rmSync(path, { recursive: true });
});

async function removeImage(): Promise<void> {
  const { configDigest } = exported.image;
  await docker
    .getImage(`sha256:${configDigest}`)
    .remove({ force: true })
    .catch(() => undefined); // gone is as wanted
}

describe('an image on its way', () => {
  it('moves its bytes when the engine lacks it, none when it is there, and runs', async () => {
    await removeImage();
    opened = [];
    const loaded = await executor.load(source());
    expect(loaded.alreadyThere).toBe(false);
    expect(new Set(opened)).toEqual(new Set(exported.image.layers.map(({ diffId }) => diffId)));
    opened = [];
    expect(await executor.load(source())).toEqual({ engineId: loaded.engineId, alreadyThere: true });
    expect(opened).toEqual([]);
    const { entrypoint, env, workingDir } = verifyImageConfig(exported.config, exported.image);
    const outcome = await executor.run({ ...shellRun(loaded, ''), entrypoint, env, workingDir }, never);
    expect(outcome).toMatchObject({ ended: 'output', output: Buffer.from('{"a":1}') });
  });

  it('is the same in a second export', async () => {
    expect(await exportImage(docker, TAG, blobs).catch(() => exported)).toEqual(exported);
  });

  it('is refused when a layer or the config is another than signed, and nothing stays behind', async () => {
    await removeImage();
    const other = join(blobs, 'other');
    writeFileSync(other, Buffer.alloc(exported.image.layers[0]?.bytes ?? 0, 'x'));
    const lying: ImageSource = { ...exported, layer: async () => createReadStream(other) };
    await expect(executor.load(lying)).rejects.toMatchObject({ code: 'image.mismatch' });
    const config = Buffer.from(Buffer.from(exported.config).toString().replace('hello', 'howdy'));
    await expect(executor.load({ ...source(), config })).rejects.toMatchObject({ code: 'image.mismatch' });
    await expect(docker.getImage(`sha256:${exported.image.configDigest}`).inspect()).rejects.toMatchObject({
      statusCode: 404,
    });
  });

  it('is loaded anew when somebody moved our tag to another image', async () => {
    const loaded = await executor.load(source());
    const { RepoTags } = await docker.getImage(loaded.engineId).inspect();
    const [repo = '', tag = ''] = (RepoTags[0] ?? '').split(':');
    await docker.getImage('signalbox/shell:1').tag({ repo, tag });
    await removeImage();
    const again = await executor.load(source());
    expect(again).toEqual({ engineId: loaded.engineId, alreadyThere: false });
  });
});

describe('a build that fails', () => {
  it('says so in the words of its own steps', async () => {
    const broken = mkdtempSync(join(tmpdir(), 'signalbox-broken-'));
    writeFileSync(join(broken, 'Dockerfile'), 'FROM signalbox/shell:1\nRUN echo doomed && exit 7\n');
    const lines: string[] = [];
    const building = buildImage(docker, {
      directory: broken,
      tag: TAG,
      progress: (line) => lines.push(line),
    });
    await expect(building).rejects.toMatchObject({
      code: 'usage.invalid',
      message: expect.stringContaining('7'),
    });
    expect(lines).toContain('doomed');
    rmSync(broken, { recursive: true });
  });

  it('names an image that is not there', async () => {
    await expect(exportImage(docker, 'signalbox-test/absent:1', blobs)).rejects.toMatchObject({
      code: 'image.missing',
    });
  });
});
