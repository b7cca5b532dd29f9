import { PhtError } from '../../model/error.ts';
import { formatAddCheckpoint, parseCosignatures, parseSize } from '../../model/ledger/add-checkpoint.ts';
import { type NoteSignature, parseNote } from '../../model/ledger/note.ts';
import { isSignedBy, type NoteKey, signatureTimeS } from '../../model/ledger/vkey.ts';
import { isKey } from '../../model/past-keys.ts';
import type { LedgerTree, SignedHead } from '../../ports/ledger.ts';
import type { WitnessAnswer } from '../../ports/witness.ts';

/** What one witness made of one checkpoint. `size` is what it has cosigned last, as far as it says. */
export type Asked =
  | { kind: 'cosigned'; line: NoteSignature; timeS: number }
  /** It has cosigned more than this checkpoint covers. */
  | { kind: 'ahead'; size: number }
  /** It says that the ledger contradicts what it has cosigned. */
  | { kind: 'contradicted' }
  | { kind: 'refused'; why: string };

export type Question = {
  /** Of the witness: its line may bear any of them. */
  keys: readonly NoteKey[];
  head: SignedHead;
  tree: Pick<LedgerTree, 'consistency'>;
  /** What the witness is known to have cosigned last; 0 where nothing is known. */
  sizeBefore: number;
  send: (body: Uint8Array) => Promise<WitnessAnswer>;
};

/**
 * Asks one witness to cosign one checkpoint; status 409 teaches where it stands, and it is asked once more from there.
 *
 * @throws PhtError whatever `send` throws
 */
export async function ask(question: Question): Promise<Asked> {
  const first = await askFrom(question, question.sizeBefore);
  if (first.kind !== 'elsewhere') return first;
  const second = await askFrom(question, first.size);
  if (second.kind !== 'elsewhere') return second;
  return { kind: 'refused', why: 'it names another size each time' };
}

async function askFrom(
  { keys, head, tree, send }: Question,
  sizeBefore: number,
): Promise<Asked | { kind: 'elsewhere'; size: number }> {
  const hashes = await tree.consistency(sizeBefore, head.size);
  const checkpoint = Buffer.from(head.text).toString();
  const answer = await send(formatAddCheckpoint({ sizeBefore, hashes, checkpoint }));
  switch (answer.status) {
    case 200:
      return cosignatureIn(answer.body, parseNote(checkpoint).text, keys);
    case 409: {
      const size = readOrNull(() => parseSize(answer.body));
      if (size === null) return { kind: 'refused', why: 'its answer is malformed' };
      return size > head.size ? { kind: 'ahead', size } : { kind: 'elsewhere', size };
    }
    case 422:
      return { kind: 'contradicted' };
    default:
      return { kind: 'refused', why: `it answered with status ${answer.status}` };
  }
}

/** The witness's line over exactly this text; lines of other keys are ignored (C2SP tlog-witness). */
function cosignatureIn(body: Uint8Array, text: string, keys: readonly NoteKey[]): Asked {
  const lines = readOrNull(() => parseCosignatures(body));
  if (lines === null) return { kind: 'refused', why: 'its answer is malformed' };
  const key = keys.findLast((candidate) => lines.some((signed) => isKey(signed, candidate)));
  const line = key === undefined ? undefined : lines.find((signed) => isKey(signed, key));
  if (key === undefined || line === undefined) return { kind: 'refused', why: 'its key has not signed' };
  if (!isSignedBy(key, text, line.signature))
    return { kind: 'refused', why: 'its cosignature is not over this checkpoint' };
  // Zero is no time: such a cosignature says nothing about when (C2SP tlog-cosignature).
  const timeS = signatureTimeS(line.signature);
  if (timeS === null || timeS === 0) return { kind: 'refused', why: 'its cosignature has no time' };
  return { kind: 'cosigned', line, timeS };
}

function readOrNull<T>(read: () => T): T | null {
  try {
    return read();
  } catch (thrown) {
    if (thrown instanceof PhtError && thrown.code === 'ledger.invalid') return null;
    throw thrown;
  }
}
