import { dirname, join } from 'node:path';
import { readBounded } from '../adapters/home/files.ts';
import { readYaml } from '../adapters/home/yaml.ts';
import { POLICY_BYTES_MAX } from '../adapters/policy/rules.ts';
import { PhtError } from '../model/error.ts';
import { NO_LISTS, StationLists } from '../model/lists.ts';
import type { Frame } from './frame.ts';
import { policyPath } from './station-paths.ts';

/** Which policy and which lists a command is about. */

export type PolicyFiles = { policy?: string; lists?: string };
export type PolicyFile = { path: string; bytes: Uint8Array };

/** @returns the named file, otherwise the policy in the home of a station */
export function policyFile(frame: Frame, file: string | undefined): PolicyFile {
  if (file === undefined && homeDirOf(frame) === null) {
    throw new PhtError('usage.invalid', 'neither a policy file nor the home of a station was named', {
      hint: "name the file, or the station's home with --home DIR or in PHT_HOME",
    });
  }
  if (file === undefined && frame.openHome().member.role !== 'station')
    throw new PhtError('usage.invalid', 'only the home of a station has a policy; name the file', {
      hint: 'each command of pht station policy takes a file; see its --help',
    });
  const path = file ?? policyPath(frame.homeDir());
  return { path, bytes: readBounded(path, POLICY_BYTES_MAX, 'the policy') };
}

/** @returns the lists of the named file, otherwise of the home of a station; null where neither is named */
export function listsFile(frame: Frame, file: string | undefined): StationLists | null {
  if (file !== undefined) return readYaml(StationLists, file, "the station's lists");
  const dir = homeDirOf(frame);
  if (dir === null || frame.openHome().member.role !== 'station') return null;
  return listsOfHome(dir);
}

/** A station without `lists.yaml` has no lists. */
export function listsOfHome(dir: string): StationLists {
  try {
    return readYaml(StationLists, join(dir, 'lists.yaml'), "the station's lists");
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'config.missing') return NO_LISTS;
    throw thrown;
  }
}

export function besides(file: string, name: string): string {
  return join(dirname(file), name);
}

export function homeDirOf(frame: Frame): string | null {
  try {
    return frame.homeDir();
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'usage.invalid') return null;
    throw thrown;
  }
}
