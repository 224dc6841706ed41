import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parse } from 'yaml';
import type { SidecarOptions } from '../../../src/config/sidecar-file.ts';
import { parseSidecarFile } from '../../../src/config/sidecar-file.ts';
import { reviewAdmission } from '../../../src/kubernetes/admission.ts';
import { injectSidecar } from '../../../src/kubernetes/inject.ts';
import { injectionTemplate } from '../../../src/kubernetes/injection-template.ts';
import { patchBetween } from '../../../src/kubernetes/json-patch.ts';
import type { Container, Pod } from '../../../src/kubernetes/pod.ts';
import { ConfigError } from '../../../src/lib/errors.ts';

const options: SidecarOptions = parseSidecarFile(
  'image: bearerd:1\nsecret: keys\ntoken_audience: idp\n',
  'sidecar.yaml',
);

const pod = (spec: Pod['spec'], metadata: Pod['metadata'] = {}): Pod => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'app-1', ...metadata },
  spec: { serviceAccountName: 'app', ...spec },
});
const app: Container = { name: 'app', image: 'app:1', volumeMounts: [{ name: 'data', mountPath: '/data' }] };
const proxy: Container = {
  name: 'istio-proxy',
  image: 'proxyv2',
  volumeMounts: [{ name: 'istio-data', mountPath: '/x' }],
};
const init: Container = { name: 'istio-init', image: 'proxyv2' };

const inject = (given: Pod): Pod => injectSidecar(given, options)!.pod;
const names = (list: readonly { readonly name: string }[] | undefined): string[] =>
  (list ?? []).map(({ name }) => name);

