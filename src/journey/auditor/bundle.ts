import { PhtError } from '../../model/error.ts';

/** What one archive about one train holds; names of files in it are made and read here only. */
export type Bundle = {
  network: Uint8Array;
  logs: Map<string, BundledLog>;
  /** Envelopes of the manifest, orders, receipts and a cancellation. */
  statements: Uint8Array[];
  /** Stations' disclosures, opened by whoever made the bundle: signed envelopes. */
  disclosures: Uint8Array[];
};
export type BundledLog = {
  checkpoint: Uint8Array;
  proofs: Map<number, Uint8Array>;
  /** The same entries under earlier heads: they were on record before members left who signed what they name. */
  early: Map<number, Uint8Array>;
};

const SLUG = '[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?';
const CHECKPOINT = new RegExp(`^logs/(${SLUG})/checkpoint$`);
const PROOF = new RegExp(`^logs/(${SLUG})/(0|[1-9][0-9]{0,14})(\\.early)?\\.tlog-proof$`);
const STATEMENT = /^statements\/[0-9a-f]{64}\.json$/;
const DISCLOSURE = new RegExp(`^disclosures/${SLUG}\\.json$`);

export function newLog(checkpoint: Uint8Array): BundledLog {
  return { checkpoint, proofs: new Map(), early: new Map() };
}

/** @param digestOf names a statement by what it is */
export function filesOf(
  { network, logs, statements, disclosures }: Bundle,
  names: { statement(bytes: Uint8Array): string; disclosure(bytes: Uint8Array): string },
): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>([
    ['README.txt', Buffer.from(README)],
    ['network.json', network],
  ]);
  for (const [member, { checkpoint, proofs, early }] of logs) {
    files.set(`logs/${member}/checkpoint`, checkpoint);
    for (const [index, proof] of early) files.set(`logs/${member}/${index}.early.tlog-proof`, proof);
    for (const [index, proof] of proofs) files.set(`logs/${member}/${index}.tlog-proof`, proof);
  }
  for (const bytes of statements) files.set(`statements/${names.statement(bytes)}.json`, bytes);
  for (const bytes of disclosures) files.set(`disclosures/${names.disclosure(bytes)}.json`, bytes);
  return files;
}

/** @throws PhtError `input.malformed` for what a bundle does not have, or lacks */
export function bundleIn(files: ReadonlyMap<string, Uint8Array>): Bundle {
  const network = files.get('network.json');
  if (network === undefined) throw malformed('it has no network.json');
  const bundle: Bundle = { network, logs: new Map(), statements: [], disclosures: [] };
  const proofs: { member: string; index: number; early: boolean; bytes: Uint8Array }[] = [];
  for (const [name, bytes] of files) {
    if (name === 'README.txt' || name === 'network.json') continue;
    const member = CHECKPOINT.exec(name)?.[1];
    const proof = PROOF.exec(name);
    if (member !== undefined) bundle.logs.set(member, newLog(bytes));
    else if (proof !== null)
      proofs.push({ member: proof[1] ?? '', index: Number(proof[2]), early: proof[3] !== undefined, bytes });
    else if (STATEMENT.test(name)) bundle.statements.push(bytes);
    else if (DISCLOSURE.test(name)) bundle.disclosures.push(bytes);
    else throw malformed(`it has no place for ${name.slice(0, 100)}`);
  }
  for (const { member, index, early, bytes } of proofs.toSorted((a, b) => a.index - b.index)) {
    const log = bundle.logs.get(member);
    if (log === undefined) throw malformed(`it has proofs of the log of ${member}, and not its head`);
    (early ? log.early : log.proofs).set(index, bytes);
  }
  return bundle;
}

function malformed(why: string): PhtError {
  return new PhtError('input.malformed', `this is no bundle that can be read: ${why}`);
}

const README = `What this archive holds
=======================
Everything that is needed to check, without any network and without trusting
whoever gave it to you, what several members of a Personal Health Train network
put on record about one analysis (a "train").

network.json         who is a member, with which public keys. Its own id is the
                     SHA-256 of its root statement: ask the network's authority
                     for that id, on the telephone or on paper, and compare.
logs/MEMBER/checkpoint
                     the signed head of that member's ledger, with the
                     signatures of the witnesses who have seen it (C2SP
                     tlog-checkpoint, tlog-cosignature).
logs/MEMBER/N.tlog-proof
                     entry N of that ledger and the proof that it stands there
                     (C2SP tlog-proof; the "extra" line is the entry, in
                     base64).
logs/MEMBER/N.early.tlog-proof
                     the same entry under an earlier head: it was on record
                     before somebody left the network who signed what it names.
statements/          what was signed: the researcher's manifest, the
                     dispatcher's orders, the stations' receipts (in-toto
                     statements in DSSE envelopes). Results are not in it: the
                     receipts hold digests of the sealed results only.
disclosures/         what a station has opened of its decisions, if whoever made
                     the archive was asked to add it.

To check all of it:

    pht audit verify --bundle THIS-FILE --network-id ID

Each proof can be checked with other people's tools, too: with any reader of
C2SP tlog-proof and the public keys of network.json.

What it cannot show: that nothing was left out of the archive. An auditor with
the whole ledgers can (pht audit verify).
`;
