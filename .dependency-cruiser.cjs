/**
 * Imports point inward only: cli → journey, adapters → ports → model → gen. Held by test/architecture.test.ts, which
 * also shows that each rule can fail. By hand: npx depcruise src
 */

/** Tests stand beside their file and may reach anywhere; what they alone need ends in `.fixture.ts`. */
const TEST = '[.](test|fixture)[.]ts$';

/** From the product files of a layer to any file of ours outside the named layers. */
const inward = (layer, comment, allowed) => ({
  name: `${layer}-points-inward`,
  comment,
  severity: 'error',
  from: { path: `^src/${layer}/`, pathNot: TEST },
  to: { path: '^(src|test|scripts|bench|trains|stations)/', pathNot: allowed.map((to) => `^src/${to}/`) },
});

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    inward('gen', 'generated code knows nothing of ours', ['gen']),
    inward('model', 'nouns know no verbs', ['model', 'gen']),
    inward('ports', 'sockets know nouns only', ['ports', 'model', 'gen']),
    inward('journey', 'verbs know no tools', ['journey', 'ports', 'model', 'gen']),
    inward('adapters', 'plugs know their socket only', ['adapters', 'ports', 'model', 'gen']),
    inward('cli', 'the composition root wires product code only', [
      'cli',
      'adapters',
      'journey',
      'ports',
      'model',
      'gen',
    ]),
    {
      name: 'model-is-pure',
      comment: 'no clock, randomness, files or network: zod, digests and bytes only',
      severity: 'error',
      from: { path: '^src/model/', pathNot: TEST },
      to: { pathNot: ['^src/', '^test/', '(^|/)node_modules/zod/', '^(node:)?(crypto|buffer)$'] },
    },
    {
      name: 'verbs-know-no-packages',
      comment: 'what needs a package stands behind a port; messages are protobuf',
      severity: 'error',
      from: { path: '^src/(journey|ports)/', pathNot: TEST },
      to: { path: '(^|/)node_modules/', pathNot: '(^|/)node_modules/(zod|@bufbuild/protobuf)/' },
    },
    {
      name: 'verbs-do-no-io',
      comment: 'files, network and processes stand behind ports, so that a fake can take their place',
      severity: 'error',
      from: { path: '^src/(journey|ports)/', pathNot: TEST },
      to: {
        path: '^(node:)?(fs|fs/promises|net|tls|http|https|http2|dgram|dns|child_process|worker_threads|cluster|sqlite)$',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'roles-are-strangers',
      comment: 'roles meet only in proto/ and model/',
      severity: 'error',
      from: { path: '^src/journey/([^/]+)/', pathNot: TEST },
      to: { path: '^src/journey/', pathNot: '^src/journey/$1/' },
    },
    {
      name: 'adapters-are-strangers',
      comment: 'adapters meet only in cli',
      severity: 'error',
      from: { path: '^src/adapters/([^/]+)/', pathNot: TEST },
      to: { path: '^src/adapters/', pathNot: '^src/adapters/$1/' },
    },
    {
      name: 'nothing-imports-cli',
      severity: 'error',
      from: { path: '^src/', pathNot: ['^src/cli/', TEST] },
      to: { path: '^src/cli/' },
    },
    {
      name: 'product-imports-no-test',
      severity: 'error',
      from: { path: '^src/', pathNot: TEST },
      to: { path: ['^test/', TEST] },
    },
    {
      name: 'product-imports-no-development-package',
      comment: 'an installed package would lack it',
      severity: 'error',
      from: { path: '^src/', pathNot: TEST },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    { name: 'no-circle', severity: 'error', from: { path: '^src/' }, to: { circular: true } },
    {
      name: 'no-barrel',
      comment: 'a file is named after what it holds',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: ['^src/index[.]ts$', '^src/.+/index[.]ts$'] },
    },
    {
      name: 'nothing-unresolved',
      comment: 'an import that cannot be followed is one that no rule sees',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: '(^|/)node_modules/' },
    // Types count: an interface from the wrong layer ties the layers as well.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default'] },
  },
};