describe('the sidecar in a pod', () => {
  test('stands right before a native istio-proxy, after what prepares the network', () => {
    const { spec } = inject(pod({ initContainers: [init, proxy], containers: [app] }));
    assert.deepEqual(names(spec?.initContainers), ['istio-init', 'bearerd', 'istio-proxy']);
  });

  test('is a native sidecar also where istio-proxy is an ordinary container', () => {
    const { spec } = inject(pod({ initContainers: [init], containers: [app, proxy] }));
    assert.deepEqual(names(spec?.initContainers), ['bearerd', 'istio-init']);
    assert.equal(spec?.initContainers?.[0]?.['restartPolicy'], 'Always');
  });

  test('gives its sockets to istio-proxy and never to the app', () => {
    const { spec } = inject(pod({ containers: [app, proxy] }));
    const mounts = spec!.containers!.map(({ volumeMounts }) => names(volumeMounts));
    assert.deepEqual(mounts, [['data'], ['istio-data', 'bearerd-sockets']]);
  });

  test('takes the sockets away from an app that mounts them by itself', () => {
    const greedy = { ...app, volumeMounts: [{ name: 'bearerd-sockets', mountPath: '/steal' }] };
    const { spec } = inject(pod({ containers: [greedy, proxy] }));
    assert.deepEqual(spec!.containers![0]!.volumeMounts, []);
  });

  test('takes its secrets and its token away from every other container', () => {
    const volumeMounts = ['secrets', 'token', 'config', 'sockets'].map((what) => ({
      name: `bearerd-${what}`,
      mountPath: `/steal/${what}`,
    }));
    const greedy = { ...app, volumeMounts };
    const { spec } = inject(
      pod({
        initContainers: [{ ...greedy, name: 'init' }],
        containers: [greedy, { ...proxy, volumeMounts }],
      }),
    );
    assert.deepEqual(spec!.initContainers![1]!.volumeMounts, []);
    assert.deepEqual(
      spec!.containers!.map(({ volumeMounts: left }) => names(left)),
      [[], ['bearerd-sockets']],
    );
    assert.equal(spec!.containers![1]!.volumeMounts![0]!.mountPath, '/run/bearerd');
  });

  test('leaves an app its own volumes, whatever they are called', () => {
    const volumes = [{ name: 'bearerd-docs-data', emptyDir: {} }];
    const docs = { ...app, volumeMounts: [{ name: 'bearerd-docs-data', mountPath: '/data' }] };
    const { spec } = inject(pod({ containers: [docs, proxy], volumes }));
    assert.deepEqual(spec!.volumes![0], volumes[0]);
    assert.equal(spec!.containers![0], docs);
  });

  for (const [what, spec, reason] of [
    ['a container', { containers: [{ ...app, name: 'bearerd' }] }, /a container is called bearerd already/],
    [
      'an init container',
      { initContainers: [{ ...init, name: 'bearerd' }], containers: [app] },
      /a container is called bearerd already/,
    ],
    ['Windows', { os: { name: 'windows' }, containers: [app] }, /Windows: nothing is injected/],
  ] as const) {
    test(`stays away from a pod that it would break, and says so: ${what}`, () => {
      const given = pod(spec);
      const { pod: left, warnings } = injectSidecar(given, options)!;
      assert.equal(left, given);
      assert.match(warnings.join(), reason);
    });
  }

  test('tells whose mount it takes away, and nobody of its own', () => {
    const greedy = { ...app, volumeMounts: [{ name: 'bearerd-config', mountPath: '/c' }] };
    const { pod: once, warnings } = injectSidecar(pod({ containers: [greedy, proxy] }), options)!;
    assert.deepEqual(warnings, [
      'bearerd: container app loses its mount of bearerd-config: the sidecar’s own',
    ]);
    assert.deepEqual(injectSidecar(once, options)!.warnings, []);
  });

  for (const shared of ['hostPID', 'shareProcessNamespace']) {
    test(`warns where other containers may look into its process: ${shared}`, () => {
      const { warnings } = injectSidecar(pod({ containers: [app, proxy], [shared]: true }), options)!;
      assert.match(warnings.join(), new RegExp(`with ${shared} other containers`));
    });
  }

  test('runs without root, without capabilities, on a read-only root, in the group of istio-proxy', () => {
    const sidecar = inject(pod({ containers: [app, proxy] })).spec!.initContainers![0]!;
    assert.deepEqual(sidecar['securityContext'], {
      runAsNonRoot: true,
      runAsUser: 65_532,
      runAsGroup: 1_337,
      readOnlyRootFilesystem: true,
      allowPrivilegeEscalation: false,
      capabilities: { drop: ['ALL'] },
      seccompProfile: { type: 'RuntimeDefault' },
    });
  });

  test('can read its secrets and its token: without an fsGroup the kubelet leaves them to root', () => {
    const { spec } = inject(pod({ containers: [app, proxy] }));
    const modes = spec!.volumes!.map(({ name, secret, projected }) => [
      name,
      ((secret ?? projected) as { defaultMode?: number } | undefined)?.defaultMode,
    ]);
    assert.deepEqual(modes, [
      ['bearerd-sockets', undefined],
      ['bearerd-config', undefined],
      ['bearerd-secrets', 0o444],
      ['bearerd-token', 0o444],
    ]);
  });

  test('is the same after a second time: nothing is patched', () => {
    const once = inject(
      pod({ initContainers: [init], containers: [app, proxy], volumes: [{ name: 'data' }] }),
    );
    assert.deepEqual(patchBetween(once, inject(once)), []);
  });

  test('moves before an istio-proxy that another webhook put in front of it later', () => {
    const first = inject(pod({ containers: [app] }));
    const spec = { ...first.spec, initContainers: [init, proxy, ...first.spec!.initContainers!] };
    const second = inject({ ...first, spec });
    assert.deepEqual(names(second.spec?.initContainers), ['istio-init', 'bearerd', 'istio-proxy']);
    assert.ok(names(second.spec!.initContainers!.at(-1)!.volumeMounts).includes('bearerd-sockets'));
  });

  test('follows the annotation that names another ConfigMap, and says what was done', () => {
    const { metadata, spec } = inject(
      pod({ containers: [app, proxy] }, { annotations: { 'bearerd.io/config': 'mine' } }),
    );
    assert.deepEqual(spec?.volumes?.find(({ name }) => name === 'bearerd-config')?.['configMap'], {
      name: 'mine',
    });
    assert.deepEqual(JSON.parse(metadata!.annotations!['bearerd.io/status']!), {
      container: 'bearerd',
      image: 'bearerd:1',
      config: 'mine',
      before: 'istio-proxy',
    });
  });

  test('takes an annotation of nothing for none', () => {
    const { spec } = inject(pod({ containers: [app, proxy] }, { annotations: { 'bearerd.io/config': '' } }));
    assert.deepEqual(spec?.volumes?.find(({ name }) => name === 'bearerd-config')?.['configMap'], {
      name: 'bearerd',
    });
  });

  for (const [given, excluded] of [
    [undefined, '9193'],
    ['8080', '8080,9193'],
    ['8080, 9193', '8080, 9193'],
  ] as const) {
    test(`keeps its health port out of Istio's capture beside ${given ?? 'no other'}`, () => {
      const key = 'traffic.sidecar.istio.io/excludeInboundPorts';
      const annotations: Record<string, string> = given === undefined ? {} : { [key]: given };
      const { metadata } = inject(pod({ containers: [app, proxy] }, { annotations }));
      assert.equal(metadata!.annotations![key], excluded);
    });
  }

  test('starts by a probe that needs no Envoy: it begins before istio-proxy, to which Istio turns HTTP probes', () => {
    const [sidecar] = inject(pod({ initContainers: [proxy], containers: [app] })).spec!.initContainers!;
    const { exec, httpGet } = sidecar!['startupProbe'] as { exec?: { command: string[] }; httpGet?: object };
    assert.equal(exec?.command[0], '/usr/bin/node');
    assert.equal(httpGet, undefined);
  });

  test('stays away from a pod that says no', () => {
    assert.equal(
      injectSidecar(pod({ containers: [app] }, { labels: { 'bearerd.io/inject': 'false' } }), options),
      undefined,
    );
  });

  test('keeps every member of the pod that it does not know', () => {
    const given = pod({
      containers: [app, proxy],
      dnsPolicy: 'None',
      volumes: [{ name: 'data', emptyDir: {} }],
    });
    const { spec } = inject(given);
    assert.equal(spec?.['dnsPolicy'], 'None');
    assert.deepEqual(spec?.volumes?.[0], { name: 'data', emptyDir: {} });
    assert.equal(spec?.containers?.[0], app);
  });
});

