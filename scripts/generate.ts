import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** `npm run generate`: src/gen anew from proto/. */
execFileSync('buf', ['generate'], { cwd: fileURLToPath(new URL('..', import.meta.url)), stdio: 'inherit' });
