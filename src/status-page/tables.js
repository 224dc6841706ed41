// What each table shows of the answer of /status. Pure but for the drawings.
import { createTable, part } from './dom.js';
import { lastHour, runway } from './plots.js';
import { ago, duration, many, word } from './words.js';

const sub = (text) => part(text, 'sub');
/** Less of its life than this left is worth a colour. */
const SHORT = 0.15;

/** Rates are by the answer before: [policy + door] → total. */
let before = { at: 0, totals: new Map() };

const TABLES = [
  {
    ...{
      id: 'sources',
      title: 'Credentials',
      heads: ['Source', 'Life left', 'Next renewal', 'Fetches, last hour'],
    },
    caption: 'How long each credential lasts; the line marks where it is to be renewed',
    rows: ({ sources, now }) => sources.map((one) => [one.source, sourceCells(one, now)]),
  },
  {
    ...{ id: 'providers', title: 'Providers', heads: ['Endpoint', 'Breaker', 'Calls', 'Last hour'] },
    caption: 'Token endpoints; the strip below the columns shows where the breaker was open',
    rows: ({ endpoints }) => endpoints.map((one) => [one.endpoint, endpointCells(one)]),
  },
  {
    ...{
      id: 'policies',
      title: 'Policies',
      heads: ['Policy', 'Mode', 'Check door', 'Attempt door', 'Injects'],
    },
    caption: 'What was decided since the start; the push door decides inside Envoy and is not counted here',
    rows: (status) => policyRows(status),
  },
  {
    ...{ id: 'inbound', title: 'Incoming', heads: ['Policy', 'Accepted', 'Refused', 'Would be refused'] },
    caption: 'Incoming requests since the start',
    rows: ({ inboundPolicies }) =>
      inboundPolicies.map(({ name, accepted, refused, shadow }) => [
        name,
        [[part(name)], [part(many(accepted))], [part(many(refused))], [part(many(shadow))]],
      ]),
  },
  {
    ...{ id: 'refusals', title: 'Refusals', heads: ['When', 'Policy', 'Refused', 'Done'] },
    caption: 'Refusals by upstreams of late, the latest first',
    rows: ({ feedback, now }) =>
      feedback.map((one, at) => [`${one.at} ${feedback.length - at}`, feedbackCells(one, now)]),
  },
  {
    ...{ id: 'envoys', title: 'Envoys', heads: ['Secret', 'Envoy', 'State', 'Version'] },
    caption: 'Subscribers of the push door and the secrets they have',
    rows: (status) => subscriberRows(status),
  },
  {
    ...{ id: 'inputs', title: 'Keys and lists', heads: ['Input', 'Entries', 'Last current'] },
    caption: 'Key sets, revocation lists and tables of the incoming side',
    rows: ({ inputs, now }) =>
      inputs.map(({ input, entries, currentAt, refused }) => [
        input,
        [
          [part(input)],
          [part(entries === undefined ? '–' : many(entries))],
          [
            part(currentAt === undefined ? 'never' : ago(now - currentAt)),
            ...(refused === undefined ? [] : [part(` ${refused}`, 'warning')]),
          ],
        ],
      ]),
  },
  {
    ...{ id: 'process', title: 'This process', heads: ['Part', 'State'] },
    caption: 'Configuration, certificates and what it writes to',
    rows: (status) => processRows(status),
  },
];

/** Returns [links to show, show(status)]. */
export function createTables(parent) {
  const all = TABLES.map(({ id, title, caption, heads, rows }) => ({
    ...{ id, title, rows },
    table: createTable(parent, id, title, caption, heads),
  }));
  return {
    sections: all.map(({ id, title, table }) => ({ id, title, section: table.section })),
    show(status) {
      for (const { table, rows } of all) table.show(rows(status));
      before = { at: status.now, totals: totalsOf(status) };
    },
  };
}

