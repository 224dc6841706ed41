// Messages of ext_proc by Envoy's full API: what Envoy sends, and what it reads of an answer.
import { join } from 'node:path';
import { loadSync } from '@grpc/proto-loader';

const deps = join(import.meta.dirname, '../../node_modules/@grpc/grpc-js-xds/deps');
const definition = loadSync('envoy/service/ext_proc/v3/external_processor.proto', {
  keepCase: true,
  oneofs: true,
  includeDirs: ['envoy-api', 'googleapis', 'protoc-gen-validate', 'xds'].map((name) => join(deps, name)),
});
// biome-ignore lint/suspicious/noExplicitAny: messages by reflection
type Any = any;
const { Process } = definition['envoy.service.ext_proc.v3.ExternalProcessor'] as Any;

export interface AttemptWish {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly requestId?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly attempt?: number;
}

/** As Envoy 1.40 sends it with the generated filter. */
export function attemptMessage(wish: AttemptWish = {}): Buffer {
  const headers = {
    ':authority': wish.host ?? 'orders.example.com',
    ':path': wish.path ?? '/v1/orders?user=7',
    ':method': wish.method ?? 'GET',
    ':scheme': 'http',
    'x-request-id': wish.requestId ?? 'id-1',
    'x-envoy-attempt-count': String(wish.attempt ?? 1),
    ...wish.headers,
  };
  return Process.requestSerialize({
    request_headers: {
      headers: {
        headers: Object.entries(headers).map(([key, value]) => ({ key, raw_value: Buffer.from(value) })),
      },
      end_of_stream: true,
    },
    metadata_context: {},
  });
}

/** A message of a phase that nobody asked for. */
export function responseHeadersMessage(): Buffer {
  return Process.requestSerialize({ response_headers: { headers: { headers: [] } } });
}

export interface AttemptAnswer {
  /** Headers that are set, each in place of what was there. */
  readonly set: Readonly<Record<string, string>>;
  readonly removed: readonly string[];
  /** HTTP status of an immediate response. */
  readonly status: number | undefined;
  readonly body: string;
}

export function readAnswer(bytes: Uint8Array): AttemptAnswer {
  const message: Any = Process.responseDeserialize(Buffer.from(bytes));
  const immediate = message.immediate_response;
  const mutation = immediate?.headers ?? message.request_headers?.response?.header_mutation;
  const set: Record<string, string> = {};
  for (const { header, append, append_action } of mutation?.set_headers ?? []) {
    if (append === undefined || append.value === true || append_action !== 2) {
      throw new Error(`${header.key} would be doubled`);
    }
    if (header.value) throw new Error(`${header.key}: Envoy ignores value`);
    set[header.key] = String(header.raw_value);
  }
  return {
    set,
    removed: mutation?.remove_headers ?? [],
    status: immediate === undefined ? undefined : Number(immediate.status.code),
    body: immediate === undefined ? '' : String(immediate.body),
  };
}
