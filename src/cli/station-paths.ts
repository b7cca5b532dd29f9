import { join } from 'node:path';
import type { StationConfig } from '../adapters/home/config.ts';

/** Where things of a station stand in its home. */

export const policyPath = (dir: string): string => join(dir, 'policy.cedar');

export const adminSocketPath = (dir: string, config: StationConfig): string =>
  config.adminSocket.path ?? join(dir, 'admin.sock');
