import { type Logger, pino } from 'pino';
import { escapedJson } from './text.ts';

/**
 * The log of a process that serves: one JSON object a line on standard error. `PHT_LOG` is its level. An error stands in
 * it with its words and what caused it, since neither goes to any peer.
 */
export function createLog(name: string): Logger {
  const level = process.env['PHT_LOG'] ?? 'info';
  // Whoever looks at it in a terminal must not have it written to by a train's file names.
  const streamWrite = (line: string): string => `${escapedJson(line.trimEnd())}\n`;
  return pino({ name, level, serializers: { error: inLog }, hooks: { streamWrite } }, pino.destination(2));
}

const CAUSES_MAX = 5;

/** Exported for its test. */
export function inLog(thrown: unknown, depth = 0): unknown {
  if (!(thrown instanceof Error)) return thrown;
  const { code, reasons } = thrown as { code?: unknown; reasons?: readonly string[] };
  const { message, cause } = thrown;
  return {
    ...(code === undefined ? {} : { code }),
    message,
    ...(reasons === undefined || reasons.length === 0 ? {} : { reasons }),
    ...(cause === undefined || depth >= CAUSES_MAX ? {} : { cause: inLog(cause, depth + 1) }),
    // Only what nobody foresaw needs its place.
    ...(code === 'internal' || code === undefined ? { stack: thrown.stack } : {}),
  };
}
