/** The tasks of a board: a tree with filters, sorting, search and keyboard navigation. */

import { signal } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import type { Board } from "../feed/patch";
import { number } from "../format";
import { foundBy, paramsOf, sortedBy, toggled } from "../model/filters";
import { isStable, type Line, linesOf, type Query, type Sort } from "../model/tree";
import { boardHref, taskHref } from "../route";
import { go } from "../store";
import { useKeys } from "./keys";
import { Empty } from "./parts";
import { widthsOf } from "./columns";
import { TaskLine } from "./task-line";
import { focusSearch } from "./search";
import { TaskTools } from "./task-tools";
import { useMedia, useSpan } from "./window";

const REORDER_MS = 2000; // lines that change places four times a second are unreadable
const LINE_PX = 32;
const PHONE_LINE_PX = 62;
const SLOTS = 256; // elements that are reused for other lines: more than fit on any screen

const COLUMNS: readonly [string, string, Sort | null][] = [
  ["state", "State", "state"],
  ["name", "Task", "name"],
  ["progress", "Progress", "progress"],
  ["count", "Count", null],
  ["rate", "Rate", "rate"],
  ["eta", "Left", "eta"],
  ["elapsed", "Elapsed", "elapsed"],
  ["stage", "Stage", null],
  ["message", "Message", null],
];

/** The ids of folded tasks, and the line of the cursor. */
const closed = signal<ReadonlySet<string>>(new Set());
const cursor = signal<string | null>(null);

interface Drawn {
  lines: Line[];
  query: Query;
  closed: ReadonlySet<string>;
  size: number;
  when: number;
}

/** The lines in their order. If the sort key changes all the time, they are reordered only every REORDER_MS. */
function useLines(board: Board, query: Query, at: number): Line[] {
  const drawn = useRef<Drawn | null>(null);
  return useMemo(() => {
    const known = drawn.current;
    const same = known && known.query === query && known.closed === closed.value && known.size === board.tasks.size;
    if (same && !isStable(query.sort) && Date.now() - known.when < REORDER_MS) return known.lines;
    const lines = linesOf(board.tasks.values(), query, closed.value, at);
    drawn.current = { lines, query, closed: closed.value, size: board.tasks.size, when: Date.now() };
    return lines;
  }, [board, query, at, closed.value]);
}

