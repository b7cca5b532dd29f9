import { setImmediate as turn } from 'node:timers/promises';
import { commitmentsIn } from '../../model/commitment.ts';
import { type Disclosure, type Opening, verifyDisclosureRequest } from '../../model/disclosure.ts';
import { encodeEnvelope, parseEnvelope } from '../../model/dsse.ts';
import { PhtError } from '../../model/error.ts';
import { type Digest, digestOf, type HopId, type TrainId } from '../../model/id.ts';
import { decodeEntry, type LedgerEntry } from '../../model/ledger/entry.ts';
import { memberOf } from '../../model/network.ts';
import { signStatement } from '../../model/statement.ts';
import type { Ledger, LedgerRows } from '../../ports/ledger.ts';
import type { Sealer, Signer } from '../../ports/signer.ts';
import type { StationArchive } from '../../ports/station-archive.ts';
import type { StationLog } from '../../ports/station-store.ts';
import type { Station } from './stages.ts';

export type DisclosePorts = {
  archive: StationArchive;
  ledgerRows: Pick<LedgerRows, 'size' | 'read'>;
  ledger: Pick<Ledger, 'covered'>;
  log: Pick<StationLog, 'append'>;
  signer: Signer;
  sealer: Sealer;
};

/** A statement of 768 KiB is the most that its reader takes. */
const STATEMENT_BYTES_MAX = 767 * 1024;
const BATCH_ENTRIES = 1024;

/**
 * Opens one train's decisions to one auditor, at an admin's signed word: policy texts, requests, answers, salts and
 * persons' clearances, signed by the station and sealed to the auditor's key in the pinned network. It leaves only when a
 * signed checkpoint covers its own entry.
 *
 * @throws PhtError as `verifyDisclosureRequest`; `signer.unknown` for who is no auditor, `recipient.unknown` for one
 *   without a key, `not-found` for a train that left nothing here, `input.too-large`
 */
export async function disclose(
  request: Uint8Array,
  station: Station,
  ports: DisclosePorts,
): Promise<{ jwe: Uint8Array; hops: number; erased: number }> {
  const network = station.network();
  const at = { network, station: station.id, nowMs: station.clock.nowMs() };
  const { issuer, to, trainId } = verifyDisclosureRequest(
    parseEnvelope(request, 'disclosure request'),
    at,
  ).predicate;
  const key = memberOf(network, to, 'auditor').keys.encryption;
  if (key === undefined) {
    throw new PhtError('recipient.unknown', `the network file has no encryption key of ${to}`);
  }
  const ledgerSize = ports.ledgerRows.size();
  const { found, withdrawn } = await entriesOf(trainId, ledgerSize, ports.ledgerRows);
  const manifestDigest = found[0]?.entry.manifestDigest ?? null;
  if (manifestDigest === null) throw new PhtError('not-found', `${trainId} has left nothing in this ledger`);

  const hops = hopsOf(found, ports.archive);
  addWithdrawals(hops, withdrawn, ports.archive);
  const predicate: Disclosure = {
    networkId: network.id,
    networkVersion: network.version,
    issuer: station.id,
    trainId,
    to,
    ledgerSize,
    policies: policiesOf(hops, ports.archive),
    hops,
    issuedAtMs: at.nowMs,
  };
  const subject = { name: 'manifest', digest: manifestDigest };
  const { envelope } = signStatement('disclosure', subject, predicate, ports.signer);
  const jwe = await ports.sealer.seal(sealable(encodeEnvelope(envelope)), [key]);
  const about = { issuer, to, trainId, manifestDigest };
  await recorded(about, digestOf(jwe), station, ports);
  const erased = hops.flatMap(({ openings }) => openings).filter((opening) => 'erased' in opening).length;
  return { jwe, hops: hops.length, erased };
}

type Found = { index: number; entry: LedgerEntry & { hopId: HopId } };

/** A ledger can have millions of entries, and the station has trains to run meanwhile. */
async function entriesOf(
  trainId: TrainId,
  size: number,
  rows: Pick<LedgerRows, 'read'>,
): Promise<{ found: Found[]; withdrawn: Withdrawn[] }> {
  const found: Found[] = [];
  const withdrawn: Withdrawn[] = [];
  for (let first = 0; first < size; first += BATCH_ENTRIES) {
    for (const [at, bytes] of rows.read(first, Math.min(size, first + BATCH_ENTRIES)).entries()) {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      if (!text.includes(trainId) && !text.includes('clearance.withdrawn')) continue;
      const entry = decodeEntry(bytes);
      const { hopId } = entry;
      if (entry.type === 'clearance.withdrawn') withdrawn.push({ index: first + at, entry });
      if (entry.trainId === trainId && hopId !== null)
        found.push({ index: first + at, entry: { ...entry, hopId } });
    }
    await turn();
  }
  return { found, withdrawn };
}

