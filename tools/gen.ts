// Generates src/gen from proto/: `npm run gen`. Static codecs on @bufbuild/protobuf/wire only; works offline.
//   node tools/gen.ts [OUTPUT FOLDER]
import { spawnSync } from 'node:child_process';
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '..');
const out = resolve(process.argv[2] ?? join(root, 'src/gen'));
const bin = (name: string) => join(root, 'node_modules/.bin', name);

const options = [
  'esModuleInterop=true',
  'importSuffix=.ts',
  // A oneof as a union: an empty string that is set stays on the wire, which Envoy needs of an empty secret.
  'oneof=unions',
  'forceLong=number',
  'useDate=false',
  // A Map and no object: keys come from the wire.
  'useMapType=true',
  'unrecognizedEnum=false',
  'useExactTypes=false',
  'outputServices=none',
  'outputJsonMethods=false',
  'outputPartialMethods=false',
  'outputClientImpl=false',
  'outputTypeRegistry=false',
  'erasableSyntax=true',
  'enumsAsLiterals=true',
  'annotateFilesWithVersion=false',
];

const template = JSON.stringify({
  version: 'v2',
  plugins: [
    {
      local: [process.execPath, bin('protoc-gen-ts_proto')],
      out,
      opt: options,
      strategy: 'all',
      include_imports: true,
      include_wkt: true,
    },
  ],
});

rmSync(out, { recursive: true, force: true });
const run = spawnSync(process.execPath, [bin('buf'), 'generate', 'proto', '--template', template], {
  cwd: root,
  stdio: 'inherit',
  timeout: 60_000,
});
if (run.status !== 0) throw new Error(`buf generate ended with ${run.status ?? run.signal}`);
for (const file of globSync('**/*.ts', { cwd: out })) {
  const path = join(out, file);
  writeFileSync(path, readFileSync(path, 'utf8').replace(/\n*$/, '\n'));
}
