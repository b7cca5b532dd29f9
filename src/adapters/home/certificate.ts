import { PhtError } from '../../model/error.ts';
import { datesOf, faultOf, inLastThird, readCertificate } from '../../model/member-certificate.ts';
import type { Network } from '../../model/network.ts';
import type { Home } from './member.ts';

/** The TLS certificate of this home's member, as its network file has it. */

export type OwnCertificate = {
  /** DER in base64. */
  readonly text: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** In the last third of its life. */
  readonly dueForRenewal: boolean;
};

const HINT = 'ask the network authority for a current network file, then: pht network import FILE';

/** @throws PhtError `signer.unknown` for who is no member, `certificate.invalid` */
export function ownCertificate(
  { member }: Pick<Home, 'member'>,
  network: Network,
  nowMs: number,
): OwnCertificate {
  if (!network.members.has(member.id)) {
    throw new PhtError('signer.unknown', `the network file does not list ${member.id}`, {
      hint: 'send enrolment.json to the network authority, then: pht network import FILE',
    });
  }
  const invalid = (why: string): PhtError =>
    new PhtError('certificate.invalid', `the TLS certificate of ${member.id}: ${why}`, { hint: HINT });
  const text = network.certificates.get(member.id);
  if (text === undefined) throw invalid('the network file holds none');
  const certificate = readCertificate(text);
  if (certificate === null) throw invalid('it cannot be read');
  const fault = faultOf(certificate, network, member.id);
  if (fault !== null) throw invalid(fault);
  const dates = datesOf(certificate);
  if (nowMs > dates.notAfterMs) throw invalid(`it expired on ${dayOf(dates.notAfterMs)}`);
  if (nowMs < dates.notBeforeMs)
    throw invalid(`it holds from ${dayOf(dates.notBeforeMs)} on; is the clock right?`);
  return { text, ...dates, dueForRenewal: inLastThird(dates, nowMs) };
}

/** Of two for one member the younger one that is sound in this network; what a peer made up displaces nothing. */
export function betterCertificate(
  network: Network,
  memberId: string,
  candidates: readonly (string | undefined)[],
): string | undefined {
  let best: { text: string; notAfterMs: number } | undefined;
  for (const text of candidates) {
    const certificate = text === undefined ? null : readCertificate(text);
    if (text === undefined || certificate === null) continue;
    const { notAfterMs } = datesOf(certificate);
    if (best !== undefined && notAfterMs <= best.notAfterMs) continue;
    if (faultOf(certificate, network, memberId) === null) best = { text, notAfterMs };
  }
  return best?.text;
}

const dayOf = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 10);
