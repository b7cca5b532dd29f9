import type { OpenedCase } from '../journey/admin/case.ts';
import type { Output } from './output.ts';
import { table, wrap } from './text.ts';

const DUO_NAMES: Readonly<Record<string, string>> = {
  'DUO:0000004': 'no restriction',
  'DUO:0000006': 'health or medical or biomedical research',
  'DUO:0000007': 'disease specific research',
  'DUO:0000042': 'general research use',
};

/** The case as a person reads it before deciding: who, why, what it may do, what may leave, and for whom. */
export function caseLines(
  shown: { hopId: string; opened: OpenedCase; state: string; reasons: string[]; log: string },
  output: Output,
): string[] {
  const { file, digest } = shown.opened;
  const { manifest, researcher } = file;
  const bold = (text: string): string => output.paint('bold', text);
  const limits = manifest.limits;
  return [
    bold(manifest.title),
    ...wrap(manifest.purpose.text),
    '',
    ...table(
      ['', ''],
      [
        ['hop', `${shown.hopId} (${shown.state})`],
        ['researcher', `${researcher.title} (${researcher.id}), ${researcher.organisation}`],
        ['uses', manifest.purpose.duo.map((code) => `${code} ${DUO_NAMES[code] ?? ''}`.trim()).join('; ')],
        ['dataset', `${file.dataset.id}, snapshot ${file.dataset.snapshotDigest.slice(0, 16)}…`],
        ['image', `${manifest.image.configDigest.slice(0, 16)}…, ${manifest.image.layers.length} layers`],
        [
          'may use',
          `${mib(limits.memoryBytesMax)} memory, ${limits.cpuMillis / 1000} CPU, ${limits.wallMsMax / 1000} s`,
        ],
        [
          'may return',
          `${manifest.outputs.kinds.join(', ')}; at most ${Math.ceil(limits.outputBytesMax / 1024)} KiB`,
        ],
        ['readable by', file.recipients.map(({ member }) => member).join(', ')],
        ['also visits', manifest.route.stops.filter((stop) => stop !== file.station).join(', ')],
        ['valid until', new Date(file.expiresMs).toISOString().slice(0, 16).replace('T', ' ')],
        ['case', `${digest.slice(0, 32)}…`],
      ],
    ).slice(2),
    '',
    bold('Parameters'),
    ...Object.entries(manifest.parameters).flatMap(([name, value]) =>
      wrap(`${name} = ${JSON.stringify(value)}`, 2),
    ),
    '',
    bold('Why it waits for you'),
    ...shown.reasons.flatMap((reason) => wrap(`- ${reason}`, 2)),
    ...(shown.log === '' ? [] : ['', bold('What the train printed'), ...shown.log.split('\n').slice(-40)]),
  ];
}

const mib = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;