function sourceCells(one, now) {
  const { source, type, generation, expiresAt, nextRefreshAt, publishedAt, subjects, lastFailure } = one;
  const { svg, label } = lastHour(one.lastHour, [
    ['ok', 'good', 'fetched'],
    ['failed', 'critical', 'failed'],
  ]);
  const next =
    nextRefreshAt === undefined
      ? [part('–')]
      : [part(nextRefreshAt <= now ? 'now' : `in ${duration(nextRefreshAt - now)}`)];
  const name = [
    part(source),
    sub(generation === undefined ? word(type) : `${word(type)}, generation ${generation}`),
  ];
  if (lastFailure !== undefined)
    next.push(part(word(lastFailure), generation === undefined ? 'sub critical' : 'sub warning'));
  const life = () => {
    if (subjects !== undefined) return [part(`${many(subjects)} subjects`)];
    if (generation === undefined) {
      const level = lastFailure === undefined ? 'note' : 'critical';
      return [runway(0, undefined, level), part(lastFailure === undefined ? 'not yet' : 'none', level)];
    }
    if (expiresAt == null) return [runway(1, undefined, 'good'), part('no end of its own')];
    const whole = Math.max(1, expiresAt - (publishedAt ?? now));
    const share = (expiresAt - now) / whole;
    const level = share > SHORT ? (lastFailure === undefined ? 'good' : 'warning') : 'critical';
    const mark = nextRefreshAt === undefined ? undefined : (expiresAt - nextRefreshAt) / whole;
    return [
      runway(share, mark, level),
      part(duration(expiresAt - now), level === 'good' ? undefined : level),
    ];
  };
  return [name, life(), next, [svg, sub(label)]];
}

function endpointCells({ endpoint, breaker, inFlight, queued, refreshesPerHour, lastHour: minutes }) {
  const { svg, label } = lastHour(
    minutes,
    [
      ['calls', 'good', 'calls'],
      ['notSent', 'warning', 'not sent'],
    ],
    ({ breaker: level }) => (level === 2 ? 'critical' : level === 1 ? 'warning' : undefined),
  );
  const level = { closed: 'good', half_open: 'warning', open: 'critical' }[breaker];
  return [
    [part(endpoint)],
    [part(word(breaker), level)],
    [part(`${inFlight} under way`), sub(`${queued} queued, at most ${many(refreshesPerHour)} renewals/h`)],
    [svg, sub(label)],
  ];
}

function policyRows(status) {
  const rows = status.policies.map(({ denies, source, ...policy }) => [
    policy.name,
    [
      [part(policy.name), sub(denies === undefined ? `from ${source}` : `answers ${denies}`)],
      modeCell(policy, status.guard),
      decisionCell(policy, 'check', status.now),
      decisionCell(policy, 'attempt', status.now),
      [
        part([...policy.headers, ...(policy.query === undefined ? [] : [`?${policy.query}`])].join(', ')),
        sub(
          denies === undefined
            ? `heals on ${word(policy.healOn)}; without a credential ${policy.onFailure}`
            : 'denies',
        ),
      ],
    ],
  ]);
  const unmatched = { name: '', decisions: status.unmatched };
  if (status.unmatched.some(({ count }) => count > 0)) {
    const cells = ['check', 'attempt'].map((door) => decisionCell(unmatched, door, status.now));
    rows.push(['\0', [[part('no policy matched')], [part('–')], ...cells, [part('–')]]]);
  }
  return rows;
}

function modeCell({ name, rollout: { mode, percent, by } }, guard) {
  const share = percent === undefined ? '' : ` ${percent} %`;
  const alarm = guard.find(({ policy }) => policy === name)?.alarm;
  return [
    part(`${mode}${share}`, mode === 'enforce' ? undefined : 'note'),
    ...(by === undefined ? [] : [sub(`by ${by}`)]),
    ...(alarm === undefined ? [] : [part(`guard: ${word(alarm)}`, 'sub warning')]),
  ];
}

const LEVELS = { deny: 'warning', error: 'critical' };

function decisionCell({ name, decisions }, door, now) {
  const counts = new Map();
  const reasons = [];
  for (const one of decisions) {
    if (one.door !== door || one.count === 0) continue;
    counts.set(one.decision, (counts.get(one.decision) ?? 0) + one.count);
    if (one.reason !== 'injected') reasons.push(`${many(one.count)} ${word(one.reason)}`);
  }
  if (counts.size === 0) return [part('–')];
  const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
  const earlier = before.totals.get(`${door} ${name}`);
  const rate = earlier === undefined || now <= before.at ? 0 : ((total - earlier) / (now - before.at)) * 1000;
  return [
    ...[...counts].map(([decision, count], at) =>
      part(`${at === 0 ? '' : ', '}${many(count)} ${decision}`, LEVELS[decision]),
    ),
    sub([`${rate < 10 ? rate.toFixed(1) : many(Math.round(rate))}/s now`, ...reasons].join(', ')),
  ];
}

