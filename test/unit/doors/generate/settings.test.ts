// What is generated beside the routes: every setting that a measurement or the safety of credentials asked for.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import type { Config } from '../../../../src/config/config.ts';
import { generateEnvoy } from '../../../../src/doors/generate/generate.ts';
import type { Door } from '../../../../src/doors/generate/plan.ts';
import { GenerateError } from '../../../../src/doors/generate/problems.ts';
import { configOf, type PolicySketch } from '../../../support/generate-config.ts';
import { Bootstrap, injectorOf } from './envoy-router.ts';

const EXT_AUTHZ = 'envoy.filters.http.ext_authz';
const orders: PolicySketch = { name: 'orders', hosts: ['orders.example.com'] };
const legacy: PolicySketch = {
  name: 'legacy',
  hosts: ['legacy.example.com'],
  header: 'x-api-key',
  prefix: '',
};

function generated(door: Door, policies = [orders], patch: Partial<Config> = {}): Bootstrap {
  return new Bootstrap(generateEnvoy(configOf(policies, patch), { door }));
}

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof GenerateError);
    return error.problems;
  }
  return assert.fail('nothing was refused');
}

describe('the check door', () => {
  test('is off unless a route turns it on, so that a dead bearerd harms no other call', () => {
    const bootstrap = generated('check');
    assert.equal(bootstrap.filter(EXT_AUTHZ).disabled, true);
    const other = bootstrap.route('GET', 'other.example.com', '/');
    assert.equal(other?.typed_per_filter_config, undefined);
    assert.equal(other?.route?.cluster, 'passthrough');
  });

  test('is on for every request when unmatched ones are denied, and what has no policy is never sent on', () => {
    const bootstrap = generated('check', [orders], { unmatched: 'deny' });
    assert.equal(bootstrap.filter(EXT_AUTHZ).disabled, undefined);
    assert.equal(bootstrap.route('GET', 'other.example.com', '/')?.direct_response?.status, 403);
    assert.ok(!bootstrap.clusters.some((c) => c.name === 'passthrough'));
  });

  test('fails closed with 503, is tried once more, and sees nothing of the app’s headers but the request id', () => {
    const { typed_config } = generated('check').filter(EXT_AUTHZ);
    assert.equal(typed_config.failure_mode_allow, false);
    assert.deepEqual(typed_config.status_on_error, { code: 'ServiceUnavailable' });
    assert.equal(typed_config.clear_route_cache, false);
    assert.deepEqual(typed_config.allowed_headers, { patterns: [{ exact: 'x-request-id' }] });
    assert.equal(typed_config.grpc_service.retry_policy.retry_on, 'unavailable,reset');
    assert.equal(typed_config.grpc_service.retry_policy.num_retries, 1);
  });

  test('is given time for max_wait, of which a Check may use 70 % of the deadline', () => {
    for (const [maxWaitMs, timeout] of [
      [3000, '4.3s'],
      [700, '1s'],
      [100, '0.2s'],
    ] as const) {
      const { typed_config } = generated('check', [orders], { maxWaitMs }).filter(EXT_AUTHZ);
      assert.equal(typed_config.grpc_service.timeout, timeout);
    }
  });

  test('never retries a refusal, since the retry would carry the same credential', () => {
    const retry = generated('check').route('GET', 'orders.example.com', '/')?.route?.retry_policy;
    assert.deepEqual(retry, { retry_on: 'connect-failure,refused-stream', num_retries: 1 });
  });

  test('reports refusals in the listener’s log, where the metadata of the check is', () => {
    const [log] = generated('check').manager.access_log;
    assert.equal(log.typed_config.common_config.log_name, 'bearerd_check');
    assert.deepEqual(log.typed_config.additional_request_headers_to_log, ['x-request-id']);
  });
});

