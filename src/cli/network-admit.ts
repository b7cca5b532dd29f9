import { X509Certificate } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { readBounded } from '../adapters/home/files.ts';
import { KEY_USES, loadKey } from '../adapters/home/keys.ts';
import {
  currentNetwork,
  importNetwork,
  networkPath,
  readNetworkFile,
} from '../adapters/home/network-file.ts';
import { issueCertificate } from '../adapters/wire/certificates.ts';
import { parseEnvelope, payloadOf } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import { Enrolment, type Member, type Network, type Witnessing } from '../model/network.ts';
import { readStatement, verifyStatement } from '../model/statement.ts';
import { defaultWitnessing } from '../model/witnessing.ts';
import { type Frame, passphrase, signerOf } from './frame.ts';
import { DAY_MS, parseDays, signMembers } from './network-sign.ts';
import { keyIds, memberView } from './network-view.ts';

/** `pht network admit`: from self-signed enrolments to the next version of the network file. */

const ENROLMENT_BYTES_MAX = 64 * 1024;
const BACKDATE_MS = 5 * 60_000;

export type AdmitOptions = { expiresDays: string };

/**
 * Checks every enrolment before the root key is touched; one that does not hold admits nobody. Members that are known
 * already get a renewed file where it, or a certificate in it, is in the second half of its life.
 *
 * @throws PhtError `signature.invalid`, `network.mismatch`, `network.invalid`, `conflict`, `passphrase.required`
 */
export async function admit(frame: Frame, paths: readonly string[], options: AdmitOptions): Promise<void> {
  const home = frame.openHome(['authority']);
  const days = parseDays(options.expiresDays);
  const network = currentNetwork(home);
  const added: Member[] = [];
  for (const path of paths) {
    const enrolment = readEnrolment(path, network);
    if (isNew(enrolment, [...network.members.values(), ...added])) added.push(memberOf(enrolment));
  }
  assertStationsExist([...network.members.values(), ...added]);
  const nowMs = frame.nowMs();
  const validity = { notBeforeMs: nowMs - BACKDATE_MS, notAfterMs: nowMs + days * DAY_MS };
  if (added.length === 0 && !isDue(network, validity)) {
    frame.output.result({ networkId: network.id, version: network.version, admitted: [] }, [
      `all of them are members already; the network file stays at version ${network.version}`,
    ]);
    return;
  }
  const root = await signerOf(home, 'root');
  const authority = await loadKey(home.dir, 'tls-authority', passphrase);
  const certify = (member: Member): Promise<Member> => certified(member, network, authority, validity);
  const members = await Promise.all([...network.members.values(), ...added].map(certify));
  const version = network.version + 1;
  const list = {
    networkId: network.id,
    version,
    issuer: home.member.id,
    members,
    witnessing: nextWitnessing(network, members),
    issuedAtMs: nowMs,
  };
  const envelope = signMembers({ ...list, expiresMs: validity.notAfterMs }, root);
  // The authority takes its own file over like everybody else: what it could not import it does not give out.
  importNetwork(home, { root: readNetworkFile(networkPath(home)).root, members: envelope });
  frame.output.result(
    { networkId: network.id, version, admitted: added.map(memberView), networkFile: networkPath(home) },
    admittedLines(added, { version, path: networkPath(home), expiresMs: validity.notAfterMs }),
  );
}

/** The signature proves that the sender holds the statement key; who the sender is, a person checks. */
function readEnrolment(path: string, network: Network): Enrolment {
  const bytes = readBounded(path, ENROLMENT_BYTES_MAX, 'the enrolment');
  const envelope = parseEnvelope(bytes, path);
  const claimed = readStatement('enrolment', Enrolment, payloadOf(envelope));
  const { predicate } = verifyStatement('enrolment', Enrolment, envelope, [claimed.predicate.keys.statement]);
  if (predicate.networkId !== network.id) {
    throw new PhtError('network.mismatch', `${path} asks for admission to another network`);
  }
  const held = Object.entries(predicate.keys).flatMap(([use, jwk]) => (jwk === undefined ? [] : [use]));
  const needed: readonly string[] = KEY_USES[predicate.role];
  if (held.length !== needed.length || held.some((use) => !needed.includes(use))) {
    throw new PhtError(
      'network.invalid',
      `${path}: a ${predicate.role} has the keys ${needed.join(', ')} and no others`,
    );
  }
  return predicate;
}

