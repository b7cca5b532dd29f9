import { randomBytes } from 'node:crypto';
import { PhtError } from '../../model/error.ts';
import type { Labels } from './settings.ts';

/** Whose a container, volume or image tag is: one engine may serve several members of several networks. */
export type Ownership = { label: string; stem: string; repository: string };

export const OWNER_LABEL = 'signalbox.owner';
export const HOP_LABEL = 'signalbox.hop';
const EPOCH_LABEL = 'signalbox.epoch';
export const PREPARED_LABEL = 'signalbox.prepared';

/** @param owner a member's id */
export function ownership(networkId: string, owner: string): Ownership {
  if (!/^[0-9a-f]{12,64}$/.test(networkId) || !/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/.test(owner)) {
    throw new PhtError(
      'config.invalid',
      `no containers can be made for the member ${owner} of the network ${networkId}`,
    );
  }
  const network = networkId.slice(0, 12);
  // Repository names of engines allow no double dashes at their ends, so the slug stands alone.
  return {
    label: `${network}.${owner}`,
    stem: `signalbox-${network}-${owner}`,
    repository: `signalbox/${network}/${owner}`,
  };
}

export function hopLabels(ownership: Ownership, hop: string, epoch: number): Labels {
  // Each of ours is set: a container inherits what the image's own author wrote under the same names.
  return {
    [OWNER_LABEL]: ownership.label,
    [HOP_LABEL]: hop,
    [EPOCH_LABEL]: String(epoch),
    [PREPARED_LABEL]: '0',
  };
}

export function freshName(ownership: Ownership, what: string): string {
  if (!/^[A-Za-z0-9_.-]{1,64}$/.test(what))
    throw new PhtError('usage.invalid', `not an id for a container: ${what}`);
  return `${ownership.stem}-${what}-${randomBytes(4).toString('hex')}`;
}
