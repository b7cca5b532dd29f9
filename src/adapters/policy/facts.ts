import type { CedarValueJson, Context, EntityJson, TypeAndId } from '@cedar-policy/cedar-wasm/nodejs';
import type { PolicyFacts } from '../../ports/policy.ts';

/** The verified facts as Cedar's request. Strings go in as data and are never part of any policy text. */

export type Request = { principal: TypeAndId; resource: TypeAndId; context: Context; entities: EntityJson[] };

export function requestOf(facts: PolicyFacts): Request {
  const { nowMs, station, dispatcher, dataset, researcher, train } = facts;
  const { imageConfigDigest, imageLists, expiresMs, lifetimeMs, wallMsMax, recipients, ...same } = train;
  const principal = { type: 'Researcher', id: researcher.id };
  const image = { type: 'Image', id: imageConfigDigest };
  return {
    principal,
    resource: { type: 'Dataset', id: dataset },
    entities: [
      {
        uid: principal,
        attrs: { organisation: researcher.organisation },
        parents: researcher.lists.map(listNamed),
      },
      { uid: image, attrs: {}, parents: imageLists.map(listNamed) },
    ],
    context: {
      now: datetime(nowMs),
      station,
      dispatcher,
      train: {
        ...same,
        image: { __entity: image },
        recipients: recipients.map((id) => ({ __entity: { type: 'Researcher', id } })),
        expires: datetime(expiresMs),
        lifetime: duration(lifetimeMs),
        wallTimeMax: duration(wallMsMax),
      },
    },
  };
}

function listNamed(id: string): TypeAndId {
  return { type: 'List', id };
}

/** Years 0 to 9999 are Cedar's; a RangeError or Cedar's own refusal beyond them becomes a deny in `decide`. */
function datetime(ms: number): CedarValueJson {
  return { __extn: { fn: 'datetime', arg: new Date(ms).toISOString() } };
}

function duration(ms: number): CedarValueJson {
  return { __extn: { fn: 'duration', arg: `${ms}ms` } };
}

const SHOWN_MAX = 120;

/** A fact as a person reads it, bounded, with nothing that could reshape the line it stands in. */
export function shown(value: CedarValueJson): string {
  return plain(worded(value), SHOWN_MAX);
}

export function plain(line: string, charsMax: number): string {
  const text = line.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '�');
  return text.length > charsMax ? `${text.slice(0, charsMax - 1)}…` : text;
}

function worded(value: CedarValueJson): string {
  if (Array.isArray(value))
    return `[${value.slice(0, 20).map(worded).join(', ')}${value.length > 20 ? ', …' : ''}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const { __entity: entity, __extn: extension } = value as {
    __entity?: TypeAndId;
    __extn?: { fn: string; arg: string };
  };
  if (entity !== undefined) return `${entity.type}::${JSON.stringify(entity.id)}`;
  if (extension?.fn === 'duration') return `duration("${inLargestUnit(Number.parseInt(extension.arg, 10))}")`;
  if (extension !== undefined) return `${extension.fn}(${JSON.stringify(extension.arg)})`;
  return '{…}';
}

function inLargestUnit(ms: number): string {
  const units = [
    ['d', 86_400_000],
    ['h', 3_600_000],
    ['m', 60_000],
    ['s', 1000],
  ] as const;
  const [unit, length] = units.find(([, each]) => ms !== 0 && ms % each === 0) ?? ['ms', 1];
  return `${ms / length}${unit}`;
}
