// One admission.k8s.io/v1 AdmissionReview in, one out. Pure: what the API server sends comes from anybody who may create a
// pod.
import type { SidecarOptions } from '../config/sidecar-file.ts';
import { injectSidecar } from './inject.ts';
import { patchBetween } from './json-patch.ts';
import type { Pod } from './pod.ts';

/** The body is no AdmissionReview: HTTP 400 with this text. */
export class NotAnAdmissionReview extends Error {
  override readonly name = 'NotAnAdmissionReview';
}

interface AdmissionRequest {
  readonly uid: string;
  readonly operation: string;
  readonly kind: { readonly kind: string };
  /** undefined = it cannot be read as a pod. */
  readonly object: Pod | undefined;
}

/** Throws NotAnAdmissionReview. A pod that cannot be read as one is allowed as it is: we never keep a pod from starting. */
export function reviewAdmission(body: string, options: SidecarOptions): object {
  const { uid, operation, kind, object } = parseRequest(body);
  if (operation !== 'CREATE' || kind.kind !== 'Pod' || object === undefined)
    return answer({ uid, allowed: true });
  const injected = injectSidecar(object, options);
  if (injected === undefined) return answer({ uid, allowed: true });
  const patch = patchBetween(object, injected.pod);
  return answer({
    uid,
    allowed: true,
    ...(injected.warnings.length === 0 ? {} : { warnings: injected.warnings }),
    ...(patch.length === 0
      ? {}
      : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
  });
}

function answer(response: object): object {
  return { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response };
}

function parseRequest(body: string): AdmissionRequest {
  let review: { kind?: unknown; request?: Partial<AdmissionRequest> } | null;
  try {
    review = JSON.parse(body);
  } catch {
    throw new NotAnAdmissionReview('the body is not JSON');
  }
  const request = review?.request;
  if (review?.kind !== 'AdmissionReview' || typeof request !== 'object' || request === null) {
    throw new NotAnAdmissionReview('expected kind AdmissionReview with a request');
  }
  const { uid, operation, kind, object } = request;
  if (typeof uid !== 'string' || typeof operation !== 'string' || typeof kind?.kind !== 'string') {
    throw new NotAnAdmissionReview('expected request.uid, request.operation and request.kind.kind');
  }
  return { uid, operation, kind, object: isPod(object) ? object : undefined };
}

/** As far as injection looks: lists are lists, each entry has its name, and annotations and labels are texts. */
function isPod(value: unknown): value is Pod {
  if (!isObject(value) || !isObject(value['spec'])) return false;
  const { metadata = {}, spec } = value as { readonly metadata?: unknown; readonly spec: Pod['spec'] };
  if (!isObject(metadata) || !isTexts(metadata['annotations']) || !isTexts(metadata['labels'])) return false;
  const { initContainers, containers, volumes, imagePullSecrets } = spec!;
  return (
    (imagePullSecrets === undefined ||
      (Array.isArray(imagePullSecrets) && imagePullSecrets.every(isObject))) &&
    [initContainers, containers, volumes].every(isNamed) &&
    [...(initContainers ?? []), ...(containers ?? [])].every(({ volumeMounts }) => isNamed(volumeMounts))
  );
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isTexts(value: unknown): boolean {
  return (
    value === undefined || (isObject(value) && Object.values(value).every((text) => typeof text === 'string'))
  );
}

function isNamed(list: unknown): boolean {
  return (
    list === undefined ||
    (Array.isArray(list) && list.every((entry) => isObject(entry) && typeof entry['name'] === 'string'))
  );
}
