// Writes monitoring/alerts.yaml from the alerts of src/kubernetes/alerts.ts.
import { writeFile } from 'node:fs/promises';
import { alertRules } from '../src/kubernetes/alerts.ts';
import { toYaml } from '../src/lib/commented-yaml.ts';

await writeFile(
  'monitoring/alerts.yaml',
  toYaml(alertRules(), 'Prometheus rules of bearerd (npm run alerts).'),
);
