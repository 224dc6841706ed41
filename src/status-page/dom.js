// Puts what was told into the page without building it anew: focus, selection and reading position stay. Names come from
// configurations and from the network, so all of it is text and never markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** What hides text, turns it around or breaks its line is shown as such. */
export const plain = (text) => text.replace(/[\p{C}\p{Zl}\p{Zp}]/gu, '\u{fffd}');

/** Only what changed is touched, so that a live region speaks only then. */
export function setText(target, text) {
  const shown = plain(text);
  if (target.textContent !== shown) target.textContent = shown;
}

/** A piece of a cell: text, text of a class, or an element. */
export const part = (text, className) => ({ text, className });

/**
 * A section with one table. `heads` are the columns; the first one heads each row. Roles are stated since a phone shows rows
 * as blocks, which some browsers would take for no table any more.
 */
export function createTable(parent, id, title, caption, heads) {
  const section = element('section', { class: 'group', id, 'aria-labelledby': `${id}-title`, hidden: '' });
  const body = element('tbody', { role: 'rowgroup' });
  const head = element(
    'tr',
    { role: 'row' },
    ...heads.map((text) => element('th', { scope: 'col', role: 'columnheader' }, text)),
  );
  section.append(
    element('h2', { id: `${id}-title` }, title),
    element(
      'table',
      { role: 'table' },
      element('caption', {}, caption),
      element('thead', { role: 'rowgroup' }, head),
      body,
    ),
  );
  parent.append(section);
  const rows = new Map();

  function rowOf(key) {
    const known = rows.get(key);
    if (known !== undefined) return known;
    const cells = heads.map((text, at) =>
      at === 0
        ? element('th', { scope: 'row', role: 'rowheader' })
        : element('td', { role: 'cell', 'data-head': text }, element('div')),
    );
    const row = { tr: element('tr', { role: 'row' }, ...cells), cells, shown: [] };
    rows.set(key, row);
    return row;
  }

  return {
    section,
    /** `items`: [key, cells], a cell = a list of parts. Hidden without any. */
    show(items) {
      section.hidden = items.length === 0;
      const wanted = new Set(items.map(([key]) => key));
      for (const [key, { tr }] of rows) {
        if (wanted.has(key)) continue;
        tr.remove();
        rows.delete(key);
      }
      items.forEach(([key, cells], at) => {
        const row = rowOf(key);
        for (const [column, parts] of cells.entries()) fill(row, column, parts);
        if (body.children[at] !== row.tr) body.insertBefore(row.tr, body.children[at] ?? null);
      });
    },
  };
}

function fill(row, column, parts) {
  const made = parts.map((one) =>
    one instanceof Element
      ? one
      : element('span', one.className ? { class: one.className } : {}, plain(one.text)),
  );
  const text = made.map((one) => one.outerHTML).join('');
  if (row.shown[column] === text) return;
  row.shown[column] = text;
  const cell = row.cells[column];
  (cell.firstElementChild?.tagName === 'DIV' ? cell.firstElementChild : cell).replaceChildren(...made);
}
