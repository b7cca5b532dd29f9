import type { Command } from 'commander';
import type { Offer } from '../journey/researcher/offers.ts';
import type { Frame } from './frame.ts';
import { table, wrap } from './text.ts';

/** `pht network datasets`: what may be asked of whom. */
export function addDatasets(network: Command, frame: Frame): void {
  network
    .command('datasets')
    .summary('list stations, their datasets and who is online')
    .description('Lists stations, the datasets that they offer, and who is online, as the dispatcher tells it.')
    .option('--columns', 'list the columns of each dataset as well')
    .addHelpText('after', '\nExample:\n  $ pht --home ana network datasets --columns')
    .action((options: { columns?: true }) => datasets(frame, options.columns === true));
}

async function datasets(frame: Frame, withColumns: boolean): Promise<void> {
  const { travel } = await import('./train-compose.ts');
  const { listOffers } = await import('../journey/researcher/offers.ts');
  await travel(frame, { roles: ['researcher', 'admin', 'auditor'] }, async (traveller) => {
    const client = await traveller.client();
    const offers = await listOffers(client, traveller.researcher.network(), traveller.retry, traveller.signal);
    for (const { problems } of offers) for (const problem of problems) frame.output.warn(problem);
    frame.output.result({ stations: offers }, linesOf(offers, withColumns));
  });
}

function linesOf(offers: readonly Offer[], withColumns: boolean): string[] {
  const rows = offers.flatMap(({ station, online, lastSeenMs, datasets: offered }) => {
    const seen = online ? 'online' : lastSeenMs === null ? 'never seen' : `last seen ${dayOf(lastSeenMs)}`;
    if (offered.length === 0) return [[station, seen, '-', '', '']];
    return offered.map(({ id, title, columns }, at) => {
      return [at === 0 ? station : '', at === 0 ? seen : '', id, String(columns.length), title];
    });
  });
  const lines = table(['STATION', 'STATE', 'DATASET', 'COLUMNS', 'TITLE'], rows);
  return withColumns ? [...lines, ...offers.flatMap(columnLines)] : lines;
}

function columnLines({ station, datasets: offered }: Offer): string[] {
  return offered.flatMap(({ id, columns }) => [
    '',
    `${station}: ${id}`,
    ...table(
      ['COLUMN', 'TYPE', 'UNIT', 'TITLE', 'LEVELS'],
      columns.map(({ name, type, unit, title, levels }) => [
        name,
        type,
        unit ?? '',
        title ?? '',
        levels?.join(', ') ?? '',
      ]),
    ).flatMap((line) => wrap(line)),
  ]);
}

const dayOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ');
