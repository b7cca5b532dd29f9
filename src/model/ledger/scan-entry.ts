import type { Digest, HopId, TrainId } from '../id.ts';

/** What an entry says, before anybody asks what its type means. */
export interface ScannedEntry<Type extends string> {
  readonly v: 1;
  readonly ts: number;
  readonly type: Type;
  readonly trainId: TrainId | null;
  readonly hopId: HopId | null;
  readonly attempt: number | null;
  readonly epoch: number | null;
  readonly manifestDigest: Digest | null;
  readonly actor: string;
  readonly prev: { readonly origin: string; readonly index: number; readonly leafHash: Digest } | null;
  readonly body: Readonly<Record<string, ScannedValue>>;
}
type ScannedValue = string | number | boolean | readonly string[];

// Printable ASCII that JSON never escapes, and numbers that are exact whatever their digits.
const PLAIN = String.raw`[ !#-\[\]-~]`;
const COUNT = '(0|[1-9][0-9]{0,14})';
const NAME = `"(${PLAIN}{1,200})"`;
// Spelt out, since counting takes longer.
const hex = (digits: number): string => '[0-9a-f]'.repeat(digits);
const DIGEST = `"(${hex(64)})"`;
const ID = hex(24);

const TOP = '{"v":1,"ts":';
const TYPE = ',"type":"';
const BODY = ',"body":{';
/** From behind the type to the body. Without two ways to match anything: linear in the bytes. */
const MIDDLE = new RegExp(
  `^","trainId":(?:null|"(trn_${ID})"),"hopId":(?:null|"(hop_${ID})")` +
    `,"attempt":(?:null|${COUNT}),"epoch":(?:null|${COUNT}),"manifestDigest":(?:null|${DIGEST})` +
    `,"actor":${NAME},"prev":(?:null|\\{"origin":${NAME},"index":${COUNT},"leafHash":${DIGEST}\\})${BODY}$`,
);
const LIST = String.raw`\[(?:"${PLAIN}*"(?:,"${PLAIN}*")*)?\]`;
const MEMBER = new RegExp(
  `"([a-z][A-Za-z0-9]{0,63})":(?:"(${PLAIN}*)"|(0|-?[1-9][0-9]{0,14})|(true|false)|(${LIST}))([,}])`,
  'y',
);

const [ZERO, NINE, BRACE] = [0x30, 0x39, 0x7d];
const COUNT_DIGITS_MAX = 15;
/** A quote, and a comma or brace. */
const BEHIND_LINE = 2;

type Middle = Omit<ScannedEntry<string>, 'v' | 'ts' | 'type' | 'body'>;

/** The last middle that was read: entries of one hop follow each other, and differ only before and behind it. */
let recent: { text: string; value: Middle } | null = null;

/**
 * Reads an entry that has the one canonical spelling and nothing out of the ordinary in it, many times as fast as a
 * parser of any JSON. What it reads is exactly what the strict way reads.
 *
 * @returns null for everything else, which may be fine all the same: escapes, letters beyond ASCII, numbers of 16
 *   digits. The caller reads that the strict way, which also says what is wrong.
 */
export function scanEntry<Type extends string>(
  bytes: Uint8Array,
  types: ReadonlyMap<string, Type>,
): ScannedEntry<Type> | null {
  const buffer = bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const text = buffer.toString('latin1');
  if (!text.startsWith(TOP)) return null;
  let at = TOP.length;
  let ts = 0;
  for (let digit = text.charCodeAt(at); digit >= ZERO && digit <= NINE; digit = text.charCodeAt(++at)) {
    ts = ts * 10 + digit - ZERO;
  }
  const digits = at - TOP.length;
  const isCount = digits === 1 || (digits <= COUNT_DIGITS_MAX && text.charCodeAt(TOP.length) !== ZERO);
  if (digits === 0 || !isCount || !text.startsWith(TYPE, at)) return null;
  at += TYPE.length;
  const typeEnd = text.indexOf('"', at);
  const type = typeEnd < 0 ? undefined : types.get(text.slice(at, typeEnd));
  if (type === undefined) return null;
  const middle = scanMiddle(buffer, text, typeEnd);
  if (middle === null) return null;
  const body: Record<string, ScannedValue> = {};
  const bodyEnd = scanBody(buffer, text, typeEnd + middle.text.length, body);
  if (bodyEnd !== text.length - 1 || text.charCodeAt(bodyEnd) !== BRACE) return null;
  const { trainId, hopId, attempt, epoch, manifestDigest, actor, prev } = middle.value;
  return { v: 1, ts, type, trainId, hopId, attempt, epoch, manifestDigest, actor, prev, body };
}

function scanMiddle(buffer: Buffer, text: string, start: number): typeof recent {
  // Faster than startsWith, which goes letter by letter.
  if (recent !== null && text.slice(start, start + recent.text.length) === recent.text) return recent;
  // No name can hold a quote, so the first is the one.
  const end = text.indexOf(BODY, start) + BODY.length;
  // A string of its own, since a piece of a string would keep the whole entry in memory.
  const own = buffer.toString('latin1', start, Math.max(start, end));
  const match = MIDDLE.exec(own);
  if (match === null) return null;
  const [trainId, hopId, attempt, epoch, manifestDigest] = [match[1], match[2], match[3], match[4], match[5]];
  const [actor = '', origin, index, leafHash] = [match[6], match[7], match[8], match[9]];
  const value: Middle = {
    trainId: (trainId ?? null) as TrainId | null,
    hopId: (hopId ?? null) as HopId | null,
    attempt: attempt === undefined ? null : Number(attempt),
    epoch: epoch === undefined ? null : Number(epoch),
    manifestDigest: (manifestDigest ?? null) as Digest | null,
    actor,
    prev: origin === undefined ? null : { origin, index: Number(index), leafHash: leafHash as Digest },
  };
  recent = { text: own, value };
  return recent;
}

/** @returns where the body ends, or -1 */
function scanBody(buffer: Buffer, text: string, start: number, body: Record<string, ScannedValue>): number {
  if (text.charCodeAt(start) === BRACE) return start + 1;
  let last = '';
  MEMBER.lastIndex = start;
  for (;;) {
    const member = MEMBER.exec(text);
    if (member === null) return -1;
    const name = member[1] ?? '';
    // Sorted, which also means that none stands there twice.
    if (name <= last) return -1;
    last = name;
    body[name] = valueIn(member, buffer, MEMBER.lastIndex - BEHIND_LINE);
    if (member[6] === '}') return MEMBER.lastIndex;
  }
}

/** @param end of the value, if it is a line */
function valueIn([, , line, count, flag, list]: RegExpExecArray, buffer: Buffer, end: number): ScannedValue {
  // Taken from the bytes: whoever holds on to a piece of a string holds on to the whole.
  if (line !== undefined) return buffer.toString('latin1', end - line.length, end);
  if (count !== undefined) return Number(count);
  return flag === undefined ? (JSON.parse(list ?? '') as string[]) : flag === 'true';
}
