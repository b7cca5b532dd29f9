import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The release that the images stand on. */
export const RELEASE = 'bookworm';

/**
 * The host's own Debian mirrors for `bookworm` as lines of a `sources.list`, so that builds inside a hospital's
 * network fetch from where the host fetches. Empty where the host has none (another system, another release), and for
 * mirrors over https, which a base image without certificates could not reach: the base image's own then serve.
 */
export async function hostAptSources(): Promise<string> {
  const format = '$(REPO_URI) $(RELEASE) $(COMPONENT)';
  const listed = await run('apt-get', ['indextargets', '--format', format, 'Created-By: Packages']).catch(
    () => undefined,
  );
  return sourcesFrom(listed?.stdout ?? '');
}

/** @param listed lines of `URI release component` */
export function sourcesFrom(listed: string): string {
  const lines = new Set<string>();
  for (const line of listed.split('\n')) {
    const [uri, release, component, ...rest] = line.trim().split(' ');
    if (uri === undefined || release === undefined || component !== 'main' || rest.length > 0) continue;
    if (!/^http:\/\/[\w.:/~%-]+$/.test(uri)) continue;
    if (![RELEASE, `${RELEASE}-updates`, `${RELEASE}-security`].includes(release)) continue;
    lines.add(`deb ${uri} ${release} main`);
  }
  // Updates without the release itself are of no use.
  return [...lines].some((line) => line.includes(` ${RELEASE} `)) ? [...lines].join('\n') : '';
}

/** The proxy that the host's package manager uses, for builds that run in the host's network. */
export async function hostProxy(): Promise<Record<string, string>> {
  const answer = await run('apt-config', ['shell', 'PROXY', 'Acquire::http::Proxy']).catch(() => undefined);
  const configured = /^PROXY='([^']+)'$/m.exec(answer?.stdout ?? '')?.[1];
  const proxy = configured ?? process.env['http_proxy'];
  return proxy === undefined || proxy === '' || proxy === 'DIRECT' ? {} : { http_proxy: proxy };
}
