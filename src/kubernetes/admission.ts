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
  readonly object: Pod;
}

/** Throws NotAnAdmissionReview. A pod that cannot be read as one is allowed as it is: we never keep a pod from starting. */
export function reviewAdmission(body: string, options: SidecarOptions): object {
  const { uid, operation, kind, object } = parseRequest(body);
  if (operation !== 'CREATE' || kind.kind !== 'Pod') return answer({ uid, allowed: true });
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
  return { uid, operation, kind, object: isPod(object) ? object : {} };
}

/** As far as injection looks: lists are lists and each entry has its name. */
function isPod(value: unknown): value is Pod {
  if (typeof value !== 'object' || value === null) return false;
  const { spec } = value as Pod;
  if (typeof spec !== 'object' || spec === null) return false;
  return [spec.initContainers, spec.containers, spec.volumes].every(
    (list) =>
      list === undefined ||
      (Array.isArray(list) &&
        list.every((entry) => typeof (entry as { name?: unknown } | null)?.name === 'string')),
  );
}
