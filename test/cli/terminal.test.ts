import { describe, expect, test } from 'vitest';
import { resultLines } from '../../src/cli/answer-view.ts';
import { warningLines } from '../../src/cli/name-warnings.ts';
import { networkLines } from '../../src/cli/network-view.ts';
import { createOutput, type Output } from '../../src/cli/output.ts';
import { caseLines } from '../../src/cli/station-case.ts';
import { table, wrap } from '../../src/cli/text.ts';
import { newsLines } from '../../src/cli/train-follow.ts';
import { waitingLines } from '../../src/cli/train-waits.ts';
import type { JourneyView } from '../../src/model/journey-view.ts';
import { nameWarnings } from '../../src/model/look-alike.ts';
import type { Network } from '../../src/model/network.ts';
import type { PhtResult } from '../../src/model/result/schema.ts';

/**
 * Every text that a researcher, a train or another member controls, on its way to a terminal: parsers refuse most of
 * these before, and whatever came through is cleaned here all the same.
 */

const EVIL: Readonly<Record<string, string>> = {
  'clears the screen': 'a\x1b[2J\x1b[Hb',
  'sets the window title': 'a\x1b]0;owned\x07b',
  'writes to the clipboard': 'a\x1b]52;c;b3duZWQ=\x1b\\b',
  'takes our colours': 'a\x1b[32mapproved\x1b[0m\x1b[1mb',
  'hides itself': 'a\x1b[8mb',
  'uses the eight-bit forms': 'a\u009b2J\u009d0;owned\u009cb',
  'goes back': 'approved\b\b\b\b\b\b\b\brejected\r',
  'makes a line of its own': 'a\nok   everything is fine\u2028b\u2029c\u0085d',
  'turns the direction': 'a\u202egnihtemos\u202c\u2066b\u2069\u200f',
  'is invisible': 'a\u200b\u200d\ufeff\u00ad\u{e0041}b',
  'is half a letter': 'a\ud83d b\udc00',
  'rings and deletes': 'a\x07\x7f\x00b',
};

const journeyOf = (text: string): JourneyView => ({
  trainId: 'trn_0123456789abcdef01234567' as JourneyView['trainId'],
  title: text,
  state: 'failed',
  submittedAtMs: 1,
  stops: [
    {
      ...{ station: text, state: 'awaiting-clearance', code: text, changedAtMs: 1, attempt: 1, hopId: '' },
      ...{ waitsFor: 'admin', waitsSinceMs: 1, stationOnline: false, stationSeenMs: 1 },
    },
  ],
});

const member = (text: string) => ({
  ...{ id: 'lee', role: 'researcher', title: text, organisation: text },
  keys: { statement: { kty: 'OKP', crv: 'Ed25519', x: 'A'.repeat(43) } },
});

function networkOf(text: string): Network {
  const members = new Map([['lee', member(text)]]);
  const ended = { version: 1, atMs: 1, why: 'revoked', reason: text };
  const spans = [{ ...member(text), id: 'gone', since: 1, ended }];
  const freshness = { version: 1, issuedAtMs: 1, expiresMs: 1 };
  return {
    ...{ title: text, version: 1, rootVersion: 1, expiresMs: 1, id: 'x', freshness, members, spans },
  } as unknown as Network;
}

const root = {
  expiresMs: 1,
  roles: { root: { threshold: 1, keys: [] }, members: { threshold: 1, keys: [] } },
};

/** `pht station show`, with everything in it that a researcher writes. */
function caseOf(text: string, output: Output): string[] {
  const file = {
    ...{ station: 'north', expiresMs: 1, researcher: member(text), recipients: [{ member: text }] },
    dispatcher: member(text),
    dataset: { id: 'cgd', snapshotDigest: 'ab'.repeat(32) },
    manifest: {
      ...{ title: text, issuedAtMs: 1, combine: false, parameters: { [text]: text, list: [text] } },
      purpose: { text, duo: [text] },
      image: { configDigest: 'ab'.repeat(32), layers: [] },
      route: { stops: [text] },
      limits: { memoryBytesMax: 1, cpuMillis: 1, wallMsMax: 1, outputBytesMax: 1 },
      outputs: { kinds: ['Frequencies'] },
    },
  };
  const shown = {
    ...{ hopId: 'hop_x', state: 'awaiting-clearance', reasons: [`rule: ${text}`], log: `${text}\n${text}` },
    opened: { file, digest: 'ab'.repeat(32), manifest: file.manifest },
  };
  return caseLines(shown as never, output);
}

const resultOf = (text: string): PhtResult =>
  ({
    schema: 'pht-result/v1',
    outputs: [
      {
        ...{ id: text, title: text, kind: 'Frequencies' },
        ...{ dims: [{ var: text, levels: [text] }], cells: [{ k: [0], n: 25 }] },
      },
      { id: text, kind: 'NotAvailable', var: text },
    ],
  }) as PhtResult;

const VIEWS: Readonly<Record<string, (text: string, output: Output) => string[]>> = {
  'the case: title, purpose, parameters, recipients, log': caseOf,
  'a table of trains': (text) => table(['TRAIN', 'TITLE'], [['trn', text]]),
  'words of a refusal': (text) => wrap(`north: ${text}`),
  'what a journey does': (text) => newsLines(journeyOf(text), new Map(), 1),
  'on whom it waits': (text) => waitingLines([journeyOf(text)], 1),
  'a result: column names and labels': (text) => resultLines(resultOf(text)),
  'the members of a network': (text) =>
    networkLines({ network: networkOf(text), root: root as never, listExpiresMs: 1 }, 1),
  'a warning about a name': (text) => warningLines(nameWarnings(member(text) as never, networkOf(text))),
  'a line as it came': (text) => [text],
  'painted text': (text, output) => [output.paint('bold', text)],
};

const FORBIDDEN = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;
/** The colours that we make ourselves. */
const COLOURS = /\x1b\[(?:0|1|2|31|32|33)m/g;

function shown(
  view: (output: Output) => string[],
  how: { tty: boolean; json: boolean },
  value: object,
): string {
  let [out, err] = ['', ''];
  const output = createOutput({
    json: how.json,
    stdout: { write: (text) => (out += text), isTTY: how.tty },
    stderr: { write: (text) => (err += text), isTTY: false },
    env: {},
  });
  const lines = view(output);
  output.result(value, lines);
  output.event(value, lines.join(' '));
  for (const line of lines) output.warn(line);
  for (const line of lines) output.progress(line);
  return out + err;
}

describe.each(Object.entries(EVIL))('a text that %s', (_, text) => {
  test.each(Object.entries(VIEWS))('is only text in %s', (__, view) => {
    for (const how of [
      { tty: false, json: false },
      { tty: true, json: false },
      { tty: true, json: true },
    ]) {
      const said = shown((output) => view(text, output), how, { text, [text]: [text] });
      const ours = how.tty && !how.json ? said.replace(COLOURS, '') : said;
      for (const line of ours.split('\n')) expect(line).not.toMatch(FORBIDDEN);
      if (how.json) continue;
      expect(said).not.toMatch(/^ok {3}everything/m);
      // Whatever it brought along, no colour is its own.
      expect(said).not.toContain('\x1b[32m');
    }
  });
});
