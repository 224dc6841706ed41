// bearerd by Istio's own injector, for who wants no second webhook: a template beside the one of istio-proxy.
import type { SidecarOptions } from '../config/sidecar-file.ts';
import { toYaml } from '../lib/commented-yaml.ts';
import { PROXY_NAME } from './inject.ts';
import { buildSidecar, buildVolumes, socketsMount } from './sidecar.ts';

const HEADING = `Values of Istio's chart (istiod): helm upgrade istiod … --reuse-values -f THIS.
Pods ask for it by the annotation inject.istio.io/templates: "sidecar,bearerd"; sidecarInjectorWebhook.defaultTemplates:
[sidecar, bearerd] does so for all. Istio puts its own native sidecar before all others: its Envoy starts first and waits
up to 2 s for its first secrets. "bearerd webhook" places bearerd before it. Prometheus reaches bearerd under STRICT mTLS in pods with
the annotation traffic.sidecar.istio.io/excludeInboundPorts: "9193", which "bearerd webhook" writes itself.`;

/** As Istio's own template decides where istio-proxy stands: with this line its list is another one. */
const UNLESS_NATIVE =
  '  {{- if eq (index .ObjectMeta.Annotations `sidecar.istio.io/nativeSidecar` | default (printf "%t" .NativeSidecars)) "false" }}\n$&\n  {{- end }}';

/** Values for Istio's chart, YAML. */
export function injectionTemplate(options: SidecarOptions): string {
  const pod = {
    spec: {
      initContainers: [buildSidecar(options)],
      containers: [{ name: PROXY_NAME, volumeMounts: [socketsMount] }],
      volumes: buildVolumes(options),
      imagePullSecrets: options.imagePullSecrets.length === 0 ? undefined : options.imagePullSecrets,
    },
  };
  const bearerd = toYaml(pod).replace(/^ {2}containers:$/m, UNLESS_NATIVE);
  return toYaml({ sidecarInjectorWebhook: { templates: { bearerd } } }, HEADING);
}
