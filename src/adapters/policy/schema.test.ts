import { readFileSync } from 'node:fs';
import type { SchemaJson } from '@cedar-policy/cedar-wasm/nodejs';
import { describe, expect, test } from 'vitest';
import { checkPolicy, openPolicy } from './cedar.ts';
import { cedar } from './engine.ts';
import { DEFAULT_FACTS } from './given-facts.ts';
import { policySchema } from './schema.ts';

/** docs/policy.md says of each fact what it is: held against the schema that stations decide by. */

const PAGE = readFileSync(new URL('../../../docs/policy.md', import.meta.url), 'utf8');

type Row = { fact: string; type: string; from: string; example: string };

const ROWS: Row[] = [
  ...PAGE.matchAll(/^\| `([^`]+)` \| ([A-Za-z ]+) \|[^|]*\| ([^|]+) \| `([^`]+)` \|$/gm),
].map(([, fact = '', type = '', from = '', example = '']) => ({ fact, type, from: from.trim(), example }));

type Attribute = { type: string; name?: string; element?: Attribute; attributes?: Record<string, Attribute> };

function typeOf({ type, name, element }: Attribute): string {
  if (type === 'Set' && element !== undefined) return `Set of ${typeOf(element)}`;
  return (name ?? type).replace(/^__cedar::/, '');
}

function factsIn(attributes: Record<string, Attribute>, path: string): Map<string, string> {
  const each = Object.entries(attributes).flatMap(([name, attribute]): [string, string][] =>
    attribute.attributes === undefined
      ? [[`${path}.${name}`, typeOf(attribute)]]
      : [...factsIn(attribute.attributes, `${path}.${name}`)],
  );
  return new Map(each);
}

function schemaFacts(): Map<string, string> {
  const read = cedar().schemaToJson(policySchema().text);
  if (read.type === 'failure') throw new Error('the schema cannot be read');
  const { entityTypes, actions } = (read.json as SchemaJson<string>)[''] as unknown as {
    entityTypes: Record<string, { memberOfTypes?: string[]; shape?: Attribute }>;
    actions: Record<string, { appliesTo: { context: Attribute } }>;
  };
  const context = actions['Run']?.appliesTo.context.attributes ?? {};
  expect(actions['RunIfApproved']?.appliesTo).toEqual(actions['Run']?.appliesTo);
  const facts = new Map([
    ['principal', 'Researcher'],
    ...factsIn(entityTypes['Researcher']?.shape?.attributes ?? {}, 'principal'),
    ['resource', 'Dataset'],
    ...factsIn(context, 'context'),
  ]);
  const lists = [...facts].filter(([, type]) => entityTypes[type]?.memberOfTypes?.includes('List'));
  for (const [fact] of lists) facts.set(`${fact} in List`, 'Bool');
  return facts;
}

test('the page lists every fact of the schema with its type, and no other', () => {
  expect(ROWS.length).toBeGreaterThan(20);
  const told = new Map(ROWS.map(({ fact, type }) => [fact, type]));
  expect(told.size).toBe(ROWS.length);
  expect([...told].toSorted()).toEqual([...schemaFacts()].toSorted());
});

test.each(ROWS)('$fact says where it was verified, and its example is sound', ({ fact, from, example }) => {
  expect(from).toMatch(/^(?:manifest|order|network|lists|clearances|station)\b/);
  expect(PAGE).toContain(`- **${/^[a-z]+/.exec(from)?.[0]}**: `);
  expect(example).toContain(fact.replace(' in List', ' in List::"'));
  const policy = `@id("a") permit (principal, action == Action::"RunIfApproved", resource) when { ${example} };`;
  expect(checkPolicy(Buffer.from(policy)).problems).toEqual([]);
  expect(openPolicy(Buffer.from(policy)).decide(DEFAULT_FACTS).error).toBe(false);
});

describe('what else the page shows', () => {
  const blocks = (language: string): string[] =>
    [...PAGE.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
      ([, text = '']) => text,
    );

  test('its rules are sound', () => {
    const [rule = '', ...others] = blocks('cedar');
    expect(others).toEqual([]);
    expect(checkPolicy(Buffer.from(rule)).problems).toEqual([]);
  });

  test('its defaults are the defaults', () => {
    expect(JSON.parse(blocks('json')[0] ?? '')).toEqual(DEFAULT_FACTS);
  });
});
