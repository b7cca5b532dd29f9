import { X509Certificate } from 'node:crypto';
import type { Network } from '../../model/network.ts';
import { filesOf, presentedIn, type TlsFiles, type TlsSource, tlsKeysOf } from './identity.ts';

/**
 * A server goes on while its certificate, its key and the network's authorities are replaced. A new certificate is shown
 * at once. A new key is held back for a while: members that have not heard of it yet must be able to connect and fetch
 * the file that names it, and those that have accept the former one as well.
 */

const KEY_GRACE_MS = 3_600_000;
/** Before the former certificate ends. */
const MARGIN_MS = 60_000;

export type TlsRenewal = {
  /** The network file has changed. */
  look(network: Network): Promise<void>;
  close(): void;
};

export type RenewalPorts = {
  source: TlsSource;
  first: TlsFiles;
  /** For connections from now on. */
  show(files: TlsFiles): void;
  failed(error: unknown): void;
  nowMs(): number;
  keyGraceMs?: number;
};

export function createTlsRenewal(ports: RenewalPorts): TlsRenewal {
  let shown = ports.first;
  let waiting: NodeJS.Timeout | undefined;
  let last = Promise.resolve();

  const show = (files: TlsFiles): void => {
    clearTimeout(waiting);
    ports.show(files);
    shown = files;
  };

  const once = async (network: Network): Promise<void> => {
    try {
      const files = await filesOf(ports.source);
      if (isSame(files, shown)) return;
      const waitMs = files.privateKeyPem === shown.privateKeyPem ? 0 : graceOf(shown, network, ports);
      if (waitMs <= 0) return show(files);
      clearTimeout(waiting);
      waiting = setTimeout(() => void look(network), waitMs);
      waiting.unref();
      // Whom the former key is shown to may have the new authority already, and be one of its members.
      const mixed = { ...shown, authorityPem: files.authorityPem };
      if (!isSame(mixed, shown)) ports.show(mixed);
      shown = mixed;
    } catch (thrown) {
      ports.failed(thrown);
    }
  };

  /** One after the other, so that the newest is the last. */
  const look = (network: Network): Promise<void> => {
    last = last.then(() => once(network));
    return last;
  };
  return { look, close: () => clearTimeout(waiting) };
}

/** How much longer the key that is shown may be: not at all once it is known to be in other hands. */
function graceOf(shown: TlsFiles, network: Network, { nowMs, keyGraceMs }: RenewalPorts): number {
  const { memberId, x, notAfterMs } = presentedIn(new X509Certificate(shown.certificatePem).raw);
  const member = network.members.get(memberId ?? '');
  if (member === undefined) return 0;
  const [, ...former] = tlsKeysOf(member, network, true);
  const renewed = former.find((key) => key.x === x);
  if (renewed === undefined) return 0;
  const since = network.spans.findLast(({ keys }) => keys.tls?.x === x)?.ended?.atMs ?? 0;
  return Math.min(since + (keyGraceMs ?? KEY_GRACE_MS), notAfterMs - MARGIN_MS) - nowMs();
}

function isSame(one: TlsFiles, two: TlsFiles): boolean {
  return (
    one.authorityPem === two.authorityPem &&
    one.certificatePem === two.certificatePem &&
    one.privateKeyPem === two.privateKeyPem
  );
}
