import { join } from 'node:path';
import { z } from 'zod';
import { PhtError } from '../../model/error.ts';
import { ROLES, type Role } from '../../model/network.ts';
import { parseWith, Sha256Hex, ShortText, Slug } from '../../model/schema.ts';
import { assertPrivate, readBounded } from './files.ts';

/** `member.json`: whose home this is, and which network it has pinned. */
export const MemberFile = z.strictObject({
  v: z.literal(1),
  id: Slug,
  role: z.enum(ROLES),
  title: ShortText,
  organisation: ShortText,
  person: Slug.optional(),
  station: Slug.optional(),
  networkId: Sha256Hex,
});
export type MemberFile = z.infer<typeof MemberFile>;

/** One member's opened directory. */
export type Home = { readonly dir: string; readonly member: MemberFile };

const MEMBER_BYTES_MAX = 16 * 1024;

/**
 * @param roles when given, the roles for which the caller is meant
 * @throws PhtError `home.missing`, `config.invalid` when it is open to others, `usage.invalid` for another role
 */
export function openHome(dir: string, roles?: readonly Role[]): Home {
  const member = readMember(dir);
  assertPrivate(dir, 'the home directory');
  assertPrivate(join(dir, 'keys'), 'the folder of private keys');
  if (roles !== undefined && !roles.includes(member.role)) {
    throw new PhtError(
      'usage.invalid',
      `${dir} is the home of another role, ${member.role}; this needs one of: ${roles.join(', ')}`,
    );
  }
  return { dir, member };
}

function readMember(dir: string): MemberFile {
  const path = join(dir, 'member.json');
  try {
    return parseWith(MemberFile, readBounded(path, MEMBER_BYTES_MAX, 'the member file'), {
      bytesMax: MEMBER_BYTES_MAX,
      what: path,
    });
  } catch (cause) {
    if (!(cause instanceof PhtError) || cause.code !== 'config.missing') throw cause;
    throw new PhtError('home.missing', `${dir} is not a member's home: it has no member.json`, {
      cause,
      hint: 'name the home with --home DIR or PHT_HOME, or make one with: pht init --help',
    });
  }
}
