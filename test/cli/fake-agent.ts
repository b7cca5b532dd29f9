import { join } from 'node:path';
import { bind } from '../../src/adapters/wire/bind.ts';
import { serve } from '../../src/adapters/wire/server.ts';
import { AdminService } from '../../src/gen/pht/v1/admin_pb.ts';
import type { Network } from '../../src/model/network.ts';
import type { Service } from '../../src/ports/wire.ts';
import { inCopy, type Ran, run } from './rig.ts';

export type Agent = Service<typeof AdminService>;

/** Serves what a test answers in the place of a station's agent, and runs `pht station …` of its admin before it. */
export async function withFakeAgent(
  { homes, network }: { homes: string; network: Network },
  agent: Partial<Agent>,
  work: (copy: string, pht: (...args: string[]) => Promise<Ran>) => Promise<void>,
): Promise<void> {
  const unserved = async (): Promise<never> => {
    throw new Error('not in this test');
  };
  const unstreamed = (): AsyncIterable<never> => ({ [Symbol.asyncIterator]: () => ({ next: unserved }) });
  const service: Agent = {
    ...{ dryRun: unserved, standing: unserved, withdraw: unserved },
    ...{ difference: unstreamed, decisions: unstreamed },
    ...{ status: unserved, inbox: unserved, show: unserved, decide: unserved, proof: unserved },
    ...{ disclose: unserved, forget: unserved, conflicts: unserved, trust: unserved },
    ...agent,
  };
  await inCopy(homes, async (copy) => {
    const socket = join(copy, 'agent.sock');
    const server = await serve({
      listen: `unix:${socket}`,
      tls: null,
      network: () => network,
      services: [bind(AdminService, service, { roles: 'local' })],
      log: { debug: () => undefined, warn: () => undefined, error: () => undefined },
    });
    try {
      await work(copy, (...args) => run(copy, ['--home', 'adm', 'station', ...args, '--socket', socket]));
    } finally {
      await server.close();
    }
  });
}
