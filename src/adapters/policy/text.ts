import { PhtError } from '../../model/error.ts';

/**
 * Splits Cedar text into its statements and their clauses, so that each can be named, placed and evaluated alone.
 * Cedar parses every slice again, and `parse.ts` compares the counts: this reader alone decides nothing.
 */

export type Token = { kind: 'word' | 'number' | 'string' | 'sign'; text: string; start: number; end: number };
export type Clause = { kind: 'when' | 'unless'; text: string; tokens: Token[] };
/** The three parts of `permit (principal …, action …, resource …)`, each as written. */
export type Scope = { principal: string; action: string; resource: string };
/** `afterScope` is the text behind `(…)`: the clauses and the final `;`. */
export type Statement = {
  text: string;
  line: number;
  start: number;
  scope: Scope;
  afterScope: string;
  clauses: Clause[];
  tokens: Token[];
};

/** Brackets within brackets. Cedar's WebAssembly stack overflows at about 100, and stays broken for the process. */
const DEPTH_MAX = 32;
/** Operators in one clause. Chains of them recurse too: Cedar's evaluator overflows at about 300 to 500. */
const OPERATORS_MAX = 200;
const STATEMENTS_MAX = 200;
const CLAUSES_MAX = 64;

const TOKEN =
  /(?<space>\s+|\/\/[^\r\n]*)|(?<string>"(?:[^"\\]|\\[\s\S])*")|(?<word>[A-Za-z_][A-Za-z0-9_]*)|(?<number>[0-9]+)|(?<sign>::|&&|\|\||[=!<>]=|[-+*.,:;<>=!?@(){}[\]])/y;
const OPENING = new Set(['(', '[', '{']);
const CLOSING = new Set([')', ']', '}']);
const NOT_COUNTED = new Set([',', ';', ':', '::', '@', '(', ')', '[', ']', '{', '}']);
const WORD_OPERATORS = new Set(['if', 'then', 'else', 'has', 'like', 'in', 'is']);

/**
 * @throws PhtError `policy.error` with the line of the first thing that is not Cedar, or that is nested too deep
 */
export function splitPolicy(text: string): Statement[] {
  const statements: Statement[] = [];
  let tokens: Token[] = [];
  let depth = 0;
  let operators = 0;
  for (const token of tokensOf(text)) {
    tokens.push(token);
    const opens = token.kind === 'sign' && OPENING.has(token.text);
    const closes = token.kind === 'sign' && CLOSING.has(token.text);
    if (opens) depth += 1;
    if (closes) depth -= 1;
    if (depth === 0) operators = 0;
    if (isOperator(token)) operators += 1;
    if (depth < 0) throw problem(text, token.start, `\`${token.text}\` closes nothing`);
    if (depth > DEPTH_MAX)
      throw problem(text, token.start, `brackets are nested more than ${DEPTH_MAX} deep`);
    if (operators > OPERATORS_MAX) {
      throw problem(
        text,
        token.start,
        `a clause has more than ${OPERATORS_MAX} operators; split it in several`,
      );
    }
    if (depth === 0 && token.text === ';') {
      statements.push(statementOf(text, tokens));
      tokens = [];
    }
    if (statements.length > STATEMENTS_MAX)
      throw problem(text, token.start, `more than ${STATEMENTS_MAX} rules`);
  }
  const [left] = tokens;
  if (left !== undefined) throw problem(text, left.start, 'the rule that starts here does not end with `;`');
  return statements;
}

/** The line, counted from 1, of a position in the text. */
export function lineAt(text: string, position: number): number {
  let line = 1;
  for (let at = text.indexOf('\n'); at !== -1 && at < position; at = text.indexOf('\n', at + 1)) line += 1;
  return line;
}

function problem(text: string, position: number, message: string): PhtError {
  return new PhtError('policy.error', `line ${lineAt(text, position)}: ${message}`);
}

