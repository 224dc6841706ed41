// `npm run parts:kubernetes`: builds once what the tests against a real Kubernetes API and a real istiod need.
import { buildIstio } from './istio.ts';
import { buildKubernetes } from './kubernetes.ts';

for (const parts of [await buildKubernetes(), await buildIstio()]) {
  for (const [name, path] of Object.entries(parts)) process.stdout.write(`${name}: ${path}\n`);
}
