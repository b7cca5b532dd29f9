import { readFile } from 'node:fs/promises';
import { createDepot } from '../../src/adapters/depot/files.ts';
import { bind } from '../../src/adapters/wire/bind.ts';
import { connect } from '../../src/adapters/wire/client.ts';
import type { TlsFiles } from '../../src/adapters/wire/identity.ts';
import { serve } from '../../src/adapters/wire/server.ts';
import { openUpload } from '../../src/adapters/wire/transfer.ts';
import { DepotService } from '../../src/gen/pht/v1/depot_pb.ts';
import { TrackService } from '../../src/gen/pht/v1/tracks_pb.ts';
import type { NetworkFiles } from '../../src/model/network-statements.ts';
import { openNetwork } from '../../src/model/open-network.ts';
import type { Depot } from '../../src/ports/depot.ts';
import type { Service } from '../../src/ports/wire.ts';
import { collectingLog, dispatcherKey } from './harness.ts';
import { trackOf } from './services.ts';

/** One end of the wire as a process of its own, so that a test can kill it. Its orders are a JSON file. */

export type PeerOrders = {
  as: 'server' | 'uploader';
  /** Where to listen, or whom to dial. */
  address: string;
  tls: TlsFiles;
  files: NetworkFiles;
  networkId: string;
  depot: string;
  bytesTotal: number;
};

/** A depot without questions of ownership: every blob has the one declared size. */
export function depotServiceOf(depot: Depot, bytesTotal: number): Service<typeof DepotService> {
  return {
    uploadOffset: async ({ digest }) => {
      const { bytes, complete } = await depot.status(digest);
      return { offset: BigInt(bytes), complete };
    },
    upload: async (requests) => {
      const { header, chunks } = await openUpload(requests);
      const { bytes, complete } = await depot.write(header.digest, bytesTotal, Number(header.offset), chunks);
      return { offset: BigInt(bytes), complete };
    },
    download: async function* ({ digest, offset }) {
      for await (const chunk of depot.read(digest, Number(offset))) yield { chunk };
    },
  };
}

async function run(orders: PeerOrders): Promise<void> {
  const network = openNetwork(orders.files, orders.networkId);
  if (orders.as === 'server') {
    const depot = depotServiceOf(createDepot(orders.depot), orders.bytesTotal);
    const server = await serve({
      listen: orders.address,
      tls: orders.tls,
      network: () => network,
      services: [
        bind(DepotService, depot, { roles: ['researcher', 'station'] }),
        bind(TrackService, trackOf({}), { roles: ['station'], methods: { wake: { deadlineMs: 'open' } } }),
      ],
      log: collectingLog(),
    });
    process.stdout.write(`${server.address}\n`);
    return;
  }
  const serverMember = { networkId: network.id, memberId: 'dispatcher', publicJwk: dispatcherKey(network) };
  const client = connect({ address: orders.address, tls: orders.tls, serverMember }).client(DepotService);
  await client.upload(
    (async function* () {
      yield { part: { case: 'chunk' as const, value: new Uint8Array(1000) } };
      process.stdout.write('sent\n');
      await new Promise((resolve) => setTimeout(resolve, 60_000));
    })(),
  );
}

const ordersPath = process.argv[2];
if (import.meta.main && ordersPath !== undefined) {
  await run(JSON.parse(await readFile(ordersPath, 'utf8')) as PeerOrders);
}
