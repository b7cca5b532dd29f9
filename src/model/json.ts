import { PhtError } from './error.ts';

export type JsonValue = null | boolean | number | string | JsonValue[] | { [key: string]: JsonValue };
export type JsonObject = { [key: string]: JsonValue };

export type JsonLimits = { bytesMax: number; depthMax?: number; what: string };

const DEPTH_MAX = 32;

/**
 * Parses JSON that a stranger wrote: valid UTF-8 without a byte order mark, at most `bytesMax` bytes, nested at most
 * `depthMax` deep, no duplicate keys (RFC 8259 section 4 leaves them undefined and JSON.parse keeps the last, which
 * lets two readers see two documents), no `__proto__`, only finite numbers, only whole characters.
 *
 * @throws PhtError `input.too-large` or `input.malformed`
 */
export function parseStrictJson(bytes: Uint8Array, limits: JsonLimits): JsonValue {
  const { bytesMax, what, depthMax = DEPTH_MAX } = limits;
  if (bytes.byteLength > bytesMax) {
    throw new PhtError(
      'input.too-large',
      `${what} has ${bytes.byteLength} bytes; at most ${bytesMax} are read`,
    );
  }
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new PhtError('input.malformed', `${what} is not UTF-8`, { cause });
  }
  // The scan bounds the depth before JSON.parse recurses.
  scan(text, depthMax, what);
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw new PhtError('input.malformed', `${what} is not valid JSON`, { cause });
  }
  assertSound(value, what);
  return value;
}

/** Walks the text once, outside strings counting depth and remembering each open object's keys. */
function scan(text: string, depthMax: number, what: string): void {
  const open: (Set<string> | null)[] = [];
  let expectKey = false;
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === '"') {
      const end = endOfString(text, at);
      const keys = open.at(-1);
      if (expectKey && keys) rememberKey(text.slice(at, end + 1), keys, what);
      expectKey = false;
      at = end;
    } else if (char === '{' || char === '[') {
      open.push(char === '{' ? new Set() : null);
      expectKey = char === '{';
      if (open.length > depthMax)
        throw new PhtError('input.malformed', `${what} is nested deeper than ${depthMax}`);
    } else if (char === '}' || char === ']') {
      open.pop();
      expectKey = false;
    } else if (char === ',') {
      expectKey = open.at(-1) instanceof Set;
    }
  }
}

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    if (text[at] === '\\') at++;
    else if (text[at] === '"') return at;
  }
  return text.length;
}

function rememberKey(literal: string, keys: Set<string>, what: string): void {
  let key: string;
  try {
    key = JSON.parse(literal) as string;
  } catch (cause) {
    throw new PhtError('input.malformed', `${what} is not valid JSON`, { cause });
  }
  if (keys.has(key))
    throw new PhtError('input.malformed', `${what} has the member ${JSON.stringify(key)} twice`);
  if (key === '__proto__') throw new PhtError('input.malformed', `${what} has a member named __proto__`);
  keys.add(key);
}

/** Lone surrogates have no UTF-8 form: two readers would see two strings (I-JSON, RFC 7493 section 2.1). */
function assertSound(value: JsonValue, what: string): void {
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new PhtError('input.malformed', `${what} has a number that is out of range`);
  }
  if (typeof value === 'string') assertWellFormed(value, what);
  if (value === null || typeof value !== 'object') return;
  if (!Array.isArray(value)) for (const key of Object.keys(value)) assertWellFormed(key, what);
  for (const member of Array.isArray(value) ? value : Object.values(value)) assertSound(member, what);
}

function assertWellFormed(text: string, what: string): void {
  if (!text.isWellFormed()) throw new PhtError('input.malformed', `${what} has a broken character`);
}
