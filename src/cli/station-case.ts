import type { OpenedCase } from '../journey/admin/case.ts';
import { type HopState, isSealed } from '../model/hop.ts';
import type { Member, Network } from '../model/network.ts';
import type { RESULT_KINDS } from '../model/train.ts';
import type { Output } from './output.ts';
import { wrap } from './text.ts';

const DUO_NAMES: Readonly<Record<string, string>> = {
  'DUO:0000004': 'no restriction',
  'DUO:0000006': 'health or medical or biomedical research',
  'DUO:0000007': 'disease specific research',
  'DUO:0000011': 'population origins or ancestry research only',
  'DUO:0000018': 'not for profit, non commercial use only',
  'DUO:0000019': 'publication required',
  'DUO:0000020': 'collaboration required',
  'DUO:0000021': 'ethics approval required',
  'DUO:0000022': 'geographical restriction',
  'DUO:0000024': 'publication moratorium',
  'DUO:0000025': 'time limit on use',
  'DUO:0000026': 'user specific restriction',
  'DUO:0000027': 'project specific restriction',
  'DUO:0000028': 'institution specific restriction',
  'DUO:0000029': 'return to database or resource',
  'DUO:0000045': 'not for profit organisation use only',
  'DUO:0000046': 'non-commercial use only',
  'DUO:0000042': 'general research use',
};

const KIND_NAMES: Readonly<Record<(typeof RESULT_KINDS)[number], string>> = {
  Frequencies: 'counts',
  LinearAggregations: 'means and standard deviations',
  StatisticalHypothesisTests: 'log-rank tests (U and V)',
};

/** The case as a person reads it before deciding: who, why, what it may do, what may leave, and for whom. */
export function caseLines(
  shown: {
    hopId: string;
    opened: OpenedCase;
    state: string;
    reasons: string[];
    log: string;
    network?: Pick<Network, 'members'>;
  },
  output: Output,
): string[] {
  const { file, digest } = shown.opened;
  const { manifest, researcher, dispatcher } = file;
  const titled = titlesIn(shown.network);
  const bold = (text: string): string => output.paint('bold', text);
  const { limits, route, outputs } = manifest;
  const ended = isSealed(shown.state as HopState);
  const waiting = shown.state === 'awaiting-clearance';
  const floor = outputs.minCellCount === undefined ? '' : `, no count below ${outputs.minCellCount}`;
  const facts: readonly (readonly [string, string])[] = [
    ['hop', `${shown.hopId} (${shown.state})`],
    ['researcher', memberText(researcher)],
    ['signed on', minuteOf(manifest.issuedAtMs)],
    [
      'uses',
      manifest.purpose.duo.map((code) => `${code} ${DUO_NAMES[code] ?? ''}`.trim()).join('; ') || 'none said',
    ],
    [
      'dataset',
      ended ? file.dataset.id : `${file.dataset.id}, snapshot ${file.dataset.snapshotDigest.slice(0, 16)}…`,
    ],
    // Whole, to be copied into lists.yaml.
    ['image', `${manifest.image.layers.length} layers, ${manifest.image.configDigest}`],
    [
      'may use',
      `${mib(limits.memoryBytesMax)} memory, ${limits.cpuMillis / 1000} CPU, ${limits.wallMsMax / 1000} s; no network`,
    ],
    [
      'may return',
      `${outputs.kinds.map((kind) => KIND_NAMES[kind]).join('; ')}${floor}; at most ${Math.ceil(limits.outputBytesMax / 1024)} KiB`,
    ],
    ['readable by', readersOf(file, titled)],
    ['also visits', route.stops.filter((stop) => stop !== file.station).join(', ') || 'no other station'],
    ['pooled', manifest.combine ? "by the train itself, on the researcher's machine" : 'no'],
    ['sent by', memberText(dispatcher)],
    ['valid until', minuteOf(file.expiresMs)],
    ...(ended ? [] : [['case', digest.slice(0, 32)] as const]),
  ];
  const parameters = Object.entries(manifest.parameters);
  return [
    bold(manifest.title),
    ...wrap(manifest.purpose.text),
    '',
    ...facts.flatMap(([name, value]) => hanging(name.padEnd(NAME_COLUMNS), value)),
    '',
    bold('Parameters'),
    ...(parameters.length === 0 ? ['  none'] : []),
    ...parameters.flatMap(([name, value]) => hanging(`  ${name} = `, JSON.stringify(value))),
    '',
    bold(waiting ? 'Why it waits for you' : 'What the policy said'),
    ...(shown.reasons.length === 0 ? ['  nothing: the train did not come that far'] : []),
    ...shown.reasons.flatMap((reason) => hanging('  - ', reason)),
    ...(shown.log === '' ? [] : ['', bold('What the train printed'), ...printedLines(shown.log)]),
  ];
}

const NAME_COLUMNS = 13;
const PRINTED_LINES_MAX = 40;

/** Marked on each line, so that a train cannot print what looks like a part of this page. */
function printedLines(log: string): string[] {
  return log
    .trimEnd()
    .split('\n')
    .slice(-PRINTED_LINES_MAX)
    .map((line) => `  | ${line}`);
}

/** Wrapped words under their name. */
function hanging(name: string, value: string): string[] {
  const [first = '', ...rest] = wrap(value, name.length);
  return [`${name}${first.trimStart()}`, ...rest];
}

/** `person` where one natural person has several accounts. */
function memberText({ id, title, organisation, person }: Member): string {
  return `${title} (${id}), ${organisation}${person === undefined ? '' : `; person ${person}`}`;
}

/** How a member is called; by the id alone where the network file does not know it. */
export function titlesIn(network: Pick<Network, 'members'> | undefined): (member: string) => string {
  return (id) => {
    const member = network?.members.get(id);
    return member === undefined ? id : `${member.title} (${id})`;
  };
}

function readersOf(
  { recipients, researcher }: OpenedCase['file'],
  titled: (member: string) => string,
): string {
  const ids = recipients.map(({ member }) => member);
  return ids.length === 1 && ids[0] === researcher.id
    ? `${researcher.title} (${researcher.id}) alone`
    : ids.map(titled).join('; ');
}

export const minuteOf = (timeMs: number): string =>
  `${new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

const mib = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;
