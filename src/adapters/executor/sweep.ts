import type Docker from 'dockerode';
import { bounded } from './connect.ts';
import { removeContainer, removeVolume } from './engine.ts';
import { HOP_LABEL, OWNER_LABEL, type Ownership, PREPARED_LABEL } from './labels.ts';

/**
 * Removes this owner's containers and volumes. With a hop: the hop's own, and the volumes that an earlier process of
 * this owner had prepared (which bear no hop), but nothing of `live`, which this process uses.
 *
 * @returns how many containers and volumes there were
 */
export async function sweep(
  docker: Docker,
  ownership: Ownership,
  live: ReadonlySet<string>,
  hop: string | undefined,
): Promise<number> {
  const owned = `${OWNER_LABEL}=${ownership.label}`;
  const filters = { label: [owned] };
  const wanted = (name: string, labels: Record<string, string> | null): boolean => {
    // Asked for and checked: a filter that an engine ignores must not cost another member's run.
    if (labels?.[OWNER_LABEL] !== ownership.label) return false;
    if (hop === undefined) return true;
    return labels[HOP_LABEL] === hop || (labels[PREPARED_LABEL] === '1' && !live.has(name));
  };
  const listed = await bounded('list containers', (abortSignal) =>
    docker.listContainers({ all: true, filters, abortSignal }),
  );
  const containers = listed.filter(({ Names, Labels }) => wanted((Names[0] ?? '').replace(/^\//, ''), Labels));
  for (const { Id } of containers) await removeContainer(docker, Id);
  const { Volumes } = await bounded('list volumes', (abortSignal) => docker.listVolumes({ filters, abortSignal }));
  const volumes = (Volumes ?? []).filter(({ Name, Labels }) => wanted(Name, Labels));
  for (const { Name } of volumes) await removeVolume(docker, Name);
  return containers.length + volumes.length;
}