describe('the push door', () => {
  test('injects in the upstream chain of a cluster that only its policy uses, and nowhere else', () => {
    const bootstrap = generated('push', [orders, legacy]);
    const withInjector = bootstrap.clusters.filter((c) => injectorOf(c));
    assert.deepEqual(
      withInjector.map((c) => [c.name, c.metadata?.filter_metadata.bearerd]),
      [
        ['orders.orders.example.com', { source: 'orders', policy: 'orders', door: 'push' }],
        ['legacy.legacy.example.com', { source: 'legacy', policy: 'legacy', door: 'push' }],
      ],
    );
    assert.equal(injectorOf(bootstrap.cluster('passthrough')), undefined);
  });

  test('overwrites the app’s own value and waits one second for a first answer', () => {
    const injector = injectorOf(generated('push').cluster('orders.orders.example.com'));
    const { overwrite, allow_request_without_credential, credential } =
      injector.extension_config.typed_config;
    assert.equal(overwrite, true);
    assert.equal(allow_request_without_credential, false);
    assert.equal(credential.typed_config.header, 'authorization');
    assert.equal(credential.typed_config.credential.name, 'orders');
    assert.equal(credential.typed_config.credential.sds_config.initial_fetch_timeout, '1s');
  });

  test('asks for one secret a source and prefix, from the socket that serves the source', () => {
    const xds = (name: string, sources: string[]) => ({
      listener: { kind: 'unix' as const, path: `/run/${name}`, mode: 0o660, group: undefined },
      sources,
    });
    const listen = { ...configOf([]).listen, xds: [xds('a.sock', ['orders']), xds('b.sock', ['legacy'])] };
    const bootstrap = generated('push', [orders, legacy], { listen });
    const secret = injectorOf(bootstrap.cluster('legacy.legacy.example.com')).extension_config.typed_config
      .credential.typed_config.credential;
    assert.equal(secret.name, 'legacy/');
    const [service] = secret.sds_config.api_config_source.grpc_services;
    assert.equal(service.envoy_grpc.cluster_name, 'bearerd_xds_2');
    assert.match(JSON.stringify(bootstrap.cluster('bearerd_xds_2').load_assignment), /\/run\/b\.sock/);
  });

  test('writes the protocol options whole, with the codec last', () => {
    const options = Object.values(
      generated('push').cluster('orders.orders.example.com').typed_extension_protocol_options,
    )[0]!;
    assert.ok('use_downstream_protocol_config' in options);
    assert.deepEqual(
      options.http_filters?.map((f) => f.name),
      ['bearerd.inject', 'envoy.filters.http.upstream_codec'],
    );
  });

  test('turns only the injector’s own answer into 503 with a reason', () => {
    const { mappers } = generated('push').manager.local_reply_config;
    assert.equal(mappers.length, 1);
    assert.equal(mappers[0].status_code, 503);
    assert.equal(
      mappers[0].filter.extension_filter.typed_config.expression,
      "response.code_details == 'failed_to_inject_credential'",
    );
    assert.equal(generated('check').manager.local_reply_config, undefined);
  });

  test('reports each refused attempt at once, with the source of its cluster and the listed response headers', () => {
    const [log] = generated('push').filter('envoy.filters.http.router').typed_config.upstream_log;
    const { common_config, additional_response_headers_to_log } = log.typed_config;
    assert.equal(common_config.log_name, 'bearerd_push');
    assert.equal(common_config.buffer_size_bytes, 0);
    assert.deepEqual(
      common_config.custom_tags.map((t: { tag: string }) => t.tag),
      ['bearerd.source', 'bearerd.policy', 'bearerd.door'],
    );
    assert.deepEqual(additional_response_headers_to_log, ['grpc-status', 'www-authenticate', 'retry-after']);
    const [status, grpc] = log.filter.or_filter.filters;
    assert.equal(status.status_code_filter.comparison.value.default_value, 401);
    assert.deepEqual(grpc.grpc_status_filter.statuses, ['UNAUTHENTICATED']);
  });

  test('raises the cluster’s limit of concurrent retries', () => {
    const [threshold] = generated('push').cluster('orders.orders.example.com').circuit_breakers!.thresholds;
    assert.equal(threshold!.max_retries, 4096);
  });

  test('retries a 401 only as heal_on says', () => {
    const retryOf = (healOn: '401' | 'invalid_token' | 'off') =>
      generated('push', [{ ...orders, healOn }]).route('GET', 'orders.example.com', '/')!.route!
        .retry_policy!;
    assert.deepEqual(retryOf('401').retriable_status_codes, [401]);
    assert.deepEqual(retryOf('401').retriable_headers, [
      { name: 'grpc-status', string_match: { exact: '16' } },
    ]);
    assert.equal(retryOf('invalid_token').retriable_status_codes, undefined);
    assert.match(
      JSON.stringify(retryOf('invalid_token').retriable_headers),
      /www-authenticate.*invalid_token/,
    );
    assert.deepEqual(retryOf('off'), { retry_on: 'connect-failure,refused-stream', num_retries: 1 });
  });

  test('names everything that it cannot serve at once', () => {
    const policies: PolicySketch[] = [
      { ...orders, onFailure: 'pass', neverStale: true },
      { name: 'regex', hosts: ['r.example.com'], paths: [{ kind: 'regex', value: '/a/.*' }] },
    ];
    const config = configOf(policies, { unmatched: 'deny' });
    const problems = problemsOf(() => generateEnvoy(config, { door: 'push' })).join('\n');
    for (const part of [
      /^unmatched: deny/m,
      /outbound\.orders\.on_failure/,
      /outbound\.orders\.never_stale/,
      /outbound\.regex\.match\.paths.*\/a\/\.\*/,
    ]) {
      assert.match(problems, part);
    }
  });
});

