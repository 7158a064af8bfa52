/** All boards at a glance: what is live or failed first, to be searched and filtered. */

import { useMemo } from "preact/hooks";
import { BY_URGENCY, type Counts, type Summary } from "../feed/types";
import { ago, duration, number, plural, rateOfUnit, stateWord, timeLeft } from "../format";
import {
  BOARD_KINDS,
  type BoardKind,
  type BoardQuery,
  kindsOf,
  linkedQuery,
  paramsOfBoards,
  sectionsOf,
} from "../model/boards";
import { isWorking, workersAlive } from "../model/run";
import { boardHref, boardsHref, type Params } from "../route";
import { boards, go, now, unlisted } from "../store";
import { FileAnalyses } from "./analyses";
import { useKeys } from "./keys";
import { Empty, Text } from "./parts";
import { Chip, focusSearch, Search } from "./search";
import { Shares } from "./shares";

export function Boards({ params }: { params: Params }) {
  return (
    <>
      <Unlisted />
      <All params={params} />
      <FileAnalyses />
    </>
  );
}

function Unlisted() {
  const why = unlisted.value;
  if (!why) return null;
  return (
    <p class="card-error" role="alert">
      <strong>The boards cannot be listed</strong>: <Text of={why.detail} />
    </p>
  );
}

const FEW = 9; // so many boards need no search, and all of them get a card
const CARDS_MOST = 12; // where there are more that are live, all are lines
const KIND_WORDS: Record<BoardKind, string> = {
  live: "Live",
  failing: "Failed",
  silent: "Silent: open tasks, but nobody records them",
  "at rest": "At rest",
};
const KIND_LOOKS: Record<BoardKind, string> = {
  live: "running",
  failing: "failed",
  silent: "stalled",
  "at rest": "idle",
};

function All({ params }: { params: Params }) {
  const all = boards.value;
  const query = useMemo(() => linkedQuery(params), [params]);
  const sections = useMemo(() => sectionsOf(all ?? [], query), [all, query]);
  const narrow = (next: BoardQuery): void => go(boardsHref(paramsOfBoards(next)), true);
  const showAll = (): void => narrow({ text: "", kinds: new Set() });
  useKeys("Boards", [
    { on: ["/"], does: "search", run: focusSearch },
    { on: ["Escape"], does: "no filter", run: showAll },
  ]);
  if (all === null) return <Empty>Loading the boards …</Empty>;
  if (!all.length) {
    if (unlisted.value) return null; // whether there are any is not known
    return (
      <Empty>
        <h1>No boards yet</h1>
        <p>
          Open one in a program, <code>board = headway.open("nightly")</code>, or run <code>headway demo</code>. It
          appears here by itself.
        </p>
      </Empty>
    );
  }
  const few = all.length <= FEW;
  return (
    <div class="boards">
      <h1 class="sr">Boards</h1>
      {!few && <Tools all={all} query={query} onQuery={narrow} />}
      {sections.map(({ kind, boards: found }) => {
        const cards = few || (kind === "live" && found.length <= CARDS_MOST);
        return (
          <section key={kind} aria-label={KIND_WORDS[kind]}>
            <h2 class={few ? "sr" : ""}>
              {KIND_WORDS[kind]} <small>{number(found.length)}</small>
            </h2>
            <ul class={cards ? "cards" : "board-lines"}>
              {found.map((summary) => (
                <li key={summary.name}>{cards ? <Card summary={summary} /> : <Line summary={summary} />}</li>
              ))}
            </ul>
          </section>
        );
      })}
      {!sections.length && (
        <Empty>
          <p>None of the {number(all.length)} boards is like that.</p>
          <button type="button" class="link" onClick={showAll}>
            Show all
          </button>
        </Empty>
      )}
    </div>
  );
}

function Tools({ all, query, onQuery }: { all: Summary[]; query: BoardQuery; onQuery: (query: BoardQuery) => void }) {
  const counts = new Map<BoardKind, number>();
  for (const board of all) for (const kind of kindsOf(board)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  const press = (kind: BoardKind) => (): void => {
    const kinds = new Set(query.kinds);
    if (!kinds.delete(kind)) kinds.add(kind);
    onQuery({ ...query, kinds });
  };
  return (
    <div class="tools">
      <Search what="Search boards" text={query.text} onText={(text) => onQuery({ ...query, text })} />
      <div class="chips" role="group" aria-label="Only boards that are">
        {BOARD_KINDS.filter((kind) => counts.has(kind) || query.kinds.has(kind)).map((kind) => (
          <Chip
            key={kind}
            look={KIND_LOOKS[kind]}
            word={kind}
            count={number(counts.get(kind) ?? 0)}
            pressed={query.kinds.has(kind)}
            onPress={press(kind)}
          />
        ))}
      </div>
      <p class="tools-end dim">{plural(all.length, "board")}</p>
    </div>
  );
}

/** Live, silent, or when it was last recorded. */
function When({ summary }: { summary: Summary }) {
  const silent = summary.silent_since;
  if (silent !== null)
    return <span class="when is-stalled">recorder silent for {duration(now.value - silent, true)}</span>;
  if (isWorking(summary)) return <span class="when is-live">live</span>;
  return <span class="when">{ago(now.value - (summary.taken_at ?? now.value))}</span>;
}

function Told({ counts }: { counts: Counts }) {
  const told = BY_URGENCY.filter((state) => counts[state] > 0);
  return (
    <p class="card-counts">
      {told.length === 0 && "no tasks"}
      {told.map((state) => (
        <span key={state} class={`is-${state}`}>
          <b>{number(counts[state])}</b> {stateWord(state)}
          {state === "running" && counts.stalled > 0 && (
            <span class="is-stalled"> ({number(counts.stalled)} stalled)</span>
          )}
        </span>
      ))}
    </p>
  );
}

function Card({ summary }: { summary: Summary }) {
  const { counts } = summary;
  const rates = isWorking(summary) ? Object.entries(summary.rates ?? {}).filter(([, value]) => value > 0) : [];
  const workers = workersAlive(summary);
  const left = summary.time_left ? timeLeft(summary.time_left) : "";
  return (
    <a class="card" href={boardHref(summary.name)}>
      <div class="card-head">
        <h3>
          <Text of={summary.name} />
        </h3>
        {!summary.error && <When summary={summary} />}
      </div>
      {summary.error && (
        <p class="card-error">
          <Text of={summary.error.detail} />
        </p>
      )}
      {counts && <Shares counts={counts} />}
      {counts && <Told counts={counts} />}
      {counts && (
        <p class="card-foot">
          {left && <span>{left} left</span>}
          {workers !== null && <span>{plural(workers, "worker")}</span>}
          {!!summary.workers_lost && <span class="is-lost">{number(summary.workers_lost)} died at work</span>}
          {rates.slice(0, 2).map(([unit, value]) => (
            <span key={unit}>{rateOfUnit(value, unit)}</span>
          ))}
          {summary.host && (
            <span class="card-host">
              on <Text of={summary.host} />
            </span>
          )}
        </p>
      )}
    </a>
  );
}

function Line({ summary }: { summary: Summary }) {
  const { counts, error } = summary;
  return (
    <a class="board-line" href={boardHref(summary.name)}>
      <h3>
        <Text of={summary.name} />
      </h3>
      {counts && <Shares counts={counts} />}
      {counts && <Told counts={counts} />}
      {error && <Text of={error.detail} class="card-error" />}
      {!error && <When summary={summary} />}
    </a>
  );
}
