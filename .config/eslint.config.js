// ESLint: strict, type-aware, and without any way to relax a rule in the code it checks.
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

const portableFiles = [
  'src/core.ts',
  'src/errors.ts',
  'src/format.ts',
  'src/format/**',
  'src/disk/**',
  'src/inspect/**',
  'src/storage/**',
];
const nodeStorage = ['src/storage/file*.ts', 'src/storage/native*.ts'];

const size = {
  'max-lines': ['error', { max: 400, skipBlankLines: false, skipComments: false }],
  'max-lines-per-function': ['error', { max: 60 }],
  'max-params': ['error', { max: 5 }],
  complexity: ['error', { max: 12 }],
  'max-depth': ['error', { max: 4 }],
};

const style = {
  curly: ['error', 'multi-line'],
  eqeqeq: 'error',
  'no-else-return': 'error',
  'no-restricted-exports': [
    'error',
    { restrictDefaultExports: { direct: true, named: true, defaultFrom: true, namedFrom: true, namespaceFrom: true } },
  ],
  'no-restricted-syntax': [
    'error',
    { selector: 'ExportAllDeclaration', message: 'Name what is exported.' },
    { selector: 'LabeledStatement', message: 'Split the function instead.' },
  ],
  'object-shorthand': 'error',
};

const types = {
  '@typescript-eslint/consistent-type-imports': 'error',
  '@typescript-eslint/explicit-module-boundary-types': 'error',
  '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
  // An async method without await is how a contract promises to reject instead of throwing.
  '@typescript-eslint/require-await': 'off',
  '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
  '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
  '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
};

export default defineConfig(
  { ignores: ['dist/**', 'dist-docs/**', 'coverage/**', '**/*.js'] },
  {
    files: ['**/*.ts'],
    extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
    linterOptions: { noInlineConfig: true, reportUnusedDisableDirectives: 'error' },
    languageOptions: { parserOptions: { project: './tsconfig.json', tsconfigRootDir: process.cwd() } },
    rules: { ...size, ...style, ...types },
  },
  {
    files: ['src/**'],
    rules: { 'no-console': 'error' },
  },
  {
    files: portableFiles,
    ignores: nodeStorage,
    rules: {
      'no-restricted-globals': ['error', 'process', 'setImmediate', 'global', 'require', '__dirname'],
    },
  },
  {
    files: ['test/**'],
    rules: {
      // A describe callback is as long as what it describes.
      'max-lines-per-function': 'off',
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  {
    files: ['.config/**'],
    rules: { 'no-restricted-exports': 'off' },
  },
);
