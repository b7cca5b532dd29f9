import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { templateOf } from '../adapters/home/config-template.ts';
import { assertNoHome, createHome } from '../adapters/home/create.ts';
import { writeAtomic } from '../adapters/home/files.ts';
import {
  encryptedByDefault,
  generateKey,
  KEY_USES,
  type KeyUse,
  publicOf,
  storeKey,
} from '../adapters/home/keys.ts';
import { MemberFile } from '../adapters/home/member.ts';
import { readNetworkFile, storeNetwork } from '../adapters/home/network-file.ts';
import { createSigner } from '../adapters/signer/ed25519.ts';
import { createRequest } from '../adapters/wire/certificates.ts';
import { encodeEnvelope, keyIdOf } from '../model/dsse.ts';
import { PhtError } from '../model/error.ts';
import type { MemberKeys, Network, Role } from '../model/network.ts';
import { Enrolment } from '../model/network-statements.ts';
import { openNetwork } from '../model/open-network.ts';
import { check } from '../model/schema.ts';
import { signStatement } from '../model/statement.ts';
import type { Frame } from './frame.ts';
import { newPassphrase } from './passphrase.ts';
import { listsTemplate, type Preset, presetText } from './station-policy-presets.ts';

/** `pht init`: a new member's home, with keys that were made here and an enrolment to send to the authority. */

const INIT_ROLES = ['researcher', 'admin', 'auditor', 'dispatcher', 'station'] as const;

export type InitOptions = {
  role: Exclude<Role, 'authority'>;
  id: string;
  title: string;
  organisation: string;
  network: string;
  station?: string;
  person?: string;
  dispatcher: string;
  passphrase: boolean;
  /** A station's first policy; `closed` where it names none. */
  policy?: Preset;
};

const EXAMPLES = `
Example:
  $ pht --home ana init --role researcher --id ana --title 'Ana Sol' \\
        --organisation 'University X' --network network.json
  Then send ana/enrolment.json to the network authority, who admits it with
  'pht network admit' and sends the new network file back: pht network import.`;

export function register(program: Command, frame: Frame): void {
  const command = program.command('init').summary("make a member's home with its keys");
  command
    .description("Makes a member's home: keys, the pinned network, and an enrolment for the authority.")
    .addOption(new Option('--role <role>', 'what the member is').choices(INIT_ROLES).makeOptionMandatory());
  addMemberOptions(command)
    .option('--station <id>', 'the station that an admin governs')
    .addHelpText('after', EXAMPLES)
    .action((options: InitOptions) => initMember(frame, options));
}

/** What `pht init` and `pht station init` share. */
export function addMemberOptions(command: Command): Command {
  return command
    .requiredOption('--id <id>', 'short and lower case, unique in the network')
    .requiredOption('--title <text>', 'a name for people')
    .requiredOption('--organisation <text>', 'whom the member belongs to')
    .option('--person <id>', 'the natural person behind it, the same for every id of his (default: --id)')
    .requiredOption('--network <file>', 'the network file, as the authority gave it')
    .option(
      '--dispatcher <address>',
      "the dispatcher's host:port; for a dispatcher: where it listens",
      'localhost:7443',
    )
    .option('--no-passphrase', 'store the private keys in clear');
}

/** @throws PhtError `home.exists`, `usage.invalid`, `passphrase.required`, and what the network file may cause */
export async function initMember(frame: Frame, options: InitOptions): Promise<void> {
  const dir = frame.homeDir();
  assertNoHome(dir);
  const files = readNetworkFile(options.network);
  const network = openNetwork(files, null);
  const member = memberFrom(options, network);
  const config = templateOf(member.role, options.dispatcher);
  const encrypted = KEY_USES[member.role].some((use) => encryptedByDefault(member.role, use));
  if (encrypted && !options.passphrase) warnUnencrypted(frame, dir);
  const passphrase = encrypted && options.passphrase ? await newPassphrase(process) : null;
  let fingerprint = '';
  await createHome(dir, async (draft) => {
    mkdirSync(join(draft, 'keys'), { mode: 0o700 });
    storeNetwork(draft, files, network);
    fingerprint = await writeIdentity(draft, member, passphrase, frame.nowMs());
    if (config !== null) writeAtomic(join(draft, 'config.yaml'), config);
    if (member.role === 'station') writeStationFiles(draft, options.policy ?? 'closed');
  });
  report(frame, dir, member, network, fingerprint, passphrase !== null);
}

