import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { writeAtomic } from '../adapters/home/files.ts';
import type { Home } from '../adapters/home/member.ts';
import { currentNetwork } from '../adapters/home/network-file.ts';
import { signDisclosureRequest, signErasure } from '../journey/admin/word.ts';
import { PhtError } from '../model/error.ts';
import { digestOf, TrainIdText } from '../model/id.ts';
import type { Network } from '../model/network.ts';
import { check, Slug } from '../model/schema.ts';
import type { Signer } from '../ports/signer.ts';
import { type Frame, signerOf } from './frame.ts';
import { type Socket, stationOf, withAgent } from './station-agent.ts';
import { wrap } from './text.ts';

/** What an admin signs beside clearances: opening a train's decisions to an auditor, and forgetting a person. */

type Admin = { id: string; network: Network; signer: Signer; nowMs: number };

/** Whose word it is, and which station it is for. */
export async function adminOf(home: Home, frame: Frame): Promise<{ admin: Admin; station: string }> {
  const { id } = home.member;
  const station = stationOf(home);
  const signer = await signerOf(home, 'statement');
  return { station, admin: { id, network: currentNetwork(home), signer, nowMs: frame.nowMs() } };
}

export async function disclose(
  frame: Frame,
  train: string,
  options: Socket & { to: string; out?: string },
): Promise<void> {
  const trainId = check(TrainIdText, train, 'the train', 'usage.invalid');
  const to = check(Slug, options.to, '--to', 'usage.invalid');
  frame.openHome(['admin']);
  await withAgent(frame, options, async (agent, home) => {
    const { admin, station } = await adminOf(home, frame);
    const file = resolve(options.out ?? `${trainId}.${station}.disclosure`);
    // Each disclosure is an entry in the ledger: not one for a file that cannot be kept.
    if (existsSync(file))
      throw new PhtError('usage.invalid', `${file} exists already; name another with --out`);
    const request = signDisclosureRequest({ station, trainId, to }, admin);
    const { jwe, hops, erased } = await agent.disclose({ request });
    writeAtomic(file, jwe);
    const jweDigest = digestOf(jwe);
    frame.output.result({ trainId, station, to, file, jweDigest, hops, erased }, [
      `wrote ${file}`,
      ...wrap(
        `It opens what ${station} decided on ${counted(hops, 'hop')} of ${trainId}: policies, requests, answers and who approved. Only ${to} can read it.`,
      ),
      ...(erased === 0
        ? []
        : wrap(`${counted(erased, 'commitment')} in it cannot be opened any more: erased.`)),
      ...wrap(`The ledger has an entry of it, with the digest ${jweDigest.slice(0, 16)}…`),
      ...wrap(`Next: give the file to ${to}, who checks it with: pht audit verify --disclosure FILE`),
    ]);
  });
}

/** What an erasure cannot take, with why; the same words stand in the admin's manual. */
const REMAINS = [
  'the ledger itself, whose commitments nobody can open any more; it still verifies',
  'receipts, and results as they were sealed: the same order must be answered with the same bytes; only their readers open them',
  'digests of the clearances that were used, so that none is used twice',
  "the policy's own text, also of older ones, if a rule names the person: the policy is yours to write",
  'the network file, and whatever dispatcher, researchers and auditors keep: theirs to erase; and backups and the journal: yours',
] as const;

export async function forget(
  frame: Frame,
  member: string,
  options: Socket & { reason: string },
): Promise<void> {
  const forgotten = check(Slug, member, 'the member', 'usage.invalid');
  frame.openHome(['admin']);
  await withAgent(frame, options, async (agent, home) => {
    const { admin, station } = await adminOf(home, frame);
    const erasure = signErasure({ station, member: forgotten, reason: options.reason }, admin);
    const { salts, clearances, redacted, open } = await agent.forget({ erasure });
    frame.output.result({ member: forgotten, station, salts, clearances, redacted, open }, [
      `${station} has forgotten ${forgotten}:`,
      `  ${counted(salts, 'salt')} of its ledger's commitments`,
      `  ${counted(clearances, 'signed decision')}`,
      `  manifest and notes of ${counted(redacted, 'ended hop')}`,
      ...(open === 0
        ? []
        : wrap(
            `${counted(open, 'hop')} under way still ${open === 1 ? 'names' : 'name'} the person, in signed statements that are checked at every step. Run this again when they have ended.`,
          )),
      'What remains:',
      ...REMAINS.flatMap((line) => wrap(`- ${line}`, 2)),
    ]);
  });
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
