import { isAlias, isNode, isPair, isScalar, parseDocument, visit } from 'yaml';
import type { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import { check } from '../../model/schema.ts';
import { readBounded } from './files.ts';

const YAML_BYTES_MAX = 256 * 1024;
const DEPTH_MAX = 20;

/**
 * Reads one YAML 1.2 file that a person wrote: plain data only. Duplicate keys, anchors, aliases, tags and several
 * documents are refused, since each lets a reader see something else than the writer did.
 *
 * @throws PhtError `config.missing`, `config.invalid`, `input.too-large`, `input.malformed`
 */
export function readYaml<T>(schema: z.ZodType<T>, path: string, what: string): T {
  return parseYaml(schema, readBounded(path, YAML_BYTES_MAX, what), path);
}

export function parseYaml<T>(schema: z.ZodType<T>, bytes: Uint8Array, what: string): T {
  if (bytes.byteLength > YAML_BYTES_MAX) {
    throw new PhtError('input.too-large', `${what} is larger than ${YAML_BYTES_MAX} bytes`);
  }
  return check(schema, plainData(decode(bytes, what), what), what, 'config.invalid');
}

function decode(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new PhtError('config.invalid', `${what} is not UTF-8`, { cause });
  }
}

function plainData(text: string, what: string): unknown {
  const invalid = (why: string, cause?: unknown): PhtError =>
    new PhtError('config.invalid', `${what}: ${why.split('\n')[0]?.slice(0, 200) ?? ''}`, { cause });
  try {
    const document = parseDocument(text, { version: '1.2', schema: 'core', uniqueKeys: true, strict: true });
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem !== undefined) throw invalid(problem.message, problem);
    visit(document, (_key, node, path) => {
      if (path.length > 2 * DEPTH_MAX) throw invalid(`is nested deeper than ${DEPTH_MAX}`);
      if (isAlias(node)) throw invalid('aliases (*) are not allowed');
      if (isPair(node) && (!isScalar(node.key) || typeof node.key.value !== 'string')) {
        throw invalid('every key must be text');
      }
      if (isPair(node) && isScalar(node.key) && node.key.value === '__proto__')
        throw invalid('__proto__ is no setting');
      if (isNode(node) && 'anchor' in node && node.anchor !== undefined)
        throw invalid('anchors (&) are not allowed');
      if (isNode(node) && node.tag !== undefined) throw invalid('tags (!) are not allowed');
    });
    return document.toJS({ maxAliasCount: 0 }) as unknown;
  } catch (cause) {
    if (cause instanceof PhtError) throw cause;
    // Deep nesting ends the parser's own stack.
    throw invalid('cannot be read as YAML', cause);
  }
}
