// The dashboard as Grafana imports it: rows.ts laid out three panels a line.
import { type Panel, ROWS } from './rows.ts';

const WIDTH = 8;
const HEIGHT = 7;
const A_LINE = 24 / WIDTH;

export function buildDashboard(): object {
  const panels: object[] = [];
  let y = 0;
  for (const row of ROWS) {
    panels.push({
      ...{ id: panels.length + 1, type: 'row', title: row.title, collapsed: false, panels: [] },
      gridPos: { x: 0, y: y++, w: 24, h: 1 },
    });
    for (const [i, panel] of row.panels.entries()) {
      const gridPos = {
        x: (i % A_LINE) * WIDTH,
        y: y + Math.floor(i / A_LINE) * HEIGHT,
        w: WIDTH,
        h: HEIGHT,
      };
      panels.push({ id: panels.length + 1, ...timeSeries(panel), gridPos });
    }
    y += Math.ceil(row.panels.length / A_LINE) * HEIGHT;
  }
  return {
    ...{ uid: 'bearerd', title: 'bearerd', tags: ['bearerd'], schemaVersion: 39, version: 1 },
    ...{ editable: true, graphTooltip: 1, refresh: '30s', timezone: 'browser' },
    time: { from: 'now-1h', to: 'now' },
    annotations: { list: [] },
    links: [],
    templating: { list: [datasource(), instances()] },
    panels,
  };
}

const DATASOURCE = { type: 'prometheus', uid: '$' + '{datasource}' };

function timeSeries({ title, unit, queries, alarm }: Panel): object {
  const steps = [
    { color: alarm?.below ? 'red' : 'green', value: null },
    ...(alarm === undefined ? [] : [{ color: alarm.below ? 'green' : 'red', value: alarm.at }]),
  ];
  return {
    type: 'timeseries',
    title,
    datasource: DATASOURCE,
    fieldConfig: {
      defaults: {
        unit,
        thresholds: { mode: 'absolute', steps },
        custom: { thresholdsStyle: { mode: alarm === undefined ? 'off' : 'line' } },
      },
      overrides: [],
    },
    options: { legend: { displayMode: 'list', placement: 'bottom' }, tooltip: { mode: 'multi' } },
    targets: queries.map(({ expr, legend }, i) => ({
      ...{ refId: String.fromCharCode(65 + i), datasource: DATASOURCE, expr, legendFormat: legend },
    })),
  };
}

function datasource(): object {
  return { name: 'datasource', type: 'datasource', query: 'prometheus', label: 'Prometheus', hide: 0 };
}

function instances(): object {
  const query = 'label_values(bearerd_configuration_revision, instance)';
  return {
    ...{ name: 'instance', type: 'query', label: 'Sidecar', datasource: DATASOURCE },
    ...{ definition: query, query: { query, refId: 'instances' }, refresh: 2, sort: 1 },
    ...{ multi: true, includeAll: true, allValue: '.*', current: { text: 'All', value: '$__all' } },
  };
}
