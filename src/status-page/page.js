// Asks /status every two seconds and shows it; says so when nobody answers any more.
import { element, plain, setText } from './dom.js';
import { createTables } from './tables.js';
import { clockTime, duration } from './words.js';

const EVERY_MS = 2_000;
const PATIENCE_MS = 5_000;

const at = (id) => document.getElementById(id);
const tables = createTables(at('tables'));
let paused = false;
/** When the first of the questions without an answer was asked; undefined = the last one was answered. */
let goneSince;
let answeredAt;

for (const { id, title } of tables.sections) {
  at('sections').append(
    element('li', { id: `to-${id}`, hidden: '' }, element('a', { href: `#${id}` }, title)),
  );
}

at('pause').addEventListener('click', () => {
  paused = !paused;
  at('pause').setAttribute('aria-pressed', String(paused));
});

const VERDICTS = {
  healthy: () => 'All is well',
  note: () => 'Well; something mends itself',
  warning: (count) => `${count === 1 ? 'One thing needs' : `${count} things need`} a look`,
  critical: (count) => `${count === 1 ? 'One thing needs' : `${count} things need`} you now`,
};

function show(status) {
  const { findings, version, node, missing, sources, policies, now } = status;
  const [worst] = findings;
  const state = worst?.severity ?? 'healthy';
  const healing = findings.some(({ severity, text }) => severity === 'note' && text.includes('heal'));
  const count = findings.filter(({ severity }) => severity === state).length;
  const text = state === 'note' && healing ? 'Healing' : VERDICTS[state](count);
  at('top').dataset.state = state;
  setText(at('verdict'), text);
  setText(at('spoken'), text);
  document.title = plain(`${text} – bearerd on ${node}`);
  setText(at('who'), `${version} on ${node}`);
  const next = Math.min(...sources.map(({ nextRefreshAt }) => nextRefreshAt ?? Number.POSITIVE_INFINITY));
  setText(
    at('facts'),
    [
      missing.length === 0 ? 'Ready' : `Not ready, missing: ${missing.join(', ')}`,
      sources.length === 1 ? '1 source' : `${sources.length} sources`,
      policies.length === 1 ? '1 policy' : `${policies.length} policies`,
      ...(Number.isFinite(next) ? [`next renewal in ${duration(next - now)}`] : []),
    ].join(' · '),
  );
  showFindings(findings);
  tables.show(status);
  for (const { id, section } of tables.sections) at(`to-${id}`).hidden = section.hidden;
}

const LEVEL_WORDS = { critical: 'Critical', warning: 'Warning', note: 'Note', more: '' };
/** Where all of a thousand sources fail, the tables are not far below. */
const MAX_FINDINGS = 20;

function showFindings(all) {
  const list = at('findings');
  const findings = all.slice(0, MAX_FINDINGS);
  if (all.length > MAX_FINDINGS) {
    const text = `${all.length - MAX_FINDINGS} more: the tables below and "bearerd status" have them`;
    findings.push({ severity: 'more', about: '', text });
  }
  while (list.children.length > findings.length) list.lastElementChild.remove();
  findings.forEach(({ severity, about, text }, i) => {
    if (list.children[i] === undefined) {
      const what = element('span', { class: 'text' }, element('strong'), ' ', element('span'));
      list.append(element('li', {}, element('span'), what));
    }
    const [level, what] = list.children[i].children;
    level.className = `level ${severity}`;
    setText(level, LEVEL_WORDS[severity]);
    setText(what.children[0], about);
    setText(what.children[1], text);
  });
}

/** `why` is ours. Said once and not every two seconds, since it is read aloud: the time since when does not move. */
function showGone(why) {
  const last =
    answeredAt === undefined ? '' : ` What stands below is what it said at ${clockTime(answeredAt)}.`;
  setText(at('gone'), `${why} since ${clockTime(goneSince)}.${last}`);
  at('gone').hidden = false;
  document.body.classList.add('stale');
  document.title = `No answer – bearerd`;
  if (answeredAt === undefined) setText(at('verdict'), 'Nothing is known');
}

async function ask() {
  const askedAt = Date.now();
  try {
    const response = await fetch('status', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) throw new Error(String(response.status));
    show(await response.json());
    goneSince = undefined;
    answeredAt = Date.now();
    at('gone').hidden = true;
    document.body.classList.remove('stale');
  } catch (error) {
    goneSince ??= askedAt;
    showGone(
      error.message === '401' ? 'bearerd does not take the token any more' : 'bearerd does not answer',
    );
  }
}

async function watch() {
  for (;;) {
    if (!paused && !document.hidden) await ask();
    const told = answeredAt === undefined ? 'never' : clockTime(answeredAt);
    setText(
      at('asked'),
      paused ? `Paused. Last answer ${told}.` : `Asked every ${EVERY_MS / 1000} s. Last answer ${told}.`,
    );
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}

void watch();
