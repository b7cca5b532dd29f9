import { resolve } from 'node:path';
import { parseArgs } from 'node:util';

export type DemoOptions = { home: string; keep: boolean; stop: boolean };

export const USAGE = `Usage: npm run demo [-- [--keep] [--home DIR] | --stop [--home DIR]]

  Four hospitals answer one question together; the patients' data stays.
  --home DIR  where the members' directories go (default: .state/demo)
  --keep      leave everything running, and say what to try
  --stop      end a kept demo, and remove its directory`;

/**
 * @param cwd where a relative `--home` starts
 * @returns null when only help was asked for; throws with one line for wrong use
 */
export function parseOptions(args: readonly string[], cwd: string, root: string): DemoOptions | null {
  const { values } = parseArgs({
    args: [...args],
    options: {
      home: { type: 'string' },
      keep: { type: 'boolean', default: false },
      stop: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return null;
  if (values.keep && values.stop) throw new TypeError('--keep and --stop exclude each other');
  if (values.home === '') throw new TypeError('--home needs a directory');
  const home = values.home === undefined ? resolve(root, '.state/demo') : resolve(cwd, values.home);
  return { home, keep: values.keep, stop: values.stop };
}
