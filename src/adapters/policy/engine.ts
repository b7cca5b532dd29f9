import { createRequire } from 'node:module';

type Cedar = typeof import('@cedar-policy/cedar-wasm/nodejs');

let loaded: Cedar | undefined;

/** Loaded on first use: its WebAssembly takes 13 MB and 20 ms, which only a station and a policy check need. */
export function cedar(): Cedar {
  // Required, not imported: opening a policy is synchronous.
  loaded ??= createRequire(import.meta.url)('@cedar-policy/cedar-wasm/nodejs') as Cedar;
  return loaded;
}
