// Writes monitoring/grafana/bearerd.json from the rows of tools/dashboard/rows.ts.
import { writeFile } from 'node:fs/promises';
import { buildDashboard } from './dashboard/dashboard.ts';

await writeFile('monitoring/grafana/bearerd.json', `${JSON.stringify(buildDashboard(), null, 2)}\n`);