export function TaskList({ board, at, filters }: { board: Board; at: number; filters: Query }) {
  const narrow = useMedia("(max-width: 720px)");
  const height = narrow ? PHONE_LINE_PX : LINE_PX;
  const key = JSON.stringify(paramsOf(filters));
  const query = useMemo(() => filters, [key]);
  const lines = useLines(board, query, at);
  const grid = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  const span = useSpan(body, lines.length, height);
  const place = placeOf(lines, cursor.value);
  const widths = useMemo(() => widthsOf(lines), [lines]);
  const counts = useMemo(() => foundBy(board.tasks.values(), at), [board, at]);
  const folded = useMemo(() => foldedIn(board), [board, closed.value]);

  const narrowTo = (next: Query): void => go(boardHref(board.name, "tasks", paramsOf(next)), true);
  const fold = (id: string, open: boolean): void => {
    const next = new Set(closed.value);
    if (open) next.delete(id);
    else next.add(id);
    closed.value = next;
  };
  const goTo = (target: number): void => {
    const line = lines[Math.max(0, Math.min(target, lines.length - 1))];
    if (!line) return;
    cursor.value = line.row.id;
    grid.current?.focus({ preventScroll: true });
    reveal(body.current, lines.indexOf(line), height);
  };
  // Keys may come faster than the page is drawn, so use the present position of the cursor.
  const here = (): Line | undefined => lines[placeOf(lines, cursor.value)];
  const step = (by: number) => (): void => {
    const from = placeOf(lines, cursor.value);
    goTo(from >= 0 ? from + by : by < 0 ? lines.length - 1 : span.first && span.first + 8);
  };
  const open = (): void => {
    const line = here();
    if (line) go(taskHref(board.name, line.row.id));
  };
  const unfold = (): void => {
    const line = here();
    if (line?.open) step(1)();
    else if (line?.children) fold(line.row.id, true);
  };
  const foldUp = (): void => {
    const line = here();
    if (line?.open) fold(line.row.id, false);
    else if (line?.row.parent) goTo(placeOf(lines, line.row.parent));
  };
  const page = Math.max(1, Math.floor(innerHeight / height) - 4);

  useKeys("List of tasks", [
    { on: ["/"], does: "search", run: focusSearch },
    { on: ["j", "ArrowDown"], does: "next task", run: step(1) },
    { on: ["k", "ArrowUp"], does: "task before", run: step(-1) },
    { on: ["PageDown"], does: "a page down", run: step(page) },
    { on: ["PageUp"], does: "a page up", run: step(-page) },
    { on: ["g", "Home"], does: "first task", run: () => goTo(0) },
    { on: ["G", "End"], does: "last task", run: () => goTo(lines.length - 1) },
    { on: ["Enter", "o"], does: "open the task", run: open },
    { on: ["ArrowRight", "l"], does: "unfold", run: unfold },
    { on: ["ArrowLeft", "h"], does: "fold, or go to the parent", run: foldUp },
    { on: ["r"], does: "running only, or all", run: () => narrowTo(toggled(query, "running")) },
    { on: ["x"], does: "lost only, or all", run: () => narrowTo(toggled(query, "lost")) },
    { on: ["f"], does: "failed only, or all", run: () => narrowTo(toggled(query, "failed")) },
    { on: ["s"], does: "stalled only, or all", run: () => narrowTo(toggled(query, "stalled")) },
    { on: ["Escape"], does: "no filter", run: () => narrowTo({ ...query, text: "", states: new Set() }) },
  ]);

  return (
    <section class="tasks" aria-label="Tasks">
      <TaskTools
        counts={counts}
        query={query}
        onQuery={narrowTo}
        folded={folded}
        onFold={foldAll(board)}
        found={lines.length}
      />
      <div
        ref={grid}
        class={counts.running ? "list" : "list is-rest"}
        role="treegrid"
        aria-label="Tasks"
        aria-rowcount={lines.length + 1}
        aria-colcount={COLUMNS.length}
        aria-activedescendant={place >= span.first && place < span.end ? `task-${lines[place]?.row.serial}` : undefined}
        tabIndex={0}
        style={{ "--count": `${widths.count}ch`, "--rate": `${widths.rate}ch` }}
      >
        <div class="list-head" role="rowgroup">
          <div class="line head" role="row" aria-rowindex={1}>
            {COLUMNS.map(([name, word, sort]) => (
              <Head key={name} name={name} word={word} sort={sort} query={query} onQuery={narrowTo} />
            ))}
          </div>
        </div>
        <div ref={body} class="list-body" role="rowgroup" style={{ height: `${lines.length * height}px` }}>
          {lines.slice(span.first, span.end).map((line, index) => (
            <TaskLine
              key={(span.first + index) % SLOTS}
              board={board}
              line={line}
              at={at}
              index={span.first + index}
              top={(span.first + index) * height}
              here={span.first + index === place}
              onFold={fold}
              onPoint={() => (cursor.value = line.row.id)}
            />
          ))}
        </div>
      </div>
      {!lines.length && (
        <Empty>
          {board.tasks.size ? (
            <>
              <p>None of the {number(board.tasks.size)} tasks is like that.</p>
              <button type="button" class="link" onClick={() => narrowTo({ ...query, text: "", states: new Set() })}>
                Show all
              </button>
            </>
          ) : (
            <p>No tasks yet.</p>
          )}
        </Empty>
      )}
    </section>
  );
}

function placeOf(lines: readonly Line[], id: string | null): number {
  return id === null ? -1 : lines.findIndex((line) => line.row.id === id);
}

function Head(props: { name: string; word: string; sort: Sort | null; query: Query; onQuery: (query: Query) => void }) {
  const { name, word, sort, query, onQuery } = props;
  if (!sort) {
    return (
      <span role="columnheader" class={`cell-${name}`}>
        {word}
      </span>
    );
  }
  const active = query.sort === sort;
  return (
    <span
      role="columnheader"
      class={`cell-${name}${active ? " is-sorted" : ""}`}
      aria-sort={active ? (query.descending ? "descending" : "ascending") : "none"}
    >
      <button type="button" onClick={() => onQuery(sortedBy(query, sort))}>
        {word}
        <i aria-hidden="true">{active ? (query.descending ? "↓" : "↑") : ""}</i>
      </button>
    </span>
  );
}

/** Is any task folded? Null if there is nothing to fold. */
function foldedIn(board: Board): boolean | null {
  let nested = false;
  for (const row of board.tasks.values()) {
    if (row.parent === null) continue;
    if (closed.value.has(row.parent)) return true;
    nested = true;
  }
  return nested ? false : null;
}

/** Fold all tasks, or unfold them. */
function foldAll(board: Board): (open: boolean) => void {
  return (open) => {
    const parents = [...board.tasks.values()].map((row) => row.parent).filter((id): id is string => id !== null);
    closed.value = new Set(open ? [] : parents);
  };
}

const HEAD_PX = 92; // the height of the sticky head of the page

function reveal(body: HTMLElement | null, place: number, height: number): void {
  if (!body) return;
  const top = body.getBoundingClientRect().top + place * height;
  if (top < HEAD_PX) scrollBy({ top: top - HEAD_PX });
  else if (top + height > innerHeight - 8) scrollBy({ top: top + height - innerHeight + 8 });
}
