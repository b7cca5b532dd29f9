import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { templateOf } from '../adapters/home/config-template.ts';
import { assertNoHome, createHome } from '../adapters/home/create.ts';
import { writeAtomic } from '../adapters/home/files.ts';
import {
  type Ed25519PrivateJwk,
  encryptedByDefault,
  generateKey,
  publicOf,
  storeKey,
} from '../adapters/home/keys.ts';
import type { MemberFile } from '../adapters/home/member.ts';
import { rootDraftPath, writeDraft } from '../adapters/home/network-draft.ts';
import { storeNetwork } from '../adapters/home/network-file.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { createAuthority } from '../adapters/wire/certificates.ts';
import { signRoot } from '../journey/authority/sign.ts';
import type { Envelope } from '../model/dsse.ts';
import { keyIdOf } from '../model/dsse.ts';
import type { Digest } from '../model/id.ts';
import { type NetworkDraft, openDraft, signaturesOf } from '../model/network-draft.ts';
import type { RoleKeys } from '../model/network-statements.ts';
import { openNetwork } from '../model/open-network.ts';
import { check, ShortText } from '../model/schema.ts';
import type { Frame } from './frame.ts';
import { warnUnencrypted } from './init.ts';
import { BACKDATE_MS, DAY_MS, parseDays } from './network-desk.ts';
import { foundingFiles, foundingList } from './network-found.ts';
import { type RoleOptions, roleKeysFrom } from './network-role-key.ts';
import { waitingLines } from './network-take-over.ts';
import { newPassphrase } from './passphrase.ts';

/** `pht network init`: the authority's home, with the root that everything else is pinned to. */

const AUTHORITY_ID = 'authority';
/** It is replaced by hand (`rotate tls-authority`), so it outlives many roots. */
const TLS_AUTHORITY_DAYS = 20 * 365;
const USES = ['root', 'members', 'freshness', 'tls-authority', 'statement', 'tls'] as const;

export type NetworkInitOptions = RoleOptions & {
  title: string;
  organisation?: string;
  rootExpiresDays: string;
  freshnessDays: string;
  passphrase: boolean;
};
type Keys = Record<(typeof USES)[number], Ed25519PrivateJwk>;
type Holders = Record<'root' | 'members', RoleKeys>;

export async function initNetwork(frame: Frame, options: NetworkInitOptions): Promise<void> {
  const dir = frame.homeDir();
  assertNoHome(dir);
  const title = check(ShortText, options.title, '--title', 'usage.invalid');
  const organisation = check(ShortText, options.organisation ?? title, '--organisation', 'usage.invalid');
  const nowMs = frame.nowMs();
  const rootDays = parseDays('--root-expires-days', options.rootExpiresDays);
  const freshnessDays = parseDays('--freshness-days', options.freshnessDays, 7);
  const keys: Keys = {
    root: generateKey('root'),
    members: generateKey('members'),
    freshness: generateKey('freshness'),
    'tls-authority': generateKey('tls-authority'),
    statement: generateKey('statement'),
    tls: generateKey('tls'),
  };
  const holders: Holders = {
    root: roleKeysFrom('root', publicOf(keys.root), options),
    members: roleKeysFrom('members', publicOf(keys.members), options),
  };
  if (!options.passphrase) warnUnencrypted(frame, dir);
  const passphrase = options.passphrase ? await newPassphrase(process) : null;
  const root = await firstRoot(title, keys, holders, {
    nowMs,
    expiresMs: nowMs + rootDays * DAY_MS,
    freshnessMsMax: freshnessDays * DAY_MS,
  });
  const member: MemberFile = {
    ...{ v: 1, id: AUTHORITY_ID, role: 'authority', title, organisation },
    networkId: root.digest,
  };
  const first: NetworkDraft = {
    roots: [],
    root: root.envelope,
    list: { next: foundingList(root, member, keys, nowMs) },
  };
  const complete = openDraft(first).parts.every((part) => signaturesOf(part).isEnough);
  await createHome(dir, async (draft) => {
    mkdirSync(join(draft, 'keys'), { mode: 0o700 });
    for (const use of USES)
      await storeKey(draft, use, keys[use], encryptedByDefault('authority', use) ? passphrase : null);
    writeAtomic(join(draft, 'member.json'), `${JSON.stringify(member, null, 2)}\n`);
    writeAtomic(join(draft, 'config.yaml'), templateOf('authority', 'localhost:7443') ?? '');
    if (!complete) return writeDraft(rootDraftPath({ dir: draft }), first);
    // Everybody may read it, but the home is closed: handing it out is a deliberate copy.
    const files = await foundingFiles(first, member.id, keys, nowMs);
    storeNetwork(draft, files, openNetwork(files, root.digest));
  });
  tell(frame, { dir, title, id: root.digest, keys, sealed: passphrase !== null, complete });
}

async function firstRoot(
  title: string,
  keys: Keys,
  holders: Holders,
  times: { nowMs: number; expiresMs: number; freshnessMsMax: number },
): Promise<{ envelope: Envelope; digest: Digest }> {
  const { nowMs, expiresMs, freshnessMsMax } = times;
  const tlsAuthority = await newTlsAuthority(title, keys['tls-authority'], nowMs);
  const predicate = {
    ...{ networkId: null, version: 1, previousDigest: null, title, freshnessMsMax },
    // One key alone: a timer signs with it.
    roles: { ...holders, freshness: { keys: [publicOf(keys.freshness)], threshold: 1 } },
    tlsAuthorities: [tlsAuthority],
    issuedAtMs: nowMs,
    expiresMs,
  };
  return signRoot(predicate, [createSigner(keys.root)]);
}

/** @returns its certificate, DER in base64 */
export function newTlsAuthority(title: string, keys: Ed25519PrivateJwk, nowMs: number): Promise<string> {
  const validity = {
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: nowMs + TLS_AUTHORITY_DAYS * DAY_MS,
  };
  return createAuthority({ title, keys, ...validity });
}

function tell(
  frame: Frame,
  told: { dir: string; title: string; id: string; keys: Keys; sealed: boolean; complete: boolean },
): void {
  const { dir, title, id, keys, sealed, complete } = told;
  const rootFile = join(dir, 'keys', sealed ? 'root.jwe' : 'root.jwk');
  const networkFile = join(dir, 'network.json');
  const draft = rootDraftPath({ dir });
  frame.output.result(
    {
      ...{ home: dir, networkId: id, version: complete ? 1 : 0, rootKeyId: keyIdOf(keys.root) },
      ...(complete ? { networkFile } : { rootDraft: draft }),
      offline: [rootFile],
    },
    [
      `founded ${title} in ${dir}`,
      `  id  ${id}`,
      '',
      'Tell that id to every member by another way than the file: it is what they pin.',
      `Take ${rootFile} offline, twice: two media, two places, then delete it here.`,
      'It is needed only for pht network rotate; whoever has it can replace every other key.',
      ...(complete
        ? [`Next: give out ${networkFile}; members make their homes with pht init.`]
        : waitingLines({ dir }, draft)),
    ],
  );
}
