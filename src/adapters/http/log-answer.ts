import { PhtError } from '../../model/error.ts';
import { parseTilePath, type Tile } from '../../model/ledger/tile.ts';
import type { ShownLogs } from '../../ports/mirror.ts';

/** What one request for a ledger is answered with. */
export type LogAnswer = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
};

export type LogPlace = {
  networkId: string;
  logs: ShownLogs;
  /** Whether caches that many share may keep what is served. */
  isPublic: boolean;
};

const URL_CHARS_MAX = 300;
const PATH = /^\/([0-9a-f]{64})\/([a-z0-9][a-z0-9-]{0,62})\/(checkpoint|past-heads|tile\/[a-z0-9/.]{1,100})$/;
const TEXT = 'text/plain; charset=utf-8';
/** A tile never changes; a year is as long as caches are asked to keep anything. */
const FOR_EVER = 'max-age=31536000, immutable';

/**
 * `/<network id>/<member>/checkpoint` and `…/tile/…` (C2SP tlog-tiles): the prefix is the ledger's origin without its
 * host; and `…/past-heads`, which other tools do not ask for. One spelling of each path, no query, and no tile beyond the published checkpoint.
 */
export async function answerTo(method: string, url: string, place: LogPlace): Promise<LogAnswer> {
  if (method !== 'GET' && method !== 'HEAD')
    return refusal(405, 'only GET and HEAD are answered here', { allow: 'GET, HEAD' });
  if (url.length > URL_CHARS_MAX) return refusal(414, 'the address is too long');
  const [, networkId, member = '', path = ''] = PATH.exec(url) ?? [];
  if (networkId !== place.networkId) return missing();
  if (path === 'checkpoint') {
    const checkpoint = place.logs.checkpoint(member);
    return checkpoint === null ? missing() : found(checkpoint, TEXT, 'no-cache');
  }
  if (path === 'past-heads') {
    const heads = place.logs.pastHeads(member);
    return heads === null ? missing() : found(heads, TEXT, 'no-cache');
  }
  const tile = tileOf(path);
  const bytes = tile === null ? null : await place.logs.tile(member, tile);
  if (bytes === null) return missing();
  return found(bytes, 'application/octet-stream', `${place.isPublic ? 'public' : 'private'}, ${FOR_EVER}`);
}

function tileOf(path: string): Tile | null {
  try {
    return parseTilePath(path);
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'ledger.invalid') return null;
    throw thrown;
  }
}

const found = (body: Uint8Array, type: string, cache: string): LogAnswer => ({
  status: 200,
  headers: { 'content-type': type, 'cache-control': cache },
  body,
});

const missing = (): LogAnswer => refusal(404, 'there is no such part of a ledger here');

function refusal(status: number, text: string, more: Record<string, string> = {}): LogAnswer {
  const headers = { 'content-type': TEXT, 'cache-control': 'no-store', ...more };
  return { status, headers, body: Buffer.from(`${text}\n`) };
}
