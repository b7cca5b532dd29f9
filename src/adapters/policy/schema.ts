import { readFileSync } from 'node:fs';
import { PhtError } from '../../model/error.ts';
import { digestOf } from '../../model/id.ts';

/** What a station's policy can speak about, from the one file that admins read too: `stations/policies/pht.cedarschema`. */

const PATH = new URL('../../../stations/policies/pht.cedarschema', import.meta.url);

export type PolicySchema = { text: string; name: string };

let read: PolicySchema | undefined;

/** @returns the schema, and a name that is of its content, for Cedar's cache @throws PhtError `config.missing` */
export function policySchema(): PolicySchema {
  read ??= schemaAt(PATH);
  return read;
}

function schemaAt(path: URL): PolicySchema {
  try {
    const text = readFileSync(path, 'utf8');
    return { text, name: `schema:${digestOf(text)}` };
  } catch (cause) {
    throw new PhtError('config.missing', "the schema of policies is missing from this program's own files", {
      cause,
      hint: 'install pht again',
    });
  }
}
