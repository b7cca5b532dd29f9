import type { Command } from 'commander';
import type { Offer } from '../journey/researcher/offers.ts';
import type { Frame } from './frame.ts';
import { table, wrap } from './text.ts';

/** `pht network datasets`: what may be asked of whom. */
export function addDatasets(network: Command, frame: Frame): void {
  network
    .command('datasets')
    .summary('list stations, their datasets and who is online')
    .description(
      'Lists stations, the datasets that they offer, and who is online, as the dispatcher tells it.',
    )
    .option('--columns', 'list the columns of each dataset as well')
    .addHelpText('after', '\nExample:\n  $ pht --home ana network datasets --columns')
    .action((options: { columns?: true }) => datasets(frame, options.columns === true));
}

async function datasets(frame: Frame, withColumns: boolean): Promise<void> {
  const { travel } = await import('./train-compose.ts');
  const { listOffers } = await import('../journey/researcher/offers.ts');
  await travel(frame, { roles: ['researcher', 'admin', 'auditor'] }, async (traveller) => {
    const client = await traveller.client();
    const offers = await listOffers(
      client,
      traveller.researcher.network(),
      traveller.retry,
      traveller.signal,
    );
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

/** Levels are what an author copies from here, so they are wrapped and never cut. */
function columnLines({ station, datasets: offered }: Offer): string[] {
  return offered.flatMap(({ id, title, columns }) => {
    const widest = Math.max(...columns.map(({ name }) => name.length));
    return [
      '',
      ...wrap(`${station}: ${id}, ${title}`),
      ...columns.flatMap((column) => columnOf(column, widest)),
    ];
  });
}

function columnOf(
  { name, type, unit, title, levels }: Offer['datasets'][number]['columns'][number],
  widest: number,
): string[] {
  const head = `  ${name.padEnd(widest)}  ${type.padEnd('category'.length)}  `;
  const said = [
    unit === undefined ? '' : `in ${unit}`,
    title ?? '',
    levels === undefined ? '' : `levels: ${levels.join(', ')}`,
  ];
  const [first = '', ...rest] = wrap(said.filter((part) => part !== '').join('; '), head.length);
  return [`${head}${first.trimStart()}`.trimEnd(), ...rest];
}

const dayOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ');