describe('the attempt door', () => {
  const attempt = (policies = [orders], patch: Partial<Config> = {}) => generated('attempt', policies, patch);
  // biome-ignore lint/suspicious/noExplicitAny: a parsed Envoy document
  const filterOf = (bootstrap: Bootstrap, cluster: string): any =>
    Object.values(bootstrap.cluster(cluster).typed_extension_protocol_options)[0]!.http_filters?.[0];

  test('asks once an attempt, for request headers only, and fails closed', () => {
    const bootstrap = attempt([orders, legacy]);
    const { name, typed_config } = filterOf(bootstrap, 'legacy.legacy.example.com');
    assert.equal(name, 'envoy.filters.http.ext_proc');
    assert.equal(typed_config.failure_mode_allow, false);
    const { request_header_mode, ...others } = typed_config.processing_mode;
    assert.equal(request_header_mode, 'SEND');
    assert.deepEqual(new Set(Object.values(others)), new Set(['SKIP', 'NONE']));
    assert.deepEqual(
      typed_config.forward_rules.allowed_headers.patterns.map((p: { exact: string }) => p.exact),
      [':method', ':path', ':authority', ':scheme', 'x-request-id', 'x-envoy-attempt-count', 'x-api-key'],
    );
    assert.equal(filterOf(bootstrap, 'passthrough'), undefined);
  });

  test('marks the cluster, and the attempt count, and asks for no attribute', () => {
    const bootstrap = attempt();
    const cluster = bootstrap.cluster('orders.orders.example.com');
    assert.deepEqual(cluster.metadata?.filter_metadata.bearerd, {
      source: 'orders',
      policy: 'orders',
      door: 'attempt',
    });
    const { typed_config } = filterOf(bootstrap, 'orders.orders.example.com');
    assert.deepEqual(typed_config.grpc_service.initial_metadata, [
      { key: 'bearerd-policy', value: 'orders' },
      { key: 'bearerd-upstream-cluster', value: '%UPSTREAM_CLUSTER_RAW%' },
      { key: 'bearerd-upstream-protocol', value: '%UPSTREAM_PROTOCOL%' },
      { key: 'bearerd-upstream-tls', value: '%UPSTREAM_TLS_VERSION%' },
    ]);
    assert.equal(typed_config.request_attributes, undefined);
    const [host] = bootstrap.manager.route_config.virtual_hosts;
    assert.equal(host.include_request_attempt_count, true);
  });

  test('waits longer for bearerd than bearerd for a credential', () => {
    const { message_timeout } = filterOf(
      attempt([orders], { maxWaitMs: 7_000 }),
      'orders.orders.example.com',
    ).typed_config;
    assert.equal(message_timeout, '10s');
  });

  test('retries once, at once', () => {
    const retry = attempt().route('GET', 'orders.example.com', '/')?.route?.retry_policy;
    assert.equal(retry?.['num_retries'], 1);
    assert.deepEqual(retry?.['retry_back_off'], { base_interval: '0.001s', max_interval: '0.001s' });
  });

  test('reports every failed attempt where the attempts themselves are asked about', () => {
    const [log, ...others] = attempt().filter('envoy.filters.http.router').typed_config.upstream_log;
    assert.deepEqual(others, []);
    const { common_config } = log.typed_config;
    assert.equal(common_config.log_name, 'bearerd_attempt');
    assert.equal(common_config.grpc_service.envoy_grpc.cluster_name, 'bearerd_check');
    const filters = JSON.stringify(log.filter.or_filter.filters);
    for (const part of ['401', '500', 'response_flag_filter', 'UNAUTHENTICATED', 'UNAVAILABLE']) {
      assert.ok(filters.includes(part), part);
    }
  });

  test('turns Envoy’s own answer without bearerd into 503 with a reason, and no other', () => {
    const { mappers } = attempt().manager.local_reply_config;
    assert.equal(mappers.length, 1);
    assert.equal(mappers[0].status_code, 503);
    assert.equal(
      mappers[0].filter.extension_filter.typed_config.expression,
      "response.code_details.startsWith('ext_proc_error')",
    );
  });

  test('needs no socket for secrets, and our own HTTP/2', () => {
    const { check } = configOf([]).listen;
    const listen = { ...configOf([]).listen, xds: [] };
    assert.ok(!attempt([orders], { listen }).clusters.some((c) => c.name === 'bearerd_xds'));
    assert.match(
      problemsOf(() => attempt([orders], { listen: { ...listen, check: { ...check!, front: 'node' } } }))[0]!,
      /front: node cannot serve the attempt door/,
    );
    assert.match(
      problemsOf(() => attempt([orders], { listen: { ...listen, check: undefined } }))[0]!,
      /listen\.check is missing/,
    );
  });
});

