import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { loadKey } from '../adapters/home/keys.ts';
import { isDraft, readDraft, writeDraft } from '../adapters/home/network-draft.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { listWords } from '../journey/authority/list.ts';
import { rootWords } from '../journey/authority/root.ts';
import { type Envelope, keyIdOf, payloadOf, signersIn } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import { digestOf } from '../model/id.ts';
import { nameWarnings } from '../model/look-alike.ts';
import type { Network } from '../model/network.ts';
import {
  assertUnchanged,
  type DraftPart,
  keysOf,
  type NetworkDraft,
  type OpenDraft,
  openDraft,
  PART_WORDS,
  signaturesOf,
} from '../model/network-draft.ts';
import { cosignStatement } from '../model/statement.ts';
import type { Signer } from '../ports/signer.ts';
import { confirm } from './confirm.ts';
import { type Frame, passphrase } from './frame.ts';
import { type Authority, authorityIn } from './network-desk.ts';
import { CERTIFICATE_DAYS, isFounded, resumeFounding } from './network-found.ts';
import { takeOver } from './network-take-over.ts';
import { wrap } from './text.ts';

/** A draft on its way: each holder signs it, and the authority brings it into force. */

/** @throws PhtError as `openDraft`; `signature.invalid` for one that was changed */
function readSound(file: string): { draft: NetworkDraft; open: OpenDraft } {
  if (!isDraft(file, 'the draft'))
    throw new PhtError('input.malformed', `${file} is no draft of a root or of a list of members`, {
      hint: 'it takes the root-draft.json or members-draft.json that the authority sent',
    });
  const draft = readDraft(file);
  const open = openDraft(draft);
  assertUnchanged(open.parts);
  return { draft, open };
}

function assertTimely(frame: Frame, { expiresMs }: OpenDraft): void {
  if (frame.nowMs() < expiresMs) return;
  const day = new Date(expiresMs).toISOString().slice(0, 10);
  throw new PhtError('network.expired', `what this draft says would have ended on ${day} already`, {
    hint: 'the authority drafts it anew',
  });
}

/** `pht network sign`: one holder's signature under a draft. Works in any folder that has a key for it. */
export async function signDraft(frame: Frame, file: string, { yes }: { yes?: true }): Promise<void> {
  const { draft, open } = readSound(file);
  assertTimely(frame, open);
  const words = draftWords(open);
  if (yes !== true) await confirm(frame, [...words, ''], 'Sign it?');
  const signed = await signedBy(frame, draft, open.parts);
  writeDraft(file, signed.draft);
  const { keyIds } = signed;
  const parts = openDraft(signed.draft).parts;
  const complete = parts.every((part) => signaturesOf(part).isEnough);
  frame.output.result(
    {
      networkId: open.id,
      ...(open.root === null ? {} : { rootVersion: open.root.next.version }),
      ...(open.list === null ? {} : { version: open.list.next.networkVersion }),
      ...{ signed: keyIds, file, complete },
    },
    [
      ...(yes === true ? [...words.flatMap((line) => wrapped(line)), ''] : []),
      ...Object.keys(keyIds).map((role) => `signed the ${PART_WORDS[role as DraftPart['role']]}`),
      ...parts.map((part) => `  ${countWords(part)}`),
      `Next: send ${file} ${complete ? 'back to' : 'to the next holder'}`,
      ...(complete ? [`the authority: pht --home NET network import ${file}`] : []),
    ],
  );
}

/** Lines that are indented stay so. */
function wrapped(line: string): string[] {
  const indent = line.length - line.trimStart().length;
  return wrap(line.trimStart(), indent);
}

function countWords(part: DraftPart): string {
  const { signed, isEnough } = signaturesOf(part);
  const enough = isEnough ? 'enough' : 'more are needed';
  return `the ${PART_WORDS[part.role]} has ${signed} signature${signed === 1 ? '' : 's'}: ${enough}`;
}

/** @throws PhtError `signer.unknown`, `conflict` for a key that has signed already, `config.missing` */
async function signedBy(
  frame: Frame,
  draft: NetworkDraft,
  parts: readonly DraftPart[],
): Promise<{ draft: NetworkDraft; keyIds: Record<string, string> }> {
  const dir = frame.homeDir();
  const keyIds: Record<string, string> = {};
  let next = draft;
  let known = false;
  for (const part of parts) {
    if (!holdsKey(dir, part.role)) continue;
    const signer = createSigner(await loadKey(dir, part.role, passphrase));
    const { x } = signer.publicJwk;
    if (!keysOf(part.by).some((key) => key.x === x)) continue;
    known = true;
    if (signersIn(part.envelope, [signer.publicJwk]).size > 0) continue;
    next = withSignature(next, part, signer);
    keyIds[part.role] = keyIdOf(signer.publicJwk);
  }
  if (Object.keys(keyIds).length > 0) return { draft: next, keyIds };
  if (known)
    throw new PhtError('conflict', 'this key has signed the draft already: another holder has to', {
      hint: 'send it to the next holder, or back to the authority once enough have signed',
    });
  throw strangerTo(dir, parts);
}

