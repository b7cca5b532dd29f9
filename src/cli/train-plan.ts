import { z } from 'zod';
import { createOpener } from '../adapters/envelope/jwe.ts';
import { generateKey } from '../adapters/home/keys.ts';
import { plan } from '../journey/researcher/plan.ts';
import { COLUMNS_MAX } from '../model/inquiry.ts';
import { ColumnName, check } from '../model/schema.ts';
import { EXIT } from './exit.ts';
import { type Frame, signerOf } from './frame.ts';
import { planLines, planStatus } from './plan-view.ts';
import { travel } from './train-compose.ts';
import type { PackOptions } from './train-pack.ts';
import { packedId } from './train-submit.ts';

/** `pht train plan`: what each station would say to a train, before anything is submitted. */

export type PlanOptions = PackOptions & { columns?: string; timeout?: number };

export async function planTrain(frame: Frame, what: string, options: PlanOptions): Promise<void> {
  const columns = options.columns === undefined ? null : columnsOf(options.columns);
  await travel(frame, { timeoutMs: options.timeout }, async (traveller) => {
    const trainId = await packedId(frame, traveller, what, options);
    const signer = await signerOf(traveller.home, 'statement');
    const ports = {
      ...{ client: await traveller.client(), trains: traveller.trains, signer },
      newKey: () => generateKey('encryption'),
      openerOf: createOpener,
    };
    const planned = await plan(trainId, columns, traveller.researcher, ports, traveller.signal);
    const exitStatus = planStatus(planned);
    frame.output.result({ ...planned, exitStatus }, planLines(planned));
    if (exitStatus === EXIT.unverified)
      frame.output.warn('an answer does not verify; nothing of it was used');
    if (exitStatus === EXIT.unreachable) frame.output.warn('no station answered');
    if (exitStatus !== EXIT.done) process.exitCode = exitStatus;
  });
}

/** @throws PhtError `usage.invalid` */
function columnsOf(text: string): string[] {
  const names = text.split(',').map((name) => name.trim());
  return check(z.array(ColumnName).max(COLUMNS_MAX), names, '--columns', 'usage.invalid');
}