export function warnUnencrypted(frame: Frame, dir: string): void {
  frame.output.warn(
    `--no-passphrase: the private keys in ${join(dir, 'keys')} are stored in clear; whoever can read or copy that folder can sign as this member`,
  );
}

function memberFrom(
  options: InitOptions,
  network: Network,
): MemberFile & { role: Exclude<Role, 'authority'> } {
  const { role, id, title, organisation, station, person } = options;
  if ((role === 'admin') !== (station !== undefined)) {
    throw new PhtError('usage.invalid', 'an admin, and nobody else, names the station with --station');
  }
  if (person !== undefined && role !== 'admin' && role !== 'researcher')
    throw new PhtError('usage.invalid', '--person is for admins and researchers');
  const ofStation = station === undefined ? {} : { station };
  const ofPerson = person === undefined ? {} : { person };
  const member = check(
    MemberFile,
    { v: 1, id, role, title, organisation, ...ofPerson, ...ofStation, networkId: network.id },
    'the new member',
    'usage.invalid',
  );
  if (network.members.has(id)) {
    throw new PhtError('usage.invalid', `the network already has a member with the id ${id}`, {
      hint: 'choose another --id',
    });
  }
  return { ...member, role };
}

/** @returns the fingerprint of the statement key */
async function writeIdentity(
  draft: string,
  member: MemberFile & { role: Exclude<Role, 'authority'> },
  passphrase: string | null,
  nowMs: number,
): Promise<string> {
  const { role } = member;
  const store = (use: KeyUse, jwk: Parameters<typeof storeKey>[2]): Promise<void> =>
    storeKey(draft, use, jwk, encryptedByDefault(role, use) ? passphrase : null);
  const statement = generateKey('statement');
  const keys: MemberKeys = { statement: publicOf(statement) };
  await store('statement', statement);
  let tlsRequest: string | undefined;
  for (const use of ['tls', 'log', 'witness'] as const) {
    if (!KEY_USES[role].includes(use)) continue;
    const jwk = generateKey(use);
    keys[use] = publicOf(jwk);
    await store(use, jwk);
    if (use === 'tls') tlsRequest = await createRequest(member.networkId, member.id, jwk);
  }
  if (KEY_USES[role].includes('encryption')) {
    const jwk = generateKey('encryption');
    keys.encryption = publicOf(jwk);
    await store('encryption', jwk);
  }
  const { v: _, id, ...rest } = member;
  const proof = tlsRequest === undefined ? {} : { tlsRequest };
  const enrolment = check(
    Enrolment,
    { ...rest, member: id, keys, ...proof, createdAtMs: nowMs },
    'the enrolment',
  );
  const subject = { name: 'network', digest: enrolment.networkId as Network['id'] };
  const { envelope } = signStatement('enrolment', subject, enrolment, createSigner(statement));
  writeAtomic(join(draft, 'enrolment.json'), `${Buffer.from(encodeEnvelope(envelope)).toString('utf8')}\n`);
  writeAtomic(join(draft, 'member.json'), `${JSON.stringify(member, null, 2)}\n`);
  return keyIdOf(keys.statement);
}

function writeStationFiles(draft: string, policy: Preset): void {
  mkdirSync(join(draft, 'datasets'), { mode: 0o700 });
  writeAtomic(join(draft, 'policy.cedar'), presetText(policy));
  writeAtomic(join(draft, 'lists.yaml'), listsTemplate());
}

function report(
  frame: Frame,
  dir: string,
  member: MemberFile,
  network: Network,
  fingerprint: string,
  encrypted: boolean,
): void {
  const enrolment = join(dir, 'enrolment.json');
  const clear = encrypted
    ? 'under your passphrase; only the TLS key is in clear, for watching'
    : 'in clear, mode 0600';
  frame.output.result(
    {
      home: dir,
      id: member.id,
      role: member.role,
      networkId: network.id,
      statementKeyId: fingerprint,
      enrolment,
    },
    [
      `${member.role} ${member.id} now has its home in ${dir}`,
      `  keys         ${member.role === 'admin' && encrypted ? 'under your passphrase' : clear}`,
      `  fingerprint  ${fingerprint}`,
      `  network      ${network.id}`,
      '',
      'Compare the network id with the authority by another way than this file came.',
      `Next: send ${enrolment} to the authority and read out the fingerprint;`,
      `then import the file that comes back: pht --home ${dir} network import FILE`,
    ],
  );
}
