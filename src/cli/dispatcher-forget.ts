import { join } from 'node:path';
import { openDispatcherStore } from '../adapters/store/dispatcher-store.ts';
import { forgetMember } from '../journey/dispatcher/forget.ts';
import { PhtError } from '../model/error.ts';
import { Slug } from '../model/schema.ts';
import type { Frame } from './frame.ts';

/** `pht dispatcher forget`: a write to the store alone, so a running dispatcher signs it with its next entries. */
export async function forget(frame: Frame, member: string): Promise<void> {
  const home = frame.openHome(['dispatcher']);
  if (!Slug.safeParse(member).success)
    throw new PhtError('usage.invalid', 'a member id is 1 to 40 of a-z, 0-9 and -');
  const store = openDispatcherStore(join(home.dir, 'state.db'), home.member.id);
  try {
    const count = forgetMember(member, store, frame.nowMs());
    const lines =
      count === 0
        ? [`no entry of this ledger can be linked to ${member}: there was nothing to erase`]
        : [
            `erased ${count} salts: nobody can show any more which entries are about ${member}`,
            'the ledger is as it was and still verifies; copies of the database keep the salts: erase those too',
          ];
    frame.output.result({ member, erased: count }, lines);
  } finally {
    store.close();
  }
}
