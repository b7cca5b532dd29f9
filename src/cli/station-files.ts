import { statSync } from 'node:fs';
import { join } from 'node:path';
import { listDatasets, readDataset } from '../adapters/home/datasets.ts';
import { readBounded } from '../adapters/home/files.ts';
import { createSnapshot } from '../adapters/home/snapshot.ts';
import { readYaml } from '../adapters/home/yaml.ts';
import { openPolicy } from '../adapters/policy/cedar.ts';
import { asPhtError, PhtError } from '../model/error.ts';
import { digestOf } from '../model/id.ts';
import { NO_LISTS, StationLists } from '../model/lists.ts';
import { canonicalJson } from '../model/result/canonical.ts';
import type { Datasets } from '../ports/datasets.ts';
import type { Policy } from '../ports/policy.ts';
import { policyPath } from './station-paths.ts';

const POLICY_BYTES_MAX = 256 * 1024;
const LISTS_FILE = 'lists.yaml';

/** The policy in force: parsed again only when its file has changed. */
export function policyReader(dir: string): () => Policy {
  let known: { stamp: string; policy: Policy } | null = null;
  return () => {
    const path = policyPath(dir);
    const stamp = stampOf(path);
    if (known?.stamp === stamp) return known.policy;
    known = { stamp, policy: usablePolicy(path) };
    return known.policy;
  };
}

/**
 * `lists.yaml`, read again only when it has changed; a station without one has no lists. A broken one stops every train,
 * since a rule that forbids may speak of it.
 */
export function listsReader(dir: string): () => StationLists {
  let known: { stamp: string; lists: StationLists } | null = null;
  return () => {
    const path = join(dir, LISTS_FILE);
    const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) return NO_LISTS;
    const stamp = `${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
    if (known?.stamp === stamp) return known.lists;
    known = { stamp, lists: usableLists(path) };
    return known.lists;
  };
}

function usableLists(path: string): StationLists {
  try {
    return readYaml(StationLists, path, "the station's lists");
  } catch (cause) {
    throw new PhtError('policy.error', "this station's lists cannot be used, so nothing runs", {
      cause,
      hint: `pht station policy check FILE --lists ${path}`,
    });
  }
}

/** Whatever is wrong with the file is for the admin to read, and means deny for every train. */
function usablePolicy(path: string): Policy {
  try {
    return openPolicy(readBounded(path, POLICY_BYTES_MAX, 'the policy'));
  } catch (cause) {
    throw new PhtError('policy.error', "this station's policy cannot be used, so nothing runs", {
      cause,
      hint: `pht station policy check ${path}`,
    });
  }
}

function stampOf(path: string): string {
  try {
    const { ino, size, mtimeNs, ctimeNs } = statSync(path, { bigint: true });
    return `${ino}:${size}:${mtimeNs}:${ctimeNs}`;
  } catch (cause) {
    throw new PhtError('policy.missing', 'this station has no policy, so nothing runs', {
      cause,
      hint: `write ${path}; pht station policy check FILE tests it`,
    });
  }
}

type Log = { warn(details: object, message: string): void };

/** What the home's `datasets/` folder offers now. */
export function openDatasets(dir: string, log: Log): Datasets {
  const snapshot = createSnapshot();
  return {
    list: async () =>
      listDatasets(dir).flatMap((id) => {
        try {
          return [readDataset(dir, id).description];
        } catch (thrown) {
          const { code, message } = asPhtError(thrown);
          log.warn({ id, code }, `a dataset is not offered: ${message}`);
          return [];
        }
      }),
    open: async (id) => {
      const { description, files } = readDataset(dir, id);
      // The codebook decides which labels may leave, so it is pinned with the patients' files.
      const content = { description, files: await snapshot(files) };
      return { description, files: [...files], snapshotDigest: digestOf(canonicalJson(content)) };
    },
  };
}