function* tokensOf(text: string): Generator<Token> {
  let position = 0;
  while (position < text.length) {
    TOKEN.lastIndex = position;
    const groups = TOKEN.exec(text)?.groups;
    if (groups === undefined)
      throw problem(text, position, 'this is not a word, a number or a sign of Cedar');
    const start = position;
    position = TOKEN.lastIndex;
    for (const kind of ['word', 'number', 'string', 'sign'] as const) {
      const found = groups[kind];
      if (found !== undefined) yield { kind, text: found, start, end: position };
    }
  }
}

function isOperator({ kind, text }: Token): boolean {
  return kind === 'sign' ? !NOT_COUNTED.has(text) : kind === 'word' && WORD_OPERATORS.has(text);
}

function statementOf(text: string, tokens: Token[]): Statement {
  const first = tokens[0];
  const last = tokens.at(-1);
  if (first === undefined || last === undefined) throw new PhtError('internal', 'a statement without tokens');
  const clauses = clausesOf(text, tokens);
  if (clauses.length > CLAUSES_MAX)
    throw problem(text, first.start, `a rule has more than ${CLAUSES_MAX} clauses`);
  const line = lineAt(text, first.start);
  const { scope, end } = scopeOf(tokens);
  return {
    text: text.slice(first.start, last.end),
    line,
    start: first.start,
    scope,
    afterScope: text.slice(end, last.end),
    clauses,
    tokens,
  };
}

/** Tokens as written, without the comments and line breaks between them. */
export function written(tokens: Token[]): string {
  let line = '';
  let end = tokens[0]?.start ?? 0;
  for (const token of tokens) {
    line += (token.start > end ? ' ' : '') + token.text;
    end = token.end;
  }
  return line;
}

/** Parts that are not there are empty: Cedar refuses such a statement and says why. */
function scopeOf(tokens: Token[]): { scope: Scope; end: number } {
  const effect = tokens.findIndex(({ kind, text }, at) => {
    const named = kind === 'word' && (text === 'permit' || text === 'forbid');
    return named && tokens[at - 1]?.text !== '@' && tokens[at + 1]?.text === '(';
  });
  const parts: Token[][] = [[]];
  let depth = 0;
  let end = 0;
  for (const token of effect === -1 ? [] : tokens.slice(effect + 1)) {
    const sign = token.kind === 'sign' ? token.text : '';
    if (CLOSING.has(sign)) depth -= 1;
    end = token.end;
    if (depth === 0 && CLOSING.has(sign)) break;
    if (depth === 1 && sign === ',') parts.push([]);
    else if (depth > 0) parts.at(-1)?.push(token);
    if (OPENING.has(sign)) depth += 1;
  }
  const [principal = [], action = [], resource = []] = parts;
  return {
    scope: { principal: written(principal), action: written(action), resource: written(resource) },
    end,
  };
}

/** `when {…}` and `unless {…}` outside every bracket; the text between the outer braces, with its inner tokens. */
function clausesOf(text: string, tokens: Token[]): Clause[] {
  const clauses: Clause[] = [];
  let depth = 0;
  let open: { kind: Clause['kind']; from: number } | undefined;
  tokens.forEach((token, at) => {
    if (token.kind !== 'sign') return;
    if (OPENING.has(token.text)) {
      const before = tokens[at - 1];
      if (depth === 0 && token.text === '{' && before?.kind === 'word') {
        if (before.text === 'when' || before.text === 'unless') open = { kind: before.text, from: at };
      }
      depth += 1;
    }
    if (!CLOSING.has(token.text)) return;
    depth -= 1;
    const brace = open === undefined ? undefined : tokens[open.from];
    if (depth > 0 || open === undefined || brace === undefined) return;
    clauses.push({
      kind: open.kind,
      text: text.slice(brace.end, token.start),
      tokens: tokens.slice(open.from + 1, at),
    });
    open = undefined;
  });
  return clauses;
}
