import { z } from 'zod';
import { PhtError } from './error.ts';
import { digestOf } from './id.ts';
import { parseStrictJson } from './json.ts';
import type { TrainImage } from './train.ts';

/** The config blob of an OCI image (image-spec, config.md) and what a station refuses in one. */

const CONFIG_BYTES_MAX = 1024 * 1024;

const Words = z.array(z.string().max(4096)).max(256).nullish();

/** Members that do not change what runs (history, author, created …) pass unread. */
const ConfigBlob = z.looseObject({
  architecture: z.string().max(32),
  os: z.string().max(32),
  config: z
    .looseObject({
      Entrypoint: Words,
      Cmd: Words,
      Env: Words,
      WorkingDir: z.string().max(4096).nullish(),
      User: z.string().max(256).nullish(),
      Volumes: z.record(z.string(), z.unknown()).nullish(),
      OnBuild: z.array(z.unknown()).nullish(),
      Labels: z.record(z.string(), z.string()).nullish(),
    })
    .nullish(),
  rootfs: z.looseObject({
    type: z.literal('layers'),
    diff_ids: z
      .array(z.string().regex(/^sha256:[0-9a-f]{64}$/))
      .min(1)
      .max(128),
  }),
});

export type ImageConfig = {
  /** Entrypoint and command, joined as the engine would. */
  entrypoint: string[];
  workingDir: string;
  env: string[];
  user: string;
  labels: Record<string, string>;
  platform: string;
  diffIds: string[];
};

/**
 * Reads the config blob of a stranger's image and refuses what could act outside the sandbox: a working directory in
 * `/proc` or `/sys` (CVE-2024-21626), volumes (writable and unbounded), triggers.
 *
 * @throws PhtError `image.unsafe`, `image.mismatch` when it is no config blob
 */
export function readImageConfig(bytes: Uint8Array): ImageConfig {
  const blob = parseBlob(bytes);
  const config = blob.config ?? {};
  const unsafe = (why: string): PhtError => new PhtError('image.unsafe', `the image is refused: ${why}`);
  const workingDir = config.WorkingDir || '/';
  if (!isPlainPath(workingDir))
    throw unsafe('its working directory is not a plain absolute path outside /proc and /sys');
  if (Object.keys(config.Volumes ?? {}).length > 0)
    throw unsafe('it declares volumes, which have no size limit');
  if ((config.OnBuild ?? []).length > 0) throw unsafe('it declares build triggers');
  const entrypoint = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
  if (entrypoint.length === 0 || entrypoint[0] === '') throw unsafe('it names no program to run');
  const env = config.Env ?? [];
  if ([...entrypoint, ...env].some((word) => word.includes('\0')))
    throw unsafe('its command or environment holds a NUL');
  if (env.some((line) => !/^[^=]+=/.test(line))) throw unsafe('its environment has an entry without a name');
  return {
    entrypoint,
    workingDir,
    env,
    user: config.User ?? '',
    labels: config.Labels ?? {},
    platform: `${blob.os}/${blob.architecture}`,
    diffIds: blob.rootfs.diff_ids.map((digest) => digest.slice('sha256:'.length)),
  };
}

/**
 * Like `readImageConfig`, and the bytes must be those that the manifest names, with its layers and platform.
 *
 * @throws PhtError `image.mismatch`, `image.unsafe`
 */
export function verifyImageConfig(bytes: Uint8Array, image: TrainImage): ImageConfig {
  if (bytes.byteLength !== image.configBytes || digestOf(bytes) !== image.configDigest) {
    throw new PhtError('image.mismatch', 'the image’s config is not the one that was signed');
  }
  const config = readImageConfig(bytes);
  if (config.platform !== image.platform) {
    throw new PhtError(
      'image.mismatch',
      `the image is for ${config.platform}, the manifest says ${image.platform}`,
    );
  }
  const signed = image.layers.map((layer) => layer.diffId);
  if (signed.length !== config.diffIds.length || signed.some((diffId, at) => diffId !== config.diffIds[at])) {
    throw new PhtError('image.mismatch', 'the image’s layers are not the ones that were signed');
  }
  return config;
}

function parseBlob(bytes: Uint8Array): z.infer<typeof ConfigBlob> {
  try {
    const parsed = ConfigBlob.safeParse(
      parseStrictJson(bytes, { bytesMax: CONFIG_BYTES_MAX, what: 'the image’s config' }),
    );
    if (parsed.success) return parsed.data;
    throw parsed.error;
  } catch (cause) {
    throw new PhtError('image.mismatch', 'the image’s config is not a config of the OCI image format', {
      cause,
    });
  }
}

function isPlainPath(path: string): boolean {
  if (!path.startsWith('/') || /[\u0000-\u001f\u007f]/.test(path)) return false;
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  return !parts.includes('..') && parts[0] !== 'proc' && parts[0] !== 'sys';
}
