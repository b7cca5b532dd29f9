import { type AskPassphrase, loadKey } from '../adapters/home/keys.ts';
import { type Home, openHome } from '../adapters/home/member.ts';
import { PhtError } from '../model/error.ts';
import type { Role } from '../model/network.ts';
import type { Signer } from '../ports/signer.ts';
import type { Output } from './output.ts';
import { passphraseFrom } from './passphrase.ts';

/** What every command is given: where it stands, how it speaks, and when it should stop. */
export interface Frame {
  readonly output: Output;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Aborts on SIGINT and SIGTERM, and when nobody reads the output any more. A command that uses it ends by itself. */
  readonly signal: AbortSignal;
  nowMs(): number;
  /** @throws PhtError `usage.invalid` when neither `--home` nor `PHT_HOME` names one */
  homeDir(): string;
  /** @param roles the roles for which the command is meant */
  openHome(roles?: readonly Role[]): Home;
}

export function createFrame(options: {
  output: Output;
  env: Readonly<Record<string, string | undefined>>;
  home: () => string | undefined;
  signal: () => AbortSignal;
}): Frame {
  const { output, env } = options;
  const homeDir = (): string => {
    const dir = options.home() ?? env['PHT_HOME'];
    if (dir !== undefined && dir !== '') return dir;
    throw new PhtError('usage.invalid', 'no home directory was named', {
      hint: "name the member's directory with --home DIR or in PHT_HOME",
    });
  };
  return {
    output,
    env,
    get signal() {
      return options.signal();
    },
    nowMs: () => Date.now(),
    homeDir,
    openHome: (roles) => openHome(homeDir(), roles),
  };
}

let ask: AskPassphrase | undefined;

/** The one place that asks for this process's passphrase; one home has one. */
export function passphrase(): Promise<string> {
  ask ??= passphraseFrom(process);
  return ask();
}

/**
 * For a command that signs and ends; a process that goes on through a rotation takes `listedSigner`.
 *
 * @throws PhtError `config.missing`, `passphrase.required`, `passphrase.wrong`
 */
export async function signerOf(home: Home, use: 'statement' | 'log'): Promise<Signer> {
  const { createSigner } = await import('../adapters/signer/ed25519.ts');
  return createSigner(await loadKey(home.dir, use, passphrase));
}
