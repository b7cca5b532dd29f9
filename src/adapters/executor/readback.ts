import { isDeepStrictEqual } from 'node:util';
import type Docker from 'dockerode';
import { PhtError } from '../../model/error.ts';
import type { ContainerSettings } from './settings.ts';

/**
 * Compares what the engine made of a container with what was asked: daemon defaults and old engines drop keys that they
 * do not know. That a setting reads back is no proof that it holds, which the probe gives; that one does not is reason
 * enough not to start.
 *
 * @param imageEnv the image's own environment, which the engine merges in
 * @throws PhtError `engine.unsafe` naming every field that differs
 */
export function assertSettings(
  wanted: ContainerSettings,
  inspected: Docker.ContainerInspectInfo,
  imageEnv: readonly string[],
  apparmor: boolean,
): void {
  const wrong = [...differences(wanted, inspected, imageEnv, apparmor)];
  if (wrong.length === 0) return;
  throw new PhtError(
    'engine.unsafe',
    `the container engine did not take these settings: ${wrong.join(', ')}`,
    {
      hint: 'nothing was started; `pht station doctor` names an engine that holds them',
    },
  );
}

type Fields = Record<string, unknown>;

function* differences(
  wanted: ContainerSettings,
  inspected: Docker.ContainerInspectInfo,
  imageEnv: readonly string[],
  apparmor: boolean,
): Generator<string> {
  const host: Fields = { ...inspected.HostConfig };
  const config: Fields = { ...inspected.Config };
  const wantedHost: Fields = { ...wanted.HostConfig };
  const wantedConfig: Fields = { ...wanted };
  for (const key of CONFIG_EXACT) if (!same(wantedConfig[key], config[key])) yield key;
  for (const key of HOST_EXACT) if (!same(wantedHost[key], host[key])) yield key;
  for (const key of HOST_EMPTY) if (!isEmpty(host[key])) yield key;
  if (!same(wanted.Entrypoint, [inspected.Path, ...inspected.Args])) yield 'Entrypoint';
  if (!same(sortedWords(mergedEnv(imageEnv, wanted.Env)), sortedWords(inspected.Config.Env))) yield 'Env';
  if (!includesAll(inspected.Config.Labels, wanted.Labels)) yield 'Labels';
  if (!same(sortedWords(wanted.HostConfig.SecurityOpt), sortedWords(host['SecurityOpt'])))
    yield 'SecurityOpt';
  if (!same(byName(wantedHost['Ulimits']), byName(host['Ulimits']))) yield 'Ulimits';
  if (!isDropAll(host['CapDrop'])) yield 'CapDrop';
  if (apparmor && inspected.AppArmorProfile !== 'docker-default') yield 'AppArmorProfile';
  if (!sameMounts(wanted, inspected)) yield 'Mounts';
  if (Object.keys(inspected.NetworkSettings.Networks ?? {}).some((name) => name !== 'none')) yield 'Networks';
}

const CONFIG_EXACT = [
  'User',
  'WorkingDir',
  'Hostname',
  'AttachStdin',
  'OpenStdin',
  'Tty',
  'StopTimeout',
  'Healthcheck',
] as const;
const HOST_EXACT = [
  'NetworkMode',
  'ReadonlyRootfs',
  'Privileged',
  'AutoRemove',
  'Memory',
  'MemorySwap',
  'NanoCpus',
  'PidsLimit',
  'IpcMode',
  'CgroupnsMode',
  'ShmSize',
  'Tmpfs',
  'Mounts',
] as const;
/** What nobody asked for and a daemon's defaults could add. */
const HOST_EMPTY = [
  'CapAdd',
  'Binds',
  'Devices',
  'DeviceRequests',
  'DeviceCgroupRules',
  'GroupAdd',
  'ExtraHosts',
  'Links',
  'PidMode',
  'UTSMode',
  'UsernsMode',
  'VolumesFrom',
  'PortBindings',
  'PublishAllPorts',
  'Sysctls',
  'OomKillDisable',
  'Init',
] as const;

function same(wanted: unknown, found: unknown): boolean {
  return isDeepStrictEqual(plain(wanted), plain(found));
}

/** Engines leave out, or add as null, what is empty: that difference is none. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value)
    .map(([key, inner]) => [key, plain(inner)] as const)
    .filter(([, inner]) => !isEmpty(inner))
    .sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(kept);
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '' || value === 0) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function sortedWords(words: unknown): string[] {
  return Array.isArray(words) ? words.map(String).sort() : [];
}

function byName(limits: unknown): unknown[] {
  if (!Array.isArray(limits)) return [];
  return [...limits].sort((a: { Name: string }, b: { Name: string }) => (a.Name < b.Name ? -1 : 1));
}

function includesAll(found: Record<string, string> | null, wanted: Record<string, string>): boolean {
  return Object.entries(wanted).every(([key, value]) => found?.[key] === value);
}

function isDropAll(found: unknown): boolean {
  return (
    Array.isArray(found) && found.length === 1 && String(found[0]).toUpperCase().replace('CAP_', '') === 'ALL'
  );
}

/** As the engine merges: ours first, then what the image has under other names. */
export function mergedEnv(imageEnv: readonly string[], ours: readonly string[]): string[] {
  const names = new Set(ours.map((line) => line.split('=', 1)[0]));
  return [...ours, ...imageEnv.filter((line) => !names.has(line.split('=', 1)[0]))];
}

/** What is really mounted: read-only binds where asked, one volume, nothing else. */
function sameMounts(wanted: ContainerSettings, inspected: Docker.ContainerInspectInfo): boolean {
  const asked = wanted.HostConfig.Mounts.map(({ Type, Target, ReadOnly, Source }) => {
    return `${Type} ${Target} ${ReadOnly !== true} ${Source}`;
  });
  const found = inspected.Mounts.filter(({ Type }) => Type !== 'tmpfs').map((mount) => {
    return `${mount.Type} ${mount.Destination} ${mount.RW} ${mount.Type === 'volume' ? mount.Name : mount.Source}`;
  });
  return same(asked.sort(), found.sort());
}
