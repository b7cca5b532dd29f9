import { readVisitorConfig } from '../adapters/home/config.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { openLogFolder } from '../adapters/ledger/reader.ts';
import { LedgerService } from '../gen/pht/v1/ledger_pb.ts';
import { remoteLogs, remoteStatements, type Statements } from '../journey/auditor/remote.ts';
import type { Network } from '../model/network.ts';
import type { LogSource } from '../ports/log-source.ts';
import { dialDispatcher } from './dial.ts';
import { fetchNetwork } from './fetch-network.ts';
import type { Frame } from './frame.ts';

/** What is audited: the logs that a dispatcher serves now, or a copy. */
export type Audited = {
  home: Home;
  network: Network;
  source: LogSource;
  live: boolean;
  name: string;
  /** Null for a copy, which holds logs only. */
  statements: ((trainId: string) => Promise<Statements>) | null;
};

/** What `pht audit verify` is asked. */
export type VerifyOptions = {
  logs?: string;
  bundle?: string;
  networkId?: string;
  network?: string;
  disclosure?: string[];
  against?: string;
  evidence?: string[];
  new?: boolean;
};

/** @throws PhtError `config.missing`, `usage.invalid`, `unreachable` and whatever `work` throws */
export async function withLogs<T>(
  frame: Frame,
  options: { logs?: string },
  work: (audited: Audited) => Promise<T>,
): Promise<T> {
  const home = frame.openHome(options.logs === undefined ? ['auditor', 'researcher'] : undefined);
  const tellAge = (network: Network): Network => {
    if (frame.nowMs() >= network.expiresMs)
      frame.output.warn('the network file has expired; ask for the current one');
    return network;
  };
  if (options.logs !== undefined) {
    const source = await openLogFolder(options.logs);
    const network = tellAge(currentNetwork(home));
    return work({ home, network, source, live: false, name: options.logs, statements: null });
  }
  const { channel, dispatcher } = await dialDispatcher(home, readVisitorConfig(home.dir));
  try {
    // Logs may speak of a version that was issued since this home last asked.
    const tell = (line: string): void => frame.output.progress(line);
    const asking = { signal: frame.signal, nowMs: frame.nowMs, tell };
    if (await fetchNetwork(home, channel, asking)) channel.renew();
    const network = tellAge(currentNetwork(home));
    const client = channel.client(LedgerService);
    const source = remoteLogs(client, frame.signal);
    const statements = (trainId: string): Promise<Statements> =>
      remoteStatements(client, trainId, frame.signal);
    return await work({ home, network, source, live: true, name: dispatcher.id, statements });
  } finally {
    channel.close();
  }
}

const SHOWN_AFTER_MS = 1000;
const SHOWN_EVERY_MS = 500;

/** Says how far it is, once it takes longer than a second. */
export function progressOf(frame: Frame): (member: string, done: number, size: number) => void {
  const startMs = frame.nowMs();
  let shownMs = startMs + SHOWN_AFTER_MS - SHOWN_EVERY_MS;
  return (member, done, size) => {
    const nowMs = frame.nowMs();
    if (nowMs - shownMs < SHOWN_EVERY_MS) return;
    shownMs = nowMs;
    frame.output.progress(`${member}: ${done} of ${size} entries verified`);
  };
}
