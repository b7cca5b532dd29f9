import type Docker from 'dockerode';
import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';
import { bounded } from './connect.ts';
import { SECCOMP_PROFILE } from './seccomp.ts';

/** What `/version` and `/info` say, as far as it is used here. */
const Version = z.looseObject({
  Version: z.string(),
  Components: z.array(z.looseObject({ Name: z.string(), Version: z.string() })).nullish(),
});
const Info = z.looseObject({
  ID: z.string().nullish(),
  KernelVersion: z.string(),
  Architecture: z.string(),
  NCPU: z.int().min(1),
  Driver: z.string().nullish(),
  DefaultRuntime: z.string().nullish(),
  Runtimes: z.record(z.string(), z.unknown()).nullish(),
  SecurityOptions: z.array(z.string()).nullish(),
  CgroupVersion: z.string().nullish(),
  CgroupDriver: z.string().nullish(),
  MemoryLimit: z.boolean().nullish(),
  SwapLimit: z.boolean().nullish(),
  PidsLimit: z.boolean().nullish(),
});

export type Identity = {
  engine: string;
  runtime: string;
  architecture: string;
  cpus: number;
  apparmor: boolean;
  /** Changes when the engine, its runtime or its configuration does: what was proved must then be proved again. */
  fingerprint: string;
  risks: { id: string; text: string }[];
};

/** Raise it when the probe or its judgement changes. */
const PROBE_EDITION = 1;

/** @throws PhtError `engine.unreachable`, `engine.unsafe` when the engine does not say what it is */
export async function identify(docker: Docker): Promise<Identity> {
  const [version, info] = await Promise.all([
    bounded('tell its version', () => docker.version()),
    bounded('describe itself', () => docker.info()),
  ]);
  return identityFrom(version, info);
}

export function identityFrom(versionAnswer: unknown, infoAnswer: unknown): Identity {
  const version = Version.safeParse(versionAnswer);
  const info = Info.safeParse(infoAnswer);
  if (!version.success || !info.success) {
    throw new PhtError('engine.unsafe', 'the container engine does not say what it is', {
      cause: version.error ?? info.error,
    });
  }
  const { data } = info;
  const components = (version.data.Components ?? [])
    .map(({ Name, Version: text }) => `${Name} ${text}`)
    .sort();
  const options = [...(data.SecurityOptions ?? [])].sort();
  const known = [
    [PROBE_EDITION, digestOf(SECCOMP_PROFILE), version.data.Version, components, options],
    [data.ID, data.KernelVersion, data.Architecture, data.Driver, data.DefaultRuntime, data.Runtimes],
    [data.CgroupVersion, data.CgroupDriver, data.MemoryLimit, data.SwapLimit, data.PidsLimit],
  ];
  const runtime = (version.data.Components ?? []).find(
    ({ Name }) => Name === 'runc' || Name === data.DefaultRuntime,
  );
  return {
    engine: `${version.data.Version} on Linux ${data.KernelVersion}`,
    runtime:
      runtime === undefined ? (data.DefaultRuntime ?? 'unknown') : `${runtime.Name} ${runtime.Version}`,
    architecture: data.Architecture,
    cpus: data.NCPU,
    apparmor: options.some((option) => option.includes('name=apparmor')),
    fingerprint: digestOf(JSON.stringify(known)),
    risks: risksOf(data.DefaultRuntime ?? undefined, runtime?.Version),
  };
}

/** Break-outs through masked paths and writes to /proc: CVE-2025-31133, CVE-2025-52565, CVE-2025-52881. */
export function risksOf(
  defaultRuntime: string | undefined,
  runcVersion: string | undefined,
): Identity['risks'] {
  if (defaultRuntime !== undefined && defaultRuntime !== 'runc') return [];
  const parts = /^v?(\d+)\.(\d+)\.(\d+)/.exec(runcVersion ?? '');
  if (parts === null) {
    return [{ id: 'runtime-unknown', text: 'the engine does not say which version of runc it uses' }];
  }
  const [major, minor, patch] = parts.slice(1).map(Number) as [number, number, number];
  const fixed =
    major > 1 || (major === 1 && (minor > 3 || (minor === 3 && patch >= 3) || (minor === 2 && patch >= 8)));
  if (fixed) return [];
  const text =
    `runc ${runcVersion} is older than 1.2.8 and 1.3.3, which closed known break-outs (CVE-2025-31133, -52565, -52881); ` +
    'a distribution may have mended it without changing the number';
  return [{ id: 'runc-break-outs', text }];
}
