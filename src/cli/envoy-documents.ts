// The file that import reads, as values: YAML or JSON, one document or several, as it is or in ConfigMaps and Secrets.
import { refuseTooLarge } from '../config/load.ts';
import { parseYaml } from '../config/yaml-document.ts';
import { json, list } from '../doors/envoy-json.ts';
import { ConfigError } from '../lib/errors.ts';

/** Throws ConfigError. `file`: what messages call it. */
export function envoyDocuments(text: string, file: string): readonly unknown[] {
  return parseDocuments(text, file).flatMap((value) => ofKubernetes(value, file));
}

/** A dump of tens of megabytes is JSON, which YAML's parser takes minutes for. */
function parseDocuments(text: string, file: string): readonly unknown[] {
  try {
    return [JSON.parse(text)];
  } catch {
    refuseTooLarge(text.length, file);
    return documentsOf(text).map((document) => parseDocument(document, file));
  }
}

function parseDocument(text: string, file: string): unknown {
  const template = text.search(/\{\{/);
  try {
    // Envoy passes over what has this tag, whose anchors are used elsewhere.
    return parseYaml(text.replace(/^([ -]*)!ignore +(?=[^\s:]+:)/gm, '$1'), file).value;
  } catch (error) {
    if (template === -1 || !(error instanceof ConfigError)) throw error;
    const before = text.slice(0, template).split('\n');
    const message = '{{ }} of a template: fill it in first, e.g. by helm template';
    throw new ConfigError(file, [
      { path: '', line: before.length, column: before.at(-1)!.length + 1, message },
    ]);
  }
}

/** Each at its own lines, so that a problem is named where it is; without those that are empty. */
function documentsOf(text: string): string[] {
  let lines = 0;
  return text.split(/^---(?: .*)?$/m).flatMap((part) => {
    const document = '\n'.repeat(lines) + part;
    lines += part.split('\n').length - 1;
    return /^\s*[^\s#%]/m.test(part) ? [document] : [];
  });
}

/** Files of Envoy in an object of Kubernetes; else the value itself. Its other objects are looked through as they are. */
function ofKubernetes(value: unknown, file: string): readonly unknown[] {
  const { kind, items } = json(value);
  const isList = kind === 'List' || kind === 'ConfigMapList' || kind === 'SecretList';
  return (isList ? list(items) : [value]).flatMap((object) => ofObject(object, file));
}

function ofObject(value: unknown, file: string): readonly unknown[] {
  const { kind, metadata, data, stringData, binaryData } = json(value);
  if (kind !== 'ConfigMap' && kind !== 'Secret') return [value];
  const decoded = (texts: unknown) =>
    Object.entries(json(texts)).map(([key, text]) => [key, Buffer.from(String(text), 'base64').toString()]);
  const files = [
    ...(kind === 'Secret' ? decoded(data) : Object.entries(json(data))),
    ...Object.entries(json(stringData)),
    ...decoded(binaryData),
  ] as [string, unknown][];
  return files.flatMap(([key, text]) => {
    // A key may hold anything: what neither looks like a configuration nor names the filter is none of ours.
    if (typeof text !== 'string' || !(/\.(ya?ml|json)$/.test(key) || /credential_?injector/i.test(text))) {
      return [];
    }
    return parseDocuments(text, `${file}: ${key} of ${kind} ${String(json(metadata)['name'])}`);
  });
}
