import { networkPath } from '../adapters/home/network-file.ts';
import { type ListChange, nextList } from '../journey/authority/list.ts';
import { signMembers } from '../journey/authority/sign.ts';
import type { Frame } from './frame.ts';
import { type Authority, DAY_MS, nextMs, roleSigner } from './network-desk.ts';
import { givenOutLines, giveOut } from './network-give-out.ts';
import { type Outcome, settle, waitingLines } from './network-take-over.ts';

/**
 * The next list of members, the word that it is the newest, and certificates for whoever needs one; or its draft, where
 * further holders of members keys have to sign it first.
 */
export async function issueList(
  frame: Frame,
  authority: Authority,
  change: ListChange,
  days: { expires: number; certificate: number },
): Promise<Outcome> {
  const { home, files, network, root } = authority;
  const issuedAtMs = nextMs(frame, network);
  const list = nextList(network, change, issuedAtMs);
  const issue = { networkId: network.id, rootVersion: root.predicate.version, issuer: home.member.id };
  const expiresMs = issuedAtMs + days.expires * DAY_MS;
  const signer = await roleSigner(home, 'members', root.predicate);
  const times = { issuedAtMs, expiresMs, previousDigest: network.digest };
  const { envelope: next } = signMembers(list, { ...issue, ...times }, [signer]);
  const draft = { roots: files.roots, list: { before: files.members, next } };
  return settle(frame, authority, draft, days.certificate);
}

/** What each command that changes the list ends with; hands the file out where that was asked for and there is one. */
export async function concluded(
  authority: Authority,
  outcome: Outcome,
  options: { giveOut?: true },
): Promise<{ json: object; lines: string[] }> {
  const { home, network } = authority;
  if ('draft' in outcome) {
    const { draft } = outcome;
    return {
      json: { networkId: network.id, version: network.version, inForce: false, draft, givenOut: [] },
      lines: waitingLines(home, draft),
    };
  }
  const { id: networkId, version } = outcome.network;
  const networkFile = networkPath(home);
  const givenOut = options.giveOut === true ? await giveOut(authority) : [];
  return {
    json: { networkId, version, inForce: true, networkFile, givenOut },
    lines: [
      `Next: give ${networkFile} (version ${version}) to every member: pht network import FILE`,
      ...givenOutLines(givenOut),
    ],
  };
}
