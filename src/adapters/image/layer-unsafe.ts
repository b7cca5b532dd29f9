import { isUtf8 } from 'node:buffer';
import { PhtError } from '../../model/error.ts';

/** Why a layer goes to no engine, and its files cannot be told with certainty. */
export function unsafe(why: string, cause?: unknown): PhtError {
  return new PhtError('image.unsafe', `a layer of the image is refused: ${why}`, { cause });
}

export function shown(name: string): string {
  return JSON.stringify(name.slice(0, 120));
}

/** @throws PhtError `image.unsafe`: two readers would show two names */
export function utf8(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw unsafe('it has a name that is not UTF-8');
  return bytes.toString('utf8');
}
