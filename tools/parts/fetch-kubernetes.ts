// `npm run parts:kubernetes`: builds once what the tests against a real Kubernetes API and a real istiod need.
import { otherCrds } from './crds.ts';
import { buildHelm } from './helm.ts';
import { buildIstio } from './istio.ts';
import { kubeconformBinary } from './kubeconform.ts';
import { buildKubernetes } from './kubernetes.ts';

const tools = {
  helm: await buildHelm(),
  kubeconform: await kubeconformBinary(),
  crds: (await otherCrds()).join(' '),
};
for (const parts of [tools, await buildKubernetes(), await buildIstio()]) {
  for (const [name, path] of Object.entries(parts)) process.stdout.write(`${name}: ${path}\n`);
}
