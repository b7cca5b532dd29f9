import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { assertNoHome, createHome } from '../adapters/home/create.ts';
import { writeAtomic } from '../adapters/home/files.ts';
import { type Ed25519PrivateJwk, generateKey, publicOf, storeKey } from '../adapters/home/keys.ts';
import type { MemberFile } from '../adapters/home/member.ts';
import { type NetworkFiles, storeNetwork } from '../adapters/home/network-file.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { createAuthority } from '../adapters/wire/certificates.ts';
import { keyIdOf } from '../model/dsse.ts';
import type { Digest } from '../model/id.ts';
import type { Member, Network } from '../model/network.ts';
import { RootPredicate } from '../model/network-statements.ts';
import { openNetwork } from '../model/open-network.ts';
import { check, ShortText } from '../model/schema.ts';
import { signStatement } from '../model/statement.ts';
import type { Frame } from './frame.ts';
import { warnUnencrypted } from './init.ts';
import { DAY_MS, parseDays, signMembers } from './network-sign.ts';
import { newPassphrase } from './passphrase.ts';

/** `pht network init`: the authority's home, with the root key that everything else is pinned to. */

const AUTHORITY_ID = 'authority';
/** The TLS authority is pinned by the root statement and cannot be replaced, so it outlives every network file. */
const TLS_AUTHORITY_MS = 20 * 365 * DAY_MS;
/** Members' clocks may lag (protocol, section 8). */
const BACKDATE_MS = 5 * 60_000;

export type NetworkInitOptions = {
  title: string;
  organisation?: string;
  expiresDays: string;
  passphrase: boolean;
};
type AuthorityKeys = {
  root: Ed25519PrivateJwk;
  'tls-authority': Ed25519PrivateJwk;
  statement: Ed25519PrivateJwk;
};

export async function initNetwork(frame: Frame, options: NetworkInitOptions): Promise<void> {
  const dir = frame.homeDir();
  assertNoHome(dir);
  const title = check(ShortText, options.title, '--title', 'usage.invalid');
  const organisation = check(ShortText, options.organisation ?? title, '--organisation', 'usage.invalid');
  const expiresMs = frame.nowMs() + parseDays(options.expiresDays) * DAY_MS;
  if (!options.passphrase) warnUnencrypted(frame, dir);
  const passphrase = options.passphrase ? await newPassphrase(process) : null;
  const keys = {
    root: generateKey('root'),
    'tls-authority': generateKey('tls-authority'),
    statement: generateKey('statement'),
  };
  const files = await found({ title, organisation, nowMs: frame.nowMs(), expiresMs }, keys);
  const network = openNetwork(files, null);
  await createHome(dir, (draft) =>
    writeHome(draft, { title, organisation, network, files, keys, passphrase }),
  );
  frame.output.result(
    { home: dir, networkId: network.id, version: network.version, networkFile: join(dir, 'network.json') },
    [
      `founded ${title} in ${dir}`,
      `  id  ${network.id}`,
      '',
      'Tell that id to every member by another way than the file: it is what they pin.',
      'Keep this home offline; it is needed only to admit members.',
      `Next: give out ${join(dir, 'network.json')}; members make their homes with pht init.`,
    ],
  );
}

async function found(
  request: { title: string; organisation: string; nowMs: number; expiresMs: number },
  keys: AuthorityKeys,
): Promise<NetworkFiles> {
  const { title, organisation, nowMs, expiresMs } = request;
  const rootJwk = publicOf(keys.root);
  const signer = createSigner(keys.root);
  const tlsAuthority = await createAuthority({
    title,
    keys: keys['tls-authority'],
    notBeforeMs: nowMs - BACKDATE_MS,
    notAfterMs: nowMs + TLS_AUTHORITY_MS,
  });
  const predicate = { version: 1, title, keys: [rootJwk], tlsAuthority, createdAtMs: nowMs };
  const subject = { name: 'root key', digest: keyIdOf(rootJwk) as Digest };
  const root = signStatement('root', subject, check(RootPredicate, predicate, 'the root statement'), signer);
  const authority: Member = {
    id: AUTHORITY_ID,
    role: 'authority',
    title,
    organisation,
    keys: { statement: publicOf(keys.statement) },
  };
  const members = signMembers(
    {
      networkId: root.digest,
      version: 1,
      issuer: AUTHORITY_ID,
      members: [authority],
      witnessing: { quorum: 'none' },
      issuedAtMs: nowMs,
      expiresMs,
    },
    signer,
  );
  return { root: root.envelope, members };
}

async function writeHome(
  draft: string,
  content: {
    title: string;
    organisation: string;
    network: Network;
    files: NetworkFiles;
    keys: AuthorityKeys;
    passphrase: string | null;
  },
): Promise<void> {
  const { title, organisation, network, files, keys, passphrase } = content;
  mkdirSync(join(draft, 'keys'), { mode: 0o700 });
  for (const use of ['root', 'tls-authority', 'statement'] as const) {
    await storeKey(draft, use, keys[use], passphrase);
  }
  const member: MemberFile = {
    v: 1,
    id: AUTHORITY_ID,
    role: 'authority',
    title,
    organisation,
    networkId: network.id,
  };
  writeAtomic(join(draft, 'member.json'), `${JSON.stringify(member, null, 2)}\n`);
  // Everybody may read it, but the home is closed: handing it out is a deliberate copy.
  storeNetwork(draft, files, network);
}
