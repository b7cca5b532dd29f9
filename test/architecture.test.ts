import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  cruise,
  type ICruiseResult,
  type IForbiddenRuleType,
  type IResolveOptions,
} from 'dependency-cruiser';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** The walls of the house. The rules stand in .dependency-cruiser.cjs, so that they can be run by hand as well. */

type Configuration = {
  forbidden: (IForbiddenRuleType & { name: string })[];
  options: { enhancedResolveOptions: Partial<IResolveOptions> } & Record<string, unknown>;
};
const configuration = createRequire(import.meta.url)('../.dependency-cruiser.cjs') as Configuration;
const root = fileURLToPath(new URL('..', import.meta.url));
const TEST = /\.(test|fixture)\.ts$/;

async function cruised(baseDir: string): Promise<ICruiseResult> {
  const { forbidden, options } = configuration;
  const { tsConfig: _, enhancedResolveOptions, ...cruiseOptions } = options;
  const { output } = await cruise(
    ['src'],
    {
      ...cruiseOptions,
      baseDir,
      validate: true,
      ruleSet: { forbidden },
    },
    { ...enhancedResolveOptions, bustTheCache: true },
  );
  if (typeof output === 'string') throw new Error('dependency-cruiser answered with text');
  return output;
}

function violations(result: ICruiseResult): string[] {
  return result.summary.violations.map(({ rule, from, to }) => `${rule.name}: ${from} → ${to}`).toSorted();
}

function sourceFiles(): string[] {
  return readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !TEST.test(path))
    .map((path) => `src/${path}`);
}

describe('the house', () => {
  let result: ICruiseResult;
  beforeAll(async () => {
    result = await cruised(root);
  });

  // Without a TypeScript compiler that it understands, dependency-cruiser checks nothing and is content.
  test('every source file was seen, with its imports', () => {
    const files = sourceFiles();
    const seen = new Map(result.modules.map((module) => [module.source, module]));
    expect(files.length).toBeGreaterThan(50);
    expect(result.modules.length).toBeGreaterThanOrEqual(files.length);
    expect(files.filter((file) => !seen.has(file))).toEqual([]);
    const ports = seen.get('src/adapters/policy/facts.ts')?.dependencies.map(({ resolved }) => resolved);
    expect(ports, 'imports of types count').toContain('src/ports/policy.ts');
  });

  test('imports point inward only', () => {
    expect(violations(result)).toEqual([]);
  });

  test('no file is a barrel', () => {
    expect(sourceFiles().filter((file) => /(^|\/)index\.ts$/.test(file))).toEqual([]);
  });
});

/** One small wrong import for each rule: [rule, file, what it imports]. */
const WRONG: [string, string, string][] = [
  ['gen-points-inward', 'src/gen/a.ts', '../model/noun.ts'],
  ['model-points-inward', 'src/model/a.ts', '../ports/port.ts'],
  ['ports-points-inward', 'src/ports/a.ts', '../journey/station/verb.ts'],
  ['journey-points-inward', 'src/journey/station/a.ts', '../../adapters/one/plug.ts'],
  ['adapters-points-inward', 'src/adapters/one/a.ts', '../../journey/station/verb.ts'],
  ['cli-points-inward', 'src/cli/a.ts', '../../scripts/script.ts'],
  ['model-is-pure', 'src/model/b.ts', 'node:fs'],
  ['verbs-know-no-packages', 'src/journey/station/b.ts', 'dockerode'],
  ['verbs-do-no-io', 'src/journey/station/c.ts', 'node:child_process'],
  ['roles-are-strangers', 'src/journey/station/d.ts', '../dispatcher/verb.ts'],
  ['adapters-are-strangers', 'src/adapters/one/b.ts', '../two/plug.ts'],
  ['nothing-imports-cli', 'src/adapters/one/c.ts', '../../cli/main.ts'],
  ['product-imports-no-test', 'src/cli/b.ts', '../model/noun.test.ts'],
  ['product-imports-no-development-package', 'src/cli/c.ts', 'vitest'],
  ['no-circle', 'src/model/c.ts', './d.ts'],
  ['no-barrel', 'src/model/e.ts', './parts/index.ts'],
  ['nothing-unresolved', 'src/model/f.ts', './nowhere.ts'],
];

const SOUND: Record<string, string> = {
  'package.json': JSON.stringify({
    name: 'wrong',
    type: 'module',
    dependencies: { dockerode: '1' },
    devDependencies: { vitest: '1' },
  }),
  'node_modules/dockerode/package.json': JSON.stringify({ name: 'dockerode', main: 'main.js' }),
  'node_modules/dockerode/main.js': '',
  'node_modules/vitest/package.json': JSON.stringify({ name: 'vitest', main: 'main.js' }),
  'node_modules/vitest/main.js': '',
  'scripts/script.ts': 'export const script = 1;',
  'src/gen/message.ts': 'export type Message = 1;',
  'src/model/noun.ts': "import type { Message } from '../gen/message.ts';\nexport type Noun = Message;",
  'src/model/noun.test.ts': "import '../cli/main.ts';\nimport 'vitest';",
  'src/model/parts/index.ts': 'export const part = 1;',
  'src/model/d.ts': "import './c.ts';",
  'src/ports/port.ts': "import type { Noun } from '../model/noun.ts';\nexport type Port = Noun;",
  'src/journey/station/verb.ts': "import type { Port } from '../../ports/port.ts';\nexport type Verb = Port;",
  'src/journey/dispatcher/verb.ts': "import 'node:crypto';",
  'src/adapters/one/plug.ts':
    "import type { Port } from '../../ports/port.ts';\nimport 'dockerode';\nexport type Plug = Port;",
  'src/adapters/two/plug.ts': "import 'node:fs';",
  'src/cli/main.ts': "import '../adapters/one/plug.ts';\nimport '../adapters/two/plug.ts';",
};

describe('each rule can fail', () => {
  const home = mkdtempSync(join(tmpdir(), 'pht-walls-'));
  let found: string[] = [];

  beforeAll(async () => {
    for (const [path, text] of Object.entries(SOUND)) write(path, text);
    for (const [, path, target] of WRONG) write(path, `import '${target}';`);
    found = violations(await cruised(home));
  });
  afterAll(() => rmSync(home, { recursive: true, force: true }));

  function write(path: string, text: string): void {
    mkdirSync(dirname(join(home, path)), { recursive: true });
    writeFileSync(join(home, path), `${text}\n`);
  }

  test.each(WRONG)('%s', (rule, file) => {
    expect(found.some((violation) => violation.startsWith(`${rule}: ${file} → `))).toBe(true);
  });

  test('every rule is shown, and what is sound is left alone', () => {
    expect(configuration.forbidden.map(({ name }) => name).toSorted()).toEqual(
      WRONG.map(([rule]) => rule).toSorted(),
    );
    const wrong = new Set(WRONG.map(([, file]) => file).concat('src/model/d.ts'));
    expect(found.filter((violation) => !wrong.has(violation.split(' ')[1] ?? ''))).toEqual([]);
  });

  test('an import of a type counts as an import', async () => {
    write('src/model/g.ts', "import type { Port } from '../ports/port.ts';\nexport type G = Port;");
    expect(violations(await cruised(home))).toContain(
      'model-points-inward: src/model/g.ts → src/ports/port.ts',
    );
  });
});