describe('proofs', () => {
  const proof = { upstreamUrl: 'https://api.example.com', dpop: true, sign: undefined };
  const bound: PolicySketch = { ...orders, proof };

  test('are refused for check and push by name, and served best by attempt', () => {
    for (const door of ['check', 'push'] as const) {
      assert.match(
        problemsOf(() => generated(door, [bound]))[0]!,
        new RegExp(`^outbound\\.orders: DPoP proofs cannot be served by ${door}`),
      );
    }
    const cluster = generated('best', [bound]).cluster('orders.orders.example.com');
    assert.equal(cluster.metadata?.filter_metadata.bearerd['door'], 'attempt');
  });

  test('have one more retry for a nonce, and every answer that brings one is reported', () => {
    const bootstrap = generated('attempt', [bound]);
    const retry = bootstrap.route('GET', 'orders.example.com', '/')?.route?.retry_policy;
    assert.equal(retry?.['num_retries'], 2);
    const [log] = bootstrap.filter('envoy.filters.http.router').typed_config.upstream_log;
    assert.match(JSON.stringify(log.filter), /'dpop-nonce' in response.headers/);
    const headers = log.typed_config.additional_response_headers_to_log;
    for (const name of ['www-authenticate', 'dpop-nonce']) assert.ok(headers.includes(name), name);
    const off = generated('attempt', [{ ...bound, healOn: 'off' }]);
    const only = off.route('GET', 'orders.example.com', '/')?.route?.retry_policy;
    assert.match(JSON.stringify(only?.['retriable_headers']), /use_dpop_nonce/);
    assert.equal(only?.['retriable_status_codes'], undefined);
  });
});

describe('the best door', () => {
  test('is push where Envoy can decide alone, else attempt', () => {
    const strict: PolicySketch = { ...legacy, neverStale: true };
    const bootstrap = generated('best', [orders, strict]);
    const door = (name: string) => bootstrap.cluster(name).metadata?.filter_metadata.bearerd['door'];
    assert.equal(door('orders.orders.example.com'), 'push');
    assert.equal(door('legacy.legacy.example.com'), 'attempt');
    const logs = bootstrap.filter('envoy.filters.http.router').typed_config.upstream_log;
    assert.equal(logs.length, 2);
  });
});

describe('both doors', () => {
  test('serve each policy by push where it can be and by check otherwise', () => {
    const bootstrap = generated('both', [{ ...orders, neverStale: true }, legacy]);
    const checked = bootstrap.route('GET', 'orders.example.com', '/');
    assert.ok(checked?.typed_per_filter_config?.[EXT_AUTHZ]);
    assert.equal(injectorOf(bootstrap.cluster(checked.route!.cluster)), undefined);
    const pushed = bootstrap.route('GET', 'legacy.example.com', '/');
    assert.equal(pushed?.typed_per_filter_config, undefined);
    assert.ok(injectorOf(bootstrap.cluster(pushed!.route!.cluster)));
  });

  test('do not ask for what push serves when the check is on for everything else', () => {
    const bootstrap = generated('both', [orders], { unmatched: 'deny' });
    const route = bootstrap.route('GET', 'orders.example.com', '/');
    assert.equal(route?.typed_per_filter_config?.[EXT_AUTHZ]?.disabled, true);
  });
});

