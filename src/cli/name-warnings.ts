import { nameWarnings } from '../model/look-alike.ts';
import type { Network } from '../model/network.ts';
import { wrap } from './text.ts';

/** What a person has to be told of how members are called before anything else of them is read. */

/** @param ids of the members that are shown; those whom the network does not know have no name to warn of */
export function warningsFor(ids: Iterable<string>, network: Network): string[] {
  return [...new Set(ids)].flatMap((id) => {
    const member = network.members.get(id);
    return member === undefined ? [] : nameWarnings(member, network);
  });
}

export function warningLines(warnings: readonly string[]): string[] {
  return warnings.flatMap((warning) => wrap(`Look closely: ${warning}`));
}