describe('an AdmissionReview', () => {
  const review = (object: unknown, operation = 'CREATE') =>
    JSON.stringify({
      kind: 'AdmissionReview',
      request: { uid: 'u-1', operation, kind: { kind: 'Pod' }, object },
    });
  const answerTo = (body: string) =>
    (reviewAdmission(body, options) as { response: Record<string, unknown> }).response;

  test('is answered with its uid and a JSON Patch that makes the pod what it should be', () => {
    const { uid, allowed, patchType, patch } = answerTo(review(pod({ containers: [app, proxy] })));
    assert.deepEqual([uid, allowed, patchType], ['u-1', true, 'JSONPatch']);
    const operations = JSON.parse(Buffer.from(patch as string, 'base64').toString()) as { path: string }[];
    assert.deepEqual(
      operations.map(({ path }) => path),
      ['/metadata/annotations', '/spec/initContainers', '/spec/containers', '/spec/volumes'],
    );
  });

  test('of something else than a new pod allows it as it is', () => {
    assert.deepEqual(answerTo(review(pod({}), 'UPDATE')), { uid: 'u-1', allowed: true });
  });

  for (const [what, unreadable] of Object.entries({
    'containers are no list': { metadata: { name: 'a' }, spec: { containers: 'x' } },
    'metadata is nothing': { metadata: null, spec: { containers: [app] } },
    'annotations are a list': { metadata: { annotations: ['a'] }, spec: { containers: [app] } },
    'an annotation is an object': {
      metadata: { annotations: { 'bearerd.io/config': {} } },
      spec: { containers: [app] },
    },
    'mounts are a text': { metadata: {}, spec: { containers: [{ name: 'a', volumeMounts: 'x' }] } },
    'a mount is nothing': { metadata: {}, spec: { containers: [{ name: 'a', volumeMounts: [null] }] } },
    'there is no pod': null,
  })) {
    test(`of a pod that cannot be read allows it as it is: ${what}`, () => {
      assert.deepEqual(answerTo(review(unreadable)), { uid: 'u-1', allowed: true });
    });
  }

  test('carries keys along that mean something to JavaScript', () => {
    const text = '{"name":"a","annotations":{"__proto__":"x","constructor":"y","toString":"z"}}';
    const given = pod({ containers: [app, proxy] }, JSON.parse(text));
    const operations = JSON.parse(
      Buffer.from(answerTo(review(given))['patch'] as string, 'base64').toString(),
    ) as { path: string; value: object }[];
    const { value } = operations.find(({ path }) => path === '/metadata/annotations')!;
    assert.deepEqual(Object.keys(value).slice(0, 3), ['__proto__', 'constructor', 'toString']);
    assert.equal(({} as Record<string, unknown>)['x'], undefined);
  });

  for (const body of [
    '',
    'null',
    '[]',
    '{}',
    '{"kind":"AdmissionReview"}',
    '{"kind":"AdmissionReview","request":{"uid":1}}',
  ]) {
    test(`is refused with a reason when it is none: ${body || 'nothing'}`, () => {
      assert.throws(() => reviewAdmission(body, options), { name: 'NotAnAdmissionReview' });
    });
  }
});

