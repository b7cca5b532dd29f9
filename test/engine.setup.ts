import { prepareEngine } from '../scripts/prepare-engine.ts';

/** Once for all tests that start containers: an engine that answers, and the base images. */
export default async function setup(): Promise<void> {
  await prepareEngine();
}