const holdsKey = (dir: string, role: DraftPart['role']): boolean =>
  ['jwk', 'jwe'].some((kind) => existsSync(join(dir, 'keys', `${role}.${kind}`)));

function withSignature(draft: NetworkDraft, { role, envelope }: DraftPart, signer: Signer): NetworkDraft {
  const signed: Envelope = cosignStatement(envelope, signer);
  if (role === 'root') return { ...draft, root: signed };
  return { ...draft, list: { ...draft.list, next: signed } };
}

function strangerTo(dir: string, parts: readonly DraftPart[]): PhtError {
  const asked = parts.map(({ role }) => role);
  const held = (['root', 'members'] as const).filter((role) => holdsKey(dir, role));
  if (held.length === 0)
    return new PhtError('config.missing', `${dir} has no key that signs a draft`, {
      hint: `a holder's key is made with: ${asked.map((role) => `pht network ${role}-key`).join(', ')}`,
    });
  const takes = asked.map((role) => `a ${PART_WORDS[role]} is signed with a ${role} key`).join(', ');
  const what = held.some((role) => asked.includes(role))
    ? `the ${held.join(' and the ')} key of ${dir} is none of those that sign this draft`
    : `${dir} has a ${held.join(' and a ')} key, and ${takes}`;
  return new PhtError('signer.unknown', what, {
    hint: 'name with --home the folder of the key whose public half the authority was sent',
  });
}

function draftWords({ id, title, root, list }: OpenDraft): string[] {
  const rootLines = root === null ? [] : rootWords(root.next, root.before, id);
  if (list === null) return rootLines;
  const { members: spans, networkVersion } = list.next;
  const current = spans.filter(({ ended }) => ended === undefined);
  const network = { members: new Map(current.map((member) => [member.id, member])) };
  const added = current.filter(({ since }) => since === networkVersion);
  const warnings = added.flatMap((member) => nameWarnings(member, network));
  return [
    ...rootLines,
    ...listWords(list.next, { title, id, before: list.before }),
    ...warnings.map((each) => `Look closely: ${each}`),
  ];
}

/**
 * A draft that enough holders have signed by now: in force, with a word of freshness and certificates.
 *
 * @throws PhtError `signature.invalid` while too few have or when it was changed, `network.mismatch`, `network.rollback`,
 *   `network.expired`
 */
export async function importDraft(frame: Frame, file: string): Promise<Network> {
  const home = frame.openHome(['authority']);
  const { draft, open } = readSound(file);
  if (open.id !== home.member.networkId)
    throw new PhtError('network.mismatch', 'this draft is not of the network of this home');
  if (!isFounded(home)) {
    assertComplete(frame, open);
    return resumeFounding(home, draft, frame.nowMs());
  }
  const authority = authorityIn(home);
  if (isInForce(draft, authority)) return authority.network;
  assertNewer(open, authority);
  assertComplete(frame, open);
  return takeOver(frame, authority, draft, CERTIFICATE_DAYS);
}

function isInForce({ root, list }: NetworkDraft, { files, network }: Authority): boolean {
  const hasRoot = root === undefined || files.roots.at(-1)?.payload === root.payload;
  return hasRoot && (list === undefined || digestOf(payloadOf(list.next)) === network.digest);
}

/** @throws PhtError `network.rollback` */
function assertNewer({ root, list }: OpenDraft, { root: held, network }: Authority): void {
  const older = (what: string): PhtError =>
    new PhtError('network.rollback', `this draft is based on an older file: ${what}`, {
      hint: 'draft it anew, on top of what is in force now',
    });
  if (root !== null && root.next.version <= held.predicate.version)
    throw older(`root ${root.next.version} is not newer than the one in force`);
  if (list !== null && list.next.networkVersion <= network.version)
    throw older(`version ${list.next.networkVersion} of the list is not newer than the one in force`);
}

/** @throws PhtError `signature.invalid`, `network.expired` */
function assertComplete(frame: Frame, open: OpenDraft): void {
  assertTimely(frame, open);
  for (const part of open.parts) {
    const { isEnough } = signaturesOf(part);
    if (isEnough) continue;
    throw new PhtError('signature.invalid', `too few have signed: ${countWords(part)}`, {
      hint: 'a holder who has not signed yet runs: pht --home HIS network sign DRAFT',
    });
  }
}