type Withdrawn = { index: number; entry: LedgerEntry };

/** That a clearance was taken back is about no train; it is shown with each that ran by it. */
function addWithdrawals(
  hops: Disclosure['hops'],
  withdrawn: readonly Withdrawn[],
  archive: StationArchive,
): void {
  for (const { index, entry } of withdrawn) {
    const place = commitmentsIn(entry).find(({ name }) => name === 'withdrawnCommitment');
    const opening = place && openingOf({ index, ...place }, archive);
    if (opening === undefined || 'erased' in opening) continue;
    for (const { openings } of hops) {
      const isOf = (each: Opening): boolean =>
        CLEARANCE.has(each.name) && 'value' in each && each.value === opening.value;
      if (openings.some(isOf)) openings.push(opening);
    }
  }
}

function hopsOf(found: readonly Found[], archive: StationArchive): Disclosure['hops'] {
  const hops = new Map<HopId, Disclosure['hops'][number]>();
  for (const { index, entry } of found) {
    const hop = hops.get(entry.hopId) ?? { hopId: entry.hopId, decisions: [], openings: [], clearances: [] };
    hops.set(entry.hopId, hop);
    if (entry.type === 'policy.decided') hop.decisions.push(decisionOf(index, entry));
    for (const { name, commitment } of commitmentsIn(entry)) {
      hop.openings.push(openingOf({ index, name, commitment }, archive));
    }
    if (entry.type === 'clearance.recorded' || entry.type === 'clearance.standing')
      hop.clearances.push(...clearancesOf(hop, index, archive));
  }
  return [...hops.values()];
}

function decisionOf(index: number, { body }: LedgerEntry): Disclosure['hops'][number]['decisions'][number] {
  const textOf = (name: string): string | null => {
    const value = body[name];
    return typeof value === 'string' ? value : null;
  };
  return {
    index,
    policyDigest: textOf('policyDigest') ?? '',
    requestCommitment: textOf('requestCommitment'),
    answerCommitment: textOf('answerCommitment'),
  };
}

function openingOf(
  place: { index: number; name: string; commitment: string },
  archive: StationArchive,
): Opening {
  const opening = archive.opening(place.commitment);
  if (opening === null) return { ...place, erased: true };
  return { ...place, salt: Buffer.from(opening.salt).toString('hex'), value: opening.value };
}

const CLEARANCE: ReadonlySet<string> = new Set([
  'clearanceCommitment',
  'secondClearanceCommitment',
  'approvalCommitment',
]);

/** The digest of a clearance stands in the entry as a commitment; what several entries speak of is shown once. */
function clearancesOf(
  { openings, clearances }: Disclosure['hops'][number],
  index: number,
  archive: StationArchive,
): string[] {
  return openings.flatMap((opening) => {
    if (opening.index !== index || !CLEARANCE.has(opening.name) || 'erased' in opening) return [];
    const envelope = archive.clearance(opening.value);
    const text = envelope === null ? null : Buffer.from(envelope).toString('utf8');
    return text === null || clearances.includes(text) ? [] : [text];
  });
}

function policiesOf(hops: Disclosure['hops'], archive: StationArchive): Disclosure['policies'] {
  const digests = new Set(hops.flatMap(({ decisions }) => decisions.map(({ policyDigest }) => policyDigest)));
  return [...digests].flatMap((digest) => {
    const text = archive.policy(digest);
    return text === null ? [] : [{ digest, text }];
  });
}

function sealable(envelope: Uint8Array): Uint8Array {
  const bytesMax = Math.floor((STATEMENT_BYTES_MAX * 4) / 3);
  if (envelope.byteLength <= bytesMax) return envelope;
  throw new PhtError(
    'input.too-large',
    `what this station has of the train takes ${envelope.byteLength} bytes; a disclosure holds ${bytesMax}`,
  );
}

async function recorded(
  about: { issuer: string; to: string; trainId: TrainId; manifestDigest: Digest },
  jweDigest: Digest,
  { commitments, clock }: Station,
  { log, ledger }: Pick<DisclosePorts, 'log' | 'ledger'>,
): Promise<void> {
  const { issuer, to, trainId, manifestDigest } = about;
  const body = {
    toCommitment: commitments.commit(to, [to]),
    byCommitment: commitments.commit(issuer, [issuer]),
    jweDigest,
  };
  const head = { trainId, manifestDigest, hopId: null, attempt: null, epoch: null, prev: null };
  const size = log.append([{ type: 'disclosure.made', ...head, body }], clock.nowMs());
  await ledger.covered(size);
}
