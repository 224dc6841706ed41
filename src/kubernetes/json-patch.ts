// The difference of two pods as a JSON Patch (RFC 6902), at the few places that injection touches.
import { isDeepStrictEqual } from 'node:util';
import type { Pod } from './pod.ts';

export interface PatchOperation {
  readonly op: 'add';
  readonly path: string;
  readonly value: unknown;
}

const SPEC_KEYS = ['initContainers', 'containers', 'volumes', 'imagePullSecrets'] as const;

/** `add` replaces an existing member of an object (section 4.1). Empty = the two are the same. */
export function patchBetween(before: Pod, after: Pod): readonly PatchOperation[] {
  const operations: PatchOperation[] = [];
  const add = (path: string, was: unknown, is: unknown): void => {
    if (is !== undefined && !isDeepStrictEqual(was, is)) operations.push({ op: 'add', path, value: is });
  };
  if (before.metadata === undefined) add('/metadata', undefined, after.metadata);
  else add('/metadata/annotations', before.metadata.annotations, after.metadata?.annotations);
  for (const key of SPEC_KEYS) add(`/spec/${key}`, before.spec?.[key], after.spec?.[key]);
  return operations;
}
