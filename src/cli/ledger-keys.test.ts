import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ed25519, type FakeNetwork, makeNetwork, memberIn, publicOf } from '../../test/fakes/network.ts';
import { writeAtomic } from '../adapters/home/files.ts';
import { nextKeys, storeNextKeys } from '../adapters/home/key-rotation.ts';
import { keysFolder, storeKeyIn } from '../adapters/home/keys.ts';
import type { Home } from '../adapters/home/member.ts';
import {
  currentNetwork,
  encodeNetworkFile,
  importNetwork,
  storeNetwork,
} from '../adapters/home/network-file.ts';
import type { Network } from '../model/network.ts';
import type { NetworkFiles } from '../model/network-statements.ts';
import type { LogSigners } from '../ports/ledger.ts';
import { type LedgerKeys, openLedgerKeys } from './ledger-keys.ts';

let dir: string;
let fake: FakeNetwork;
let home: Home;
let notes: string[];
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'ledger-keys-'));
  fake = await makeNetwork();
  const member = { v: 1, id: 'north', role: 'station', title: 'n', organisation: 'o' } as const;
  home = { dir, member: { ...member, networkId: fake.network.id } };
  notes = [];
  mkdirSync(keysFolder(dir), { mode: 0o700 });
  storeNetwork(dir, fake.files, fake.network);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

type Jwk = ReturnType<typeof ed25519>;
type Use = 'log' | 'witness';

async function keep(jwk: Jwk, ...folders: string[]): Promise<void> {
  const folder = join(keysFolder(dir), ...folders);
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  await storeKeyIn(folder, 'log', jwk, null);
}

let issuedAtMs = Date.now();
/** The next version, which lists this key. */
function listing(use: Use, jwk: Jwk): { network: Network; files: NetworkFiles } {
  const north = fake.network.members.get('north');
  if (north === undefined) throw new Error('no north');
  const member = { ...north, keys: { ...north.keys, [use]: publicOf(jwk) } };
  issuedAtMs += 1000;
  return fake.next({ renewed: [{ member }], issuedAtMs });
}

const open = (use: Use = 'log', network?: Network): Promise<LedgerKeys> =>
  openLedgerKeys(
    home,
    use,
    () => network ?? currentNetwork(home),
    (text, { code }) => void notes.push(code === undefined ? text : `${text}: ${String(code)}`),
  );
const namesIn = ({ signer, former }: LogSigners): string[] =>
  [signer, ...former].map(({ publicJwk }) => publicJwk.x);
const atStart = async (network?: Network): Promise<string[]> =>
  namesIn(await (await open('log', network)).look());

describe('at a start', () => {
  it('signs with the key at hand, and knows those that it replaced, newest first', async () => {
    const [first, second, third] = [memberIn(fake, 'north').keys.log, ed25519(), ed25519()];
    await keep(third);
    await keep(second, 'former', '12');
    await keep(first, 'former', '3');
    expect(await atStart(listing('log', third).network)).toEqual([third.x, second.x, first.x]);
  });

  it('signs with the key that the network lists, while that is an earlier one', async () => {
    const old = memberIn(fake, 'north').keys.log;
    await keep(ed25519());
    await keep(old, 'former', '2');
    expect(await atStart()).toEqual([old.x]);
  });

  it('has nothing to rotate from in a home that never did', async () => {
    const { log } = memberIn(fake, 'north').keys;
    await keep(log);
    expect(await atStart()).toEqual([log.x]);
    expect(await atStart(listing('log', ed25519()).network)).toEqual([log.x]);
    expect(notes).toEqual(['a new log key cannot be used yet: config.missing']);
  });

  it('puts a key into its place that a kill has kept from it', async () => {
    const { log } = memberIn(fake, 'north').keys;
    const next = ed25519();
    await keep(log);
    await storeNextKeys(home, { log: next }, never);
    const { files, network } = listing('log', next);
    storeNetwork(dir, files, network);
    expect(await atStart()).toEqual([next.x, log.x]);
    expect(nextKeys(home)).toEqual({});
    expect(await atStart()).toEqual([next.x, log.x]);
  });
});

const never = (): Promise<string> => Promise.reject(new Error('asked for a passphrase'));

describe.each(['log', 'witness'] as const)('a %s key that is replaced while its process runs', (use) => {
  let old: Jwk;
  let keys: LedgerKeys;
  beforeEach(async () => {
    old = memberIn(fake, 'north').keys[use];
    await storeKeyIn(keysFolder(dir), use, old, null);
    keys = await open(use);
  });

  it('is taken up with the file that lists it, and not before', async () => {
    const next = ed25519();
    const before = await keys.look();
    await storeNextKeys(home, { [use]: next }, never);
    expect(await keys.look()).toBe(before);
    importNetwork(home, listing(use, next).files);
    expect(keys.signer.publicJwk.x).toBe(old.x);
    const after = await keys.look();
    expect(namesIn(after)).toEqual([next.x, old.x]);
    expect(keys.signer.publicJwk.x).toBe(next.x);
    expect(await keys.look()).toBe(after);
    expect(notes).toEqual([`a new ${use} key is in use`]);
    // The next start finds the same.
    expect(namesIn(await (await open(use)).look())).toEqual([next.x, old.x]);
  });

  it('is taken up although who imported the file was killed before it placed the key', async () => {
    const next = ed25519();
    await storeNextKeys(home, { [use]: next }, never);
    writeAtomic(join(dir, 'network.json'), encodeNetworkFile(listing(use, next).files));
    expect(namesIn(await keys.look())).toEqual([next.x, old.x]);
    // What signs has to be there at the next start, whatever is made to wait after this.
    await storeNextKeys(home, { [use]: ed25519() }, never);
    expect(namesIn(await (await open(use)).look())).toEqual([next.x, old.x]);
  });

  it('goes on with the one before while the listed one is missing, tells it once, and takes it up later', async () => {
    const next = ed25519();
    importNetwork(home, listing(use, next).files);
    for (let looks = 0; looks < 3; looks++) expect(namesIn(await keys.look())).toEqual([old.x]);
    expect(notes).toEqual([`a new ${use} key cannot be used yet: config.missing`]);
    await storeNextKeys(home, { [use]: next }, never);
    expect(namesIn(await keys.look())).toEqual([next.x, old.x]);
  });

  it('says nothing where its member is none any more', async () => {
    issuedAtMs += 1000;
    importNetwork(home, fake.next({ revoked: [{ id: 'north', reason: 'it left' }], issuedAtMs }).files);
    expect(namesIn(await keys.look())).toEqual([old.x]);
    expect(notes).toEqual([]);
  });

  it('goes on while the keys or the network file cannot be read', async () => {
    const next = ed25519();
    await storeNextKeys(home, { [use]: next }, never);
    importNetwork(home, listing(use, next).files);
    const [folder, away] = [keysFolder(dir), join(dir, 'away')];
    renameSync(folder, away);
    expect(namesIn(await keys.look())).toEqual([old.x]);
    renameSync(away, folder);
    renameSync(join(dir, 'network.json'), away);
    expect(namesIn(await keys.look())).toEqual([old.x]);
    renameSync(away, join(dir, 'network.json'));
    expect(namesIn(await keys.look())).toEqual([next.x, old.x]);
  });
});