describe('what cannot be generated', () => {
  test('a missing or changing address of the check door is named', () => {
    const listen = configOf([]).listen;
    const without = configOf([orders], { listen: { ...listen, check: undefined } });
    assert.match(
      problemsOf(() => generateEnvoy(without, { door: 'check' }))[0]!,
      /^listen\.check is missing/,
    );
    const random = configOf([orders], {
      listen: {
        ...listen,
        check: { listener: { kind: 'tcp', host: '127.0.0.1', port: 0 }, front: 'raw', tls: undefined },
      },
    });
    assert.match(problemsOf(() => generateEnvoy(random, { door: 'check' }))[0]!, /^listen\.check has port 0/);
  });

  test('an upstream for a host of no policy is named, since it would be a misspelt one', () => {
    const upstreams = { 'order.example.com': { address: '127.0.0.1', port: 1 } };
    assert.match(
      problemsOf(() => generateEnvoy(configOf([orders]), { door: 'check', upstreams }))[0]!,
      /order\.example\.com/,
    );
  });
});

describe('the text', () => {
  test('is the same for the same input and says why beside the settings', () => {
    const config = configOf([orders, legacy]);
    const text = generateEnvoy(config, { door: 'both' });
    assert.equal(text, generateEnvoy(config, { door: 'both' }));
    assert.match(
      text,
      /# No call leaves without its credential because bearerd is away\.|# The app’s own value/,
    );
  });

  test('comes as pieces with the same settings, each under a heading that says where it goes', () => {
    const config = configOf([orders, legacy]);
    const whole = parse(generateEnvoy(config, { door: 'push' })).static_resources;
    const pieces = parseAllDocuments(generateEnvoy(config, { door: 'push', form: 'pieces' }));
    assert.equal(pieces.length, 4);
    for (const piece of pieces) {
      assert.ok(
        ('commentBefore' in piece && piece.commentBefore) ||
          ('contents' in piece && piece.contents?.commentBefore),
      );
    }
    const [ours, upstreams, manager, routes] = pieces.map((piece) => piece.toJS());
    assert.deepEqual([...ours.clusters, ...upstreams.clusters], whole.clusters);
    const { route_config, local_reply_config } = whole.listeners[0].filter_chains[0].filters[0].typed_config;
    assert.deepEqual(manager.local_reply_config, local_reply_config);
    assert.deepEqual(routes.route_config, route_config);
  });
});

describe('the leak guard', () => {
  const far = { name: 'orders', hosts: ['orders.prod.svc.cluster.local'], allowPlaintext: false };

  test('a credential leaves without TLS only where the policy says so, the address is loopback or the mode is development', () => {
    const config = configOf([far]);
    assert.match(
      problemsOf(() => generateEnvoy(config, { door: 'check' }))[0]!,
      /^host orders\.prod\.svc\.cluster\.local: the credential of orders would go there in plain text/,
    );
    const at = (address: string) => ({
      door: 'push' as const,
      upstreams: { 'orders.prod.svc.cluster.local': { address, port: 80 } },
    });
    assert.match(problemsOf(() => generateEnvoy(config, at('10.0.0.1')))[0]!, /in plain text/);
    generateEnvoy(config, at('127.0.0.1'));
    assert.match(
      problemsOf(() => generateEnvoy(config, { door: 'push', form: 'pieces' }))[0]!,
      /in plain text/,
    );
    generateEnvoy(configOf([far], { mode: 'development' }), { door: 'push' });
    generateEnvoy(configOf([{ ...far, hosts: ['api.example.com'] }]), { door: 'push' });
    generateEnvoy(configOf([{ ...far, allowPlaintext: true }]), { door: 'push' });
    assert.match(
      problemsOf(() =>
        generateEnvoy(configOf([{ ...far, hosts: ['api.example.com:80'] }]), { door: 'push' }),
      )[0]!,
      /host api\.example\.com:80/,
    );
  });
});
