// Lint: strict types everywhere, exhaustive switches, and a core that cannot reach the outside.
import tseslint from 'typescript-eslint';

const effects = ['node:fs', 'node:fs/promises', 'node:net', 'node:dgram', 'node:child_process'];
const outside = ['**/shell/*', '**/shell/**', '**/native/*', '#addon'];

export default tseslint.config(
  {
    ignores: ['dist', 'build', 'native/build', 'node_modules', '.tap', 'test/fixtures', '**/*.js'],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: {
      parserOptions: { project: './tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    rules: {
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/no-unnecessary-condition': [
        'error',
        { allowConstantLoopConditions: true },
      ],
    },
  },
  {
    files: ['agent/core/**/*.ts'],
    rules: {
      'no-restricted-imports': ['error', { paths: effects, patterns: outside }],
      'no-restricted-globals': ['error', 'process', 'setTimeout', 'setInterval', 'fetch', 'Date'],
    },
  },
  {
    files: ['test/**/*.ts'],
    // tap wants test bodies async whether or not they wait, and keeps the promises itself.
    rules: {
      '@typescript-eslint/no-floating-promises': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
);