function totalsOf({ policies, unmatched }) {
  const totals = new Map();
  for (const { name, decisions } of [...policies, { name: '', decisions: unmatched }]) {
    for (const { door, count } of decisions) {
      const key = `${door} ${name}`;
      totals.set(key, (totals.get(key) ?? 0) + count);
    }
  }
  return totals;
}

function feedbackCells({ at, door, policy, source, generation, verdict, refresh, renewed }, now) {
  const what = generation === undefined ? word(verdict) : `generation ${generation}`;
  const done =
    renewed !== undefined
      ? part(`generation ${renewed.generation} after ${renewed.at - at} ms`, 'good')
      : refresh === 'started' || refresh === 'joined'
        ? part('being renewed', 'note')
        : part(
            word(refresh ?? 'nothing'),
            refresh === 'limited' || refresh === 'refused_for_good' ? 'warning' : undefined,
          );
  return [
    [part(ago(now - at))],
    [part(policy ?? '–'), sub(source === '' ? `${door} door` : `${source}, ${door} door`)],
    [part(what)],
    [done],
  ];
}

function subscriberRows({ subscribers, subscribersLeftOut, now }) {
  const rows = subscribers.flatMap(({ node, listener, secrets }, stream) =>
    secrets.map(({ name, version, filled, acknowledged, rejected }) => {
      const has = acknowledged?.version === version;
      const state =
        rejected !== undefined
          ? [part('refused', 'critical'), sub(ago(now - rejected.at))]
          : acknowledged === undefined
            ? [part('no word yet', 'note')]
            : [
                part(has ? 'has it' : 'has an older one', has ? undefined : 'note'),
                sub(`since ${duration(now - acknowledged.at)}`),
              ];
      const held = [
        part(version),
        ...(has || acknowledged === undefined ? [] : [sub(`has ${acknowledged.version}`)]),
      ];
      return [
        `${stream} ${name}`,
        [
          [part(name), ...(filled ? [] : [sub('empty')])],
          [part(node === '' ? 'unnamed' : node), sub(listener)],
          state,
          held,
        ],
      ];
    }),
  );
  if (subscribersLeftOut > 0)
    rows.push(['\0', [[part(`${many(subscribersLeftOut)} more`)], [part('–')], [part('–')], [part('–')]]]);
  return rows;
}

function processRows({ configuration, startedAt, certificates, audit, sharedCache, spansLost, now }) {
  const { revision, hash, since, refused } = configuration;
  const rows = [
    ['running', [part(`for ${duration(now - Date.parse(startedAt))}`), sub(`since ${startedAt}`)]],
    [
      'configuration',
      [
        part(`revision ${revision} (${hash})`),
        sub(`since ${since}`),
        ...(refused === undefined ? [] : [part(`a newer one was refused: ${refused}`, 'warning')]),
      ],
    ],
    ...certificates.map(({ listener, notAfter }) => [
      `certificate of ${listener}`,
      [
        part(
          notAfter <= now ? 'ended' : `ends in ${duration(notAfter - now)}`,
          notAfter - now < 604800000 ? 'warning' : undefined,
        ),
      ],
    ]),
  ];
  if (audit !== undefined)
    rows.push([
      'audit trail',
      [
        part(
          `${audit.state}, ${audit.lost} lost`,
          audit.state === 'ok' && audit.lost === 0 ? undefined : 'warning',
        ),
      ],
    ]);
  if (sharedCache !== undefined)
    rows.push([
      'shared cache',
      [
        sharedCache.state === 'up'
          ? part('in use')
          : part(`${sharedCache.state === 'down' ? 'away' : 'in part'}: ${sharedCache.reason}`, 'warning'),
      ],
    ]);
  if (spansLost !== undefined) rows.push(['traces', [part(`${many(spansLost)} spans lost`)]]);
  return rows.map(([name, state]) => [name, [[part(name)], state]]);
}
