import { join } from 'node:path';
import { z } from 'zod';
import { EXPLANATION_LEVELS } from '../../model/refusal.ts';
import { DisclosureSettings, PRESETS } from '../../model/result/settings.ts';
import { Slug } from '../../model/schema.ts';
import { Limits } from '../../model/train.ts';
import { NOTICE_VERDICTS } from '../../ports/notify.ts';
import { ADDRESS } from './config-template.ts';
import { readYaml } from './yaml.ts';

/** `config.yaml` of each role. What is not said here has the default named here; nothing comes from the environment. */

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

const Address = z
  .string()
  .regex(ADDRESS, 'must be host:port')
  .refine(
    (text) => Number(text.slice(text.lastIndexOf(':') + 1)) <= 65_535,
    'the port must be at most 65535',
  );
const Path = z.string().min(1).max(1000).startsWith('/', 'must be an absolute path');
const Dispatcher = z.strictObject({ id: Slug.optional(), address: Address });

const HttpProxy = z
  .url({ protocol: /^http$/, hostname: z.regexes.hostname, message: 'must be http://host:port' })
  .refine((text) => new URL(text).pathname === '/', 'must have no path');

/** `uid:gid`. A train never runs as root, in the container or by group. */
const RunAs = z
  .string()
  .regex(/^[1-9][0-9]{0,8}:[1-9][0-9]{0,8}$/, "must be 'uid:gid' in numbers, neither of them 0");

/** A preset, and single settings that replace its own; the model's floors hold for either. */
const Disclosure = z
  .looseObject({ preset: z.enum(['sacro', 'opensafely', 'cms']).default('sacro') })
  .transform(({ preset, ...overrides }) => ({ ...PRESETS[preset], ...overrides }))
  .pipe(DisclosureSettings);

/** A local command that is told of trains. It is run without a shell, so each argument stands alone. */
const Notify = z.strictObject({
  command: z
    .tuple([Path], z.string().max(1000))
    .refine((words) => words.length <= 32, 'has more than 31 arguments')
    .refine((words) => words.every((word) => !word.includes('\0')), 'must not contain NUL'),
  when: z.enum(['at-once', 'daily']).default('at-once'),
  at: z
    .string()
    .regex(/^(?:[01][0-9]|2[0-3]):[0-5][0-9]$/, "must be 'HH:MM' of this machine's clock")
    .default('08:00'),
  on: z
    .array(z.enum(NOTICE_VERDICTS))
    .min(1)
    .max(3)
    .refine((verdicts) => new Set(verdicts).size === verdicts.length, 'names a verdict twice')
    .default(['ask']),
  remindAfterDays: z.int().min(1).max(365).default(3),
});

export const StationConfig = z.strictObject({
  dispatcher: Dispatcher,
  proxy: HttpProxy.optional(),
  runAs: RunAs.default('65534:65534'),
  explanations: z.enum(EXPLANATION_LEVELS).default('rules'),
  notify: Notify.optional(),
  inquiries: z.enum(['allowed', 'refused']).default('allowed'),
  engine: z
    .strictObject({
      socket: Path.optional(),
      acceptEngineRisks: z.array(z.string().min(1).max(100)).max(50).default([]),
    })
    .prefault({}),
  adminSocket: z
    .strictObject({
      path: Path.optional(),
      group: z
        .string()
        .regex(/^[a-z_][a-z0-9_-]{0,31}$/)
        .optional(),
    })
    .prefault({}),
  disclosure: Disclosure.prefault({}),
  /** The most that one manifest may ask for. */
  limits: z
    .strictObject({
      memoryBytesMax: Limits.shape.memoryBytesMax.default(4 * GIB),
      cpuMillis: Limits.shape.cpuMillis.default(2000),
      pidsMax: Limits.shape.pidsMax.default(256),
      wallMsMax: Limits.shape.wallMsMax.default(3_600_000),
      outputBytesMax: Limits.shape.outputBytesMax.default(MIB),
      scratchBytesMax: Limits.shape.scratchBytesMax.default(256 * MIB),
    })
    .prefault({}),
  manifestLifetimeDaysMax: z.int().min(1).max(90).default(90),
  runsAtOnceMax: z.int().min(1).max(64).default(1),
  blobCacheBytesMax: z
    .int()
    .min(64 * MIB)
    .max(4096 * GIB)
    .default(20 * GIB),
});
export type StationConfig = z.infer<typeof StationConfig>;

export const DispatcherConfig = z.strictObject({
  listen: Address,
  quotas: z
    .strictObject({
      openTrainsPerResearcherMax: z.int().min(1).max(100_000).default(100),
      blobBytesPerTrainMax: z
        .int()
        .min(MIB)
        .max(1024 * GIB)
        .default(8 * GIB),
    })
    .prefault({}),
  /** Where ledgers are read over HTTP; left out, over gRPC alone. */
  logs: z
    .strictObject({
      listen: Address.default('127.0.0.1:7444'),
      /** Whoever asks is answered, without a client certificate. */
      anonymous: z.boolean().default(false),
    })
    .optional(),
});
export type DispatcherConfig = z.infer<typeof DispatcherConfig>;

/** Of a researcher or an auditor. */
export const VisitorConfig = z.strictObject({ dispatcher: Dispatcher, proxy: HttpProxy.optional() });
export type VisitorConfig = z.infer<typeof VisitorConfig>;

export const AdminConfig = z.strictObject({ adminSocket: z.strictObject({ path: Path }).optional() });
export type AdminConfig = z.infer<typeof AdminConfig>;

/** Whom the authority hands the network file to. */
export const AuthorityConfig = z.strictObject({
  dispatchers: z
    .array(z.strictObject({ id: Slug, address: Address }))
    .max(16)
    .default([]),
  proxy: HttpProxy.optional(),
});
export type AuthorityConfig = z.infer<typeof AuthorityConfig>;

/** @throws PhtError `config.missing`, `config.invalid`, `input.too-large` */
export function readAuthorityConfig(dir: string): AuthorityConfig {
  return readYaml(AuthorityConfig, configPath(dir), 'the configuration');
}

/** @throws PhtError `config.missing`, `config.invalid`, `input.too-large` */
export function readAdminConfig(dir: string): AdminConfig {
  return readYaml(AdminConfig, configPath(dir), 'the configuration');
}

/** @throws PhtError `config.missing`, `config.invalid`, `input.too-large` */
export function readStationConfig(dir: string): StationConfig {
  return readYaml(StationConfig, configPath(dir), 'the configuration');
}

/** @throws PhtError `config.missing`, `config.invalid`, `input.too-large` */
export function readDispatcherConfig(dir: string): DispatcherConfig {
  return readYaml(DispatcherConfig, configPath(dir), 'the configuration');
}

/** @throws PhtError `config.missing`, `config.invalid`, `input.too-large` */
export function readVisitorConfig(dir: string): VisitorConfig {
  return readYaml(VisitorConfig, configPath(dir), 'the configuration');
}

const configPath = (dir: string): string => join(dir, 'config.yaml');
