// A provider with a token call of its own: the configured request, and pointers into its JSON answer.
import type { SourceConfig } from '../config/config.ts';
import type { TokenSource } from '../credential/credential.ts';
import { CredentialError, secretUnreadable } from '../lib/errors.ts';
import { Secret } from '../lib/secret.ts';
import { createSecretReader } from '../lib/secret-ref.ts';
import { filled, mapTexts } from '../lib/secret-template.ts';
import { JsonFault, parseStrictJson } from '../lib/strict-json.ts';
import { watchFiles } from '../lib/watch.ts';
import { invalidResponse, toTransportError } from '../provider-http/errors.ts';
import { createProviderHttp } from '../provider-http/http.ts';
import { pointed } from './json-pointer.ts';
import type { SourceDeps } from './registry.ts';
import { createReplyAge } from './reply-age.ts';
import { lifetimeOf, parseInstant } from './token-lifetime.ts';

type HttpConfig = Extract<SourceConfig, { type: 'http' }>;

// RFC 9110 section 5.5, without the edges of white space that receivers drop.
const HEADER_VALUE = /^[\x21-\x7e](?:[\t\x20-\x7e]*[\x21-\x7e])?$/;
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json(?:\s*;|$)/i;

export function createHttpSource(config: HttpConfig, { clock, env, observer }: SourceDeps): TokenSource {
  const { name, method, url, token, end } = config;
  const http = createProviderHttp({
    caFile: config.caFile,
    env,
    now: () => clock.now(),
    clockSkewSeen: (skewMs) => observer.clockSkewSeen(url, skewMs),
  });
  const age = createReplyAge(clock);
  const secrets = Object.entries(config.secrets).map(
    ([key, ref]) => [key, createSecretReader(ref, env)] as const,
  );

  async function issue(signal: AbortSignal) {
    const values = new Map<string, string>();
    for (const [key, secret] of secrets) values.set(key, (await secret.read()).reveal());
    const sentAt = clock.monotonic();
    const reply = await http.fetch(url, { method, ...buildRequest(config, values), signal });
    if (reply.status !== 200 && reply.status !== 201) {
      throw new CredentialError('source_rejected', `the provider answered ${reply.status}`, {
        retryable: false,
      });
    }
    const type = reply.headers.get('content-type') ?? '';
    if (!JSON_TYPE.test(type)) throw invalidResponse('the answer is not application/json');
    const document = parsedReply(await reply.text());
    const value = pointed(document, token);
    if (typeof value !== 'string') throw invalidResponse(`no text at ${token || 'the root'} of the answer`);
    const date = Date.parse(reply.headers.get('date') ?? '');
    const providerNow = Number.isNaN(date) ? undefined : date;
    const told = lifetimeOf(
      { accessToken: value, expiresIn: toldSeconds(document, providerNow ?? clock.now()), providerNow },
      clock.now(),
    );
    const aged = age.of(reply.headers, value, sentAt);
    return { value: new Secret(value), lifetimeMs: told - aged - (clock.monotonic() - sentAt) };
  }

  function toldSeconds(document: unknown, now: number): unknown {
    if (end === undefined) return undefined;
    const value = pointed(document, end.pointer);
    if (value === undefined || value === null)
      throw invalidResponse(`nothing at ${end.pointer} of the answer`);
    if (end.kind === 'lifetime') return value;
    const at = parseInstant(value);
    if (at === undefined) throw invalidResponse(`no time at ${end.pointer} of the answer`);
    if (at <= now) throw invalidResponse('the token had expired when it came');
    return (at - now) / 1_000;
  }

  return {
    name,
    type: 'http',
    endpoint: url,
    syntax: 'header_value',
    perSubject: false,
    async issue({ signal }) {
      try {
        return await issue(signal);
      } catch (error) {
        throw toTransportError(error, 'token answer');
      }
    },
    watch: (changed) =>
      watchFiles([...secrets.map(([, secret]) => secret.file), config.caFile], clock, changed),
    close: () => http.close(),
  };
}

function parsedReply(text: string): unknown {
  try {
    return parseStrictJson(text);
  } catch (error) {
    if (!(error instanceof JsonFault)) throw error;
    throw invalidResponse(`the answer is refused: ${error.message}`);
  }
}

/** Headers and body with every secret in its place. Throws CredentialError secret_unreadable. */
function buildRequest({ headers: templates, body }: HttpConfig, values: ReadonlyMap<string, string>) {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (body !== undefined) {
    headers['content-type'] = body.kind === 'json' ? 'application/json' : 'application/x-www-form-urlencoded';
  }
  for (const [name, template] of Object.entries(templates)) {
    const value = filled(template, values);
    if (!HEADER_VALUE.test(value)) {
      throw secretUnreadable(
        `the header ${name} would have a line break or other characters that it may not carry`,
      );
    }
    headers[name] = value;
  }
  switch (body?.kind) {
    case undefined:
      return { headers };
    case 'json':
      return { headers, body: JSON.stringify(mapTexts(body.value, (text) => filled(text, values))) };
    case 'form':
      return {
        headers,
        body: new URLSearchParams(
          Object.entries(body.value).map(([key, text]) => [key, filled(text, values)]),
        ),
      };
  }
}
