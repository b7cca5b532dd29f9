import { formatNote, type NoteSignature, parseNote } from '../../src/model/ledger/note.ts';
import { parseTlogProof } from '../../src/model/ledger/proof.ts';
import {
  base64,
  bytesOf,
  type Claim,
  type ConsistencyClaim,
  type HeadClaim,
  type InclusionClaim,
  type LogClaims,
  type ReceiptClaim,
} from './claims.ts';

/** Every n-th byte of each file of text is changed once; n shares no factor with the length of a line. */
const STEP_BYTES = 5;

/** The same claims, and beside each the wrong ones that are nearest to it. */
export function addWrongClaims(log: LogClaims): LogClaims {
  const { heads, inclusions, consistencies, receipts } = log;
  return {
    ...log,
    heads: [...heads, ...heads.flatMap((head) => wrongHeads(head, heads))],
    inclusions: [...inclusions, ...inclusions.flatMap((claim) => wrongInclusions(claim, heads))],
    consistencies: [...consistencies, ...consistencies.flatMap((claim) => wrongConsistencies(claim, heads))],
    receipts: [...receipts, ...receipts.flatMap((claim) => wrongReceipts(claim, heads, receipts))],
  };
}

function wrong<T extends Claim>(right: T, what: string, change: Partial<T>): T {
  return { ...right, ...change, label: `${right.label}, ${what}`, holds: false };
}

function wrongHeads(head: HeadClaim, heads: readonly HeadClaim[]): HeadClaim[] {
  const note = parseNote(bytesOf(head.note));
  const [own, ...witnesses] = note.signatures;
  const [first] = witnesses;
  if (own === undefined || first === undefined) throw new Error(`${head.label} lacks a signature`);
  const signed = (signatures: readonly NoteSignature[]): string =>
    base64(Buffer.from(formatNote({ text: note.text, signatures })));
  const others = heads.filter(({ size }) => size !== head.size);
  return [
    ...flipped(bytesOf(head.note)).map(([at, bytes]) =>
      wrong(head, `byte ${at} changed`, { note: base64(bytes) }),
    ),
    wrong(head, 'cosigned by one witness only', { note: signed([own, first]) }),
    wrong(head, 'without the log', { note: signed(witnesses) }),
    wrong(head, 'signed twice by one witness', { note: signed([own, first, first]) }),
    ...others.flatMap((other) => {
      const theirs = parseNote(bytesOf(other.note));
      return [
        wrong(head, `that of ${other.size} instead`, { note: other.note }),
        wrong(head, `with the signatures of ${other.size}`, { note: signed(theirs.signatures) }),
        // In front: Go does not look at a second line of the same key.
        wrong(head, `with a cosignature of ${other.size} in front`, {
          note: signed([own, ...theirs.signatures.slice(-1), ...witnesses]),
        }),
      ];
    }),
  ];
}

function wrongInclusions(claim: InclusionClaim, heads: readonly HeadClaim[]): InclusionClaim[] {
  const { index, size, hashes } = claim;
  const under = (at: number): InclusionClaim => wrong(claim, `at index ${at}`, { index: at });
  return [
    wrong(claim, 'another leaf', { leafHash: flip(claim.leafHash, 31) }),
    wrong(claim, 'another root', { root: flip(claim.root, 0) }),
    under(index + 1),
    ...(index > 0 ? [under(index - 1)] : []),
    ...wrongPaths(hashes).map(([what, path]) => wrong(claim, what, { hashes: path })),
    ...heads
      .filter((head) => head.size !== size)
      .map((head) => wrong(claim, `under ${head.size}`, { size: head.size, root: head.root })),
  ];
}

function wrongConsistencies(claim: ConsistencyClaim, heads: readonly HeadClaim[]): ConsistencyClaim[] {
  const { sizeBefore, rootBefore, size, root, hashes } = claim;
  return [
    wrong(claim, 'another old root', { rootBefore: flip(rootBefore, 0) }),
    wrong(claim, 'another new root', { root: flip(root, 31) }),
    wrong(claim, 'the other way round', {
      sizeBefore: size,
      rootBefore: root,
      size: sizeBefore,
      root: rootBefore,
    }),
    ...wrongPaths(hashes).map(([what, path]) => wrong(claim, what, { hashes: path })),
    ...heads
      .filter((head) => head.size !== size && head.size !== sizeBefore)
      .flatMap((head) => [
        wrong(claim, `to ${head.size} instead`, { size: head.size, root: head.root }),
        wrong(claim, `from ${head.size} instead`, { sizeBefore: head.size, rootBefore: head.root }),
      ]),
  ];
}

function wrongReceipts(
  claim: ReceiptClaim,
  heads: readonly HeadClaim[],
  receipts: readonly ReceiptClaim[],
): ReceiptClaim[] {
  const file = bytesOf(claim.file);
  const text = file.toString();
  const { index, checkpoint } = parseTlogProof(file);
  const other = receipts.find(({ entry }) => entry !== claim.entry);
  const changed = (what: string, to: string): ReceiptClaim =>
    wrong(claim, what, { file: base64(Buffer.from(to)) });
  return [
    // One receipt of each log is enough for this: their parts are the same.
    ...(claim === receipts.at(-1) ? flipped(file) : []).map(([at, bytes]) =>
      wrong(claim, `byte ${at} changed`, { file: base64(bytes) }),
    ),
    changed('next index', text.replace(`\nindex ${index}\n`, `\nindex ${index + 1}\n`)),
    changed('without its entry', text.replace(/\nextra .*\n/, '\n')),
    ...(other === undefined ? [] : [changed('with another entry', text.replace(claim.entry, other.entry))]),
    ...heads
      .filter((head) => bytesOf(head.note).toString() !== checkpoint)
      .map((head) =>
        changed(
          `under ${head.size}`,
          text.replace(checkpoint, () => bytesOf(head.note).toString()),
        ),
      ),
  ];
}

function wrongPaths(hashes: readonly string[]): [string, string[]][] {
  const last = hashes.at(-1);
  return [
    ...hashes.map((hash, at): [string, string[]] => [
      `hash ${at} changed`,
      hashes.with(at, flip(hash, at % 32)),
    ]),
    ['a hash more', [...hashes, last ?? base64(new Uint8Array(32))]],
    ...(last === undefined ? [] : [['a hash less', hashes.slice(0, -1)] satisfies [string, string[]]]),
  ];
}

function flip(text: string, at: number): string {
  const bytes = bytesOf(text);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  return base64(bytes);
}

/** The lowest bit turned over, and then the highest, which no longer is UTF-8. */
function flipped(bytes: Uint8Array): [number, Uint8Array][] {
  const places = [...bytes.keys()].filter((at) => at % STEP_BYTES === 0 && !holdsSpareBits(bytes, at));
  return places.flatMap((at) =>
    [0x01, 0x80].map((mask): [number, Uint8Array] => [at, turned(bytes, at, mask)]),
  );
}

function turned(bytes: Uint8Array, at: number, mask: number): Uint8Array {
  const copy = Uint8Array.from(bytes);
  copy[at] = (bytes[at] ?? 0) ^ mask;
  return copy;
}

/** The last bits before the padding of base64 say nothing: Go does not look at them, and we insist on zeros. */
function holdsSpareBits(bytes: Uint8Array, at: number): boolean {
  return bytes[at] !== 0x3d && bytes[at + 1] === 0x3d;
}
