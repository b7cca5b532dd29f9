import type Docker from 'dockerode';
import { bounded } from './connect.ts';
import { removeContainer, removeVolume } from './engine.ts';
import { HOP_LABEL, OWNER_LABEL, type Ownership, PREPARED_LABEL } from './labels.ts';

/**
 * Removes this owner's containers and volumes. With a hop: the hop's own, and the volumes that an earlier process of
 * this owner had prepared (which bear no hop), but nothing of `live`, which this process uses.
 *
 * @param stop ends this process's own runs that are about to be removed, so that they say so
 * @returns how many containers and volumes there were
 */
export async function sweep(
  docker: Docker,
  ownership: Ownership,
  live: ReadonlySet<string>,
  hop: string | undefined,
  stop: () => void,
): Promise<number> {
  const filters = { label: [`${OWNER_LABEL}=${ownership.label}`] };
  // Asked for and checked: a filter that an engine ignores must not cost another member's run.
  const isOwned = ({ Labels }: { Labels: Record<string, string> | null }): boolean =>
    Labels?.[OWNER_LABEL] === ownership.label;
  const listed = await bounded('list containers', (abortSignal) =>
    docker.listContainers({ all: true, filters, abortSignal }),
  );
  const owned = listed.filter(isOwned);
  const hopOf = new Map<string, string>();
  for (const { Labels, Mounts } of owned) {
    const user = Labels[HOP_LABEL];
    if (user === undefined) continue;
    for (const { Name } of Mounts) if (Name !== undefined) hopOf.set(Name, user);
  }
  /** A volume and its holder bear one name. */
  const isLeft = (volume: string): boolean => !live.has(volume) && (hopOf.get(volume) ?? hop) === hop;
  const containers = owned.filter(({ Names, Labels }) => {
    if (hop === undefined) return true;
    return Labels[PREPARED_LABEL] === '1'
      ? isLeft((Names[0] ?? '').replace(/^\//, ''))
      : Labels[HOP_LABEL] === hop;
  });
  const { Volumes } = await bounded('list volumes', (abortSignal) =>
    docker.listVolumes({ filters, abortSignal }),
  );
  const volumes = (Volumes ?? []).filter(
    (volume) => isOwned(volume) && (hop === undefined || isLeft(volume.Name)),
  );
  stop();
  for (const { Id } of containers) await removeContainer(docker, Id);
  for (const { Name } of volumes) await removeVolume(docker, Name);
  return containers.length + volumes.length;
}
