import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { StationConfig } from '../adapters/home/config.ts';
import { type Finding, fail, ok, warn } from '../journey/station/doctor.ts';

const CHECK = 'notify';
const BY_ANYBODY = 0o002;
const BY_A_GROUP = 0o020;
const STICKY = 0o1000;

/** The command runs as the station: whoever may write it, or a folder above it, is the station. */
export function lookAtNotify({ notify }: Pick<StationConfig, 'notify'>): Finding[] {
  if (notify === undefined) return [];
  const [path] = notify.command;
  const wrong = (text: string, fix: string): Finding[] => [fail(CHECK, 'config.invalid', text, fix)];
  const stats = statsOf(path);
  if (stats === null || !stats.isFile()) {
    return wrong(`${path} does not exist or is no file`, 'correct notify.command in config.yaml');
  }
  try {
    accessSync(path, constants.X_OK);
  } catch {
    return wrong(`the station's user cannot run ${path}`, `chmod a+rx '${path}'`);
  }
  const places = [path, ...foldersAbove(path)];
  const open = places.find((place) => isWritable(place, BY_ANYBODY));
  if (open !== undefined) return wrong(`anybody can change ${open}`, `chmod o-w '${open}'`);
  const shared = places.find((place) => isWritable(place, BY_A_GROUP) || isForeign(place));
  if (shared !== undefined) {
    const text = `${shared} can be changed by others than root and the station's user`;
    return [warn(CHECK, text, `chown root '${shared}' && chmod g-w '${shared}'`)];
  }
  const when = notify.when === 'daily' ? `once a day at ${notify.at}` : 'at once';
  return [ok(CHECK, `${path} is run ${when} for: ${notify.on.join(', ')}`)];
}

function statsOf(path: string): Stats | null {
  try {
    return statSync(path);
  } catch {
    return null;
  }
}

function foldersAbove(path: string): string[] {
  const above = dirname(path);
  return above === path ? [] : [above, ...foldersAbove(above)];
}

/** In a sticky folder nobody can replace what is another's. */
function isWritable(path: string, mask: number): boolean {
  const stats = statsOf(path);
  if (stats === null) return true;
  return (stats.mode & mask) !== 0 && !(stats.isDirectory() && (stats.mode & STICKY) !== 0);
}

function isForeign(path: string): boolean {
  const uid = statsOf(path)?.uid;
  return uid !== 0 && uid !== process.getuid?.();
}