describe('the secrets by which its image is pulled', () => {
  const pulling = parseSidecarFile(
    'image: bearerd:1\nimage_pull_secrets: [{ name: registry }, { name: mirror }]\n',
    'sidecar.yaml',
  );
  const given = pod({ containers: [app], imagePullSecrets: [{ name: 'own' }, { name: 'mirror' }] });

  test('are added to those of the pod, once', () => {
    const { pod: injected } = injectSidecar(given, pulling)!;
    assert.deepEqual(injected.spec!['imagePullSecrets'], [
      { name: 'own' },
      { name: 'mirror' },
      { name: 'registry' },
    ]);
    assert.deepEqual(injectSidecar(injected, pulling)!.pod, injected);
    assert.ok(patchBetween(given, injected).some(({ path }) => path === '/spec/imagePullSecrets'));
  });

  test('are not touched where the sidecar file names none, and come alone where the pod has none', () => {
    assert.deepEqual(inject(given).spec!['imagePullSecrets'], [{ name: 'own' }, { name: 'mirror' }]);
    assert.ok(!('imagePullSecrets' in inject(pod({ containers: [app] })).spec!));
    const { spec } = injectSidecar(pod({ containers: [app] }), pulling)!.pod;
    assert.deepEqual(spec!['imagePullSecrets'], [{ name: 'registry' }, { name: 'mirror' }]);
  });

  test('stand in what Istio’s injector puts into pods', () => {
    const { sidecarInjectorWebhook } = parse(injectionTemplate(pulling));
    assert.deepEqual(
      parse(sidecarInjectorWebhook.templates.bearerd.replaceAll(/^ *\{\{.*\n/gm, '')).spec.imagePullSecrets,
      [{ name: 'registry' }, { name: 'mirror' }],
    );
  });
});

describe('the sidecar file', () => {
  test('is refused with every problem and its place', () => {
    assert.throws(
      () =>
        parseSidecarFile(
          'imagee: x\nrun_as_user: 1337\nresources: { limits: { memory: lots } }\n',
          'sidecar.yaml',
        ),
      (error: unknown) => {
        assert.ok(error instanceof ConfigError);
        const text = error.problems
          .map(({ path, line, message }) => `${line} ${path}: ${message}`)
          .join('\n');
        assert.match(text, /imagee: .*did you mean image/);
        assert.match(text, /2 run_as_user: 1337 is the user of istio-proxy/);
        assert.match(text, /3 resources.limits.memory: expected a quantity/);
        return true;
      },
    );
  });
});