/** @returns false for the very same enrolment again */
function isNew(enrolment: Enrolment, members: readonly Member[]): boolean {
  const { member: id, role, keys } = enrolment;
  const known = members.find((member) => member.id === id);
  if (known === undefined) return true;
  const mine = keyIds(keys);
  const theirs = keyIds(known.keys);
  if (known.role === role && Object.keys(theirs).every((use) => theirs[use] === mine[use])) return false;
  throw new PhtError(
    'conflict',
    `${id} is a member already, with other keys or in another role; nobody was admitted`,
    {
      hint: 'find out who sent this enrolment; a new member takes a new id',
    },
  );
}

function memberOf({ member: id, role, title, organisation, station, keys }: Enrolment): Member {
  return { id, role, title, organisation, ...(station === undefined ? {} : { station }), keys };
}

function assertStationsExist(members: readonly Member[]): void {
  for (const { id, role, station } of members) {
    if ((role === 'admin') !== (station !== undefined)) {
      throw new PhtError('network.invalid', `${id}: an admin, and nobody else, names a station`);
    }
    if (station === undefined || members.some((other) => other.id === station && other.role === 'station'))
      continue;
    throw new PhtError(
      'network.invalid',
      `${id} wants to govern ${station}, which is not a station of this network`,
      {
        hint: 'admit the station first, or both in one command',
      },
    );
  }
}

type Validity = { notBeforeMs: number; notAfterMs: number };

const halfwayOf = ({ notBeforeMs, notAfterMs }: Validity): number => (notBeforeMs + notAfterMs) / 2;

/** Grows with the network, unless the authority has set the witnesses by hand. */
function nextWitnessing(network: Network, members: readonly Member[]): Witnessing {
  const untouched = defaultWitnessing([...network.members.values()]);
  return isDeepStrictEqual(network.witnessing, untouched) ? defaultWitnessing(members) : network.witnessing;
}

/** Whether the file or a certificate ends in the first half of what a new one would live. */
function isDue(network: Network, validity: Validity): boolean {
  if (network.expiresMs <= halfwayOf(validity)) return true;
  return [...network.members.values()].some((member) => needsCertificate(member, validity));
}

function needsCertificate({ keys, tlsCertificate }: Member, validity: Validity): boolean {
  if (keys.tls === undefined) return false;
  if (tlsCertificate === undefined) return true;
  const { validToDate } = new X509Certificate(Buffer.from(tlsCertificate, 'base64'));
  return validToDate.getTime() <= halfwayOf(validity);
}

/** A certificate that would end in the first half of the new file's life is issued anew. */
async function certified(
  member: Member,
  network: Network,
  authorityKeys: Parameters<typeof issueCertificate>[0]['authority']['keys'],
  validity: Validity,
): Promise<Member> {
  const { keys } = member;
  if (keys.tls === undefined || !needsCertificate(member, validity)) return member;
  const authority = { certificate: network.tlsAuthority, keys: authorityKeys };
  const request = { authority, networkId: network.id, memberId: member.id, publicJwk: keys.tls };
  return { ...member, tlsCertificate: await issueCertificate({ ...request, ...validity }) };
}

function admittedLines(
  added: readonly Member[],
  { version, path, expiresMs }: { version: number; path: string; expiresMs: number },
): string[] {
  const lines: string[] = [];
  for (const { id, role, title, organisation, station, keys } of added) {
    lines.push(
      `admitted ${role} ${id}${station === undefined ? '' : ` of ${station}`}: ${title}, ${organisation}`,
    );
    for (const [use, keyId] of Object.entries(keyIds(keys))) lines.push(`  ${use.padEnd(10)} ${keyId}`);
  }
  lines.push(
    ...(added.length === 0
      ? [`nobody is new; the network file is renewed until ${new Date(expiresMs).toISOString().slice(0, 10)}`]
      : ['', 'Compare each fingerprint with what the member reads out to you.']),
  );
  lines.push(`Next: give ${path} (version ${version}) to every member: pht network import FILE`);
  return lines;
}
