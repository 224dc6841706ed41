// The hour as a picture: one column a minute, drawn again in place on a terminal, once at the end in a pipe.

export type BreakerState = 'closed' | 'half open' | 'open';

/** What happened in one minute of the hour. */
export interface Column {
  providerAway: boolean;
  breaker: BreakerState;
  /** Minutes. */
  runway: number;
  tokenCalls: number;
  readonly doors: Map<string, { served: number; denied: number; lost: number }>;
}

export interface PictureOptions {
  readonly output: NodeJS.WriteStream;
  readonly minutes: number;
  /** Full height of the runway. */
  readonly lifetimeMinutes: number;
  readonly doors: readonly string[];
}

export interface Picture {
  /** `columns` so far, the last one still growing; `note` below it. */
  draw(columns: readonly Column[], note: string): void;
  /** The last one, which stays. */
  end(columns: readonly Column[], note: string): void;
}

const BARS = ' ▁▂▃▄▅▆▇█';
const NAME_WIDTH = 12;
/** With what the signs mean on the right. */
const WIDE = 110;
const RED = 31;
const GREEN = 32;
const YELLOW = 33;
const GREY = 90;
const BOLD = 1;

export function createPicture({ output, minutes, lifetimeMinutes, doors }: PictureOptions): Picture {
  const isTerminal = output.isTTY === true;
  // A line that wraps would spoil every frame.
  const isWide = () => !isTerminal || output.columns >= WIDE;
  const colour = (code: number, text: string) => (isTerminal ? `\u001b[${code}m${text}\u001b[0m` : text);
  let height = 0;

  const cells = (columns: readonly Column[], cell: (column: Column) => string) =>
    Array.from({ length: minutes }, (_, i) => {
      const column = columns[i];
      return column === undefined ? colour(GREY, '·') : cell(column);
    }).join('');

  const bar = (share: number) => BARS[Math.max(share > 0 ? 1 : 0, Math.min(8, Math.round(share * 8)))]!;

  function runway({ runway }: Column): string {
    if (runway <= 0) return colour(RED, '×');
    const share = runway / lifetimeMinutes;
    return colour(share > 0.4 ? GREEN : share > 0.15 ? YELLOW : RED, bar(share));
  }

  function breaker({ breaker }: Column): string {
    if (breaker === 'closed') return colour(GREEN, '─');
    return breaker === 'open' ? colour(RED, '▔') : colour(YELLOW, '╌');
  }

  function calls({ tokenCalls }: Column): string {
    if (tokenCalls === 0) return ' ';
    return tokenCalls > 9 ? '+' : String(tokenCalls);
  }

  function door(name: string) {
    return ({ doors }: Column): string => {
      const { served, denied, lost } = doors.get(name)!;
      if (lost > 0) return colour(RED, '!');
      if (served + denied === 0) return ' ';
      if (denied === 0) return colour(GREEN, '█');
      return served === 0 ? colour(RED, '░') : colour(YELLOW, '▒');
    };
  }

  function row(name: string, line: string, told = ''): string {
    return `  ${name.padEnd(NAME_WIDTH)}${line}${isWide() ? `  ${colour(GREY, told)}` : ''}`;
  }

  function lines(columns: readonly Column[], note: string): string[] {
    const axis = Array.from({ length: minutes / 10 }, (_, i) => `└${String(i * 10).padEnd(9)}`).join('');
    const now = columns.at(-1);
    const sum = (pick: (column: Column) => number) => columns.reduce((total, c) => total + pick(c), 0);
    return [
      '',
      colour(BOLD, '  An hour with two outages of the identity provider, in a minute'),
      '',
      row(
        'provider',
        cells(columns, (c) => (c.providerAway ? colour(RED, '░') : colour(GREEN, '█'))),
        '█ answers ░ away',
      ),
      row('breaker', cells(columns, breaker), now?.breaker ?? ''),
      row('token calls', cells(columns, calls), `${sum((c) => c.tokenCalls)} in all`),
      row(
        'runway',
        cells(columns, runway),
        now === undefined ? '' : `${Math.max(0, now.runway).toFixed(0)} min left × none`,
      ),
      ...doors.map((name) =>
        row(
          name,
          cells(columns, door(name)),
          `${sum((c) => c.doors.get(name)!.served)} × 200, ${sum((c) => c.doors.get(name)!.denied)} × 503`,
        ),
      ),
      row('', `${axis}${minutes}`, 'minutes'),
      '',
      `  ${now === undefined ? '' : `minute ${columns.length}: `}${note}`,
      '',
    ];
  }

  function write(text: readonly string[]): void {
    const up = height > 0 ? `\u001b[${height}A` : '';
    output.write(up + text.map((line) => `\u001b[2K${line}\n`).join(''));
    height = text.length;
  }

  return {
    draw(columns, note) {
      if (isTerminal) write(lines(columns, note));
    },
    end(columns, note) {
      if (isTerminal) write(lines(columns, note));
      else output.write(`${lines(columns, note).join('\n')}\n`);
    },
  };
}
