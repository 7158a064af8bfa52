/** The dead processes and their tasks: at the top of the page until the viewer puts them away. */

import { signal } from "@preact/signals";
import { useState } from "preact/hooks";
import type { Board } from "../feed/patch";
import type { Row } from "../feed/types";
import { ago, amount, number, plural } from "../format";
import { type Death, deathsOf } from "../model/deaths";
import { inHandFor } from "../model/derive";
import { nameOf } from "../model/names";
import { boardHref, taskHref } from "../route";
import { Alarm, Away } from "./alarm";
import { useLostBefore } from "./lost";
import { Text, Unit } from "./parts";
import { InHand } from "./workers";

const SHOWN = 3;
const TASKS_SHOWN = 2;

/** The deaths that the viewer dismissed: a new one shows the panel again. */
const dismissed = signal<ReadonlySet<string>>(new Set());

export function Deaths({ board, at }: { board: Board; at: number }) {
  const [all, showAll] = useState(false);
  const deaths = deathsOf(board.tasks.values(), board.workers.values(), useLostBefore(board));
  const lost = board.summary?.counts?.lost ?? 0;
  if (!deaths.length) {
    if (!lost) return null;
    return (
      <Away look="lost" headline={`${plural(lost, "task")} lost`}>
        <a class="link" href={boardHref(board.name, "history", { state: "lost" })}>
          Show in the history
        </a>
      </Away>
    );
  }
  const keyOf = (death: Death): string => `${board.name} ${board.summary?.uuid} ${death.key}`;
  const headline = `${plural(deaths.length, "process").replace("processs", "processes")} died${lost ? `, ${plural(lost, "task")} lost` : ""}`;
  if (deaths.every((death) => dismissed.value.has(keyOf(death)))) {
    return (
      <Away look="lost" headline={headline}>
        <button type="button" class="link" onClick={() => (dismissed.value = new Set())}>
          Show
        </button>
      </Away>
    );
  }
  const shown = all ? deaths : deaths.slice(0, SHOWN);
  const first = deaths[0];
  return (
    <Alarm
      id="deaths"
      look="lost"
      headline={headline}
      newest={first && <Newest death={first} board={board.name} at={at} />}
      links={
        lost > 0 && (
          <a class="link" href={boardHref(board.name, "tasks", { state: "lost" })}>
            Lost tasks only
          </a>
        )
      }
      onDismiss={() => (dismissed.value = new Set(deaths.map(keyOf)))}
    >
      <ul class="deaths">
        {shown.map((death) => (
          <li key={death.key}>
            <Who death={death} at={at} />
            <ul>
              {death.tasks.slice(0, TASKS_SHOWN).map((row) => (
                <li key={row.serial}>
                  <Where row={row} board={board.name} />
                </li>
              ))}
              {death.tasks.length + death.more > TASKS_SHOWN && (
                <li class="dim">and {plural(death.tasks.length + death.more - TASKS_SHOWN, "more task")}</li>
              )}
            </ul>
          </li>
        ))}
      </ul>
      {deaths.length > SHOWN && (
        <button type="button" class="link" onClick={() => showAll(!all)}>
          {all ? "Show fewer" : `Show ${number(deaths.length - SHOWN)} more`}
        </button>
      )}
    </Alarm>
  );
}

/** The death that was seen last, in one line. */
function Newest({ death, board, at }: { death: Death; board: string; at: number }) {
  const row = death.tasks[0];
  return (
    <>
      <b>{death.pid ? `pid ${death.pid}` : "A process"}</b>
      <Had death={death} at={at} /> {row ? <Where row={row} board={board} /> : <Text of={death.name} />}
    </>
  );
}

/** What it had in hand, if that is known. */
function Had({ death: { worker }, at }: { death: Death; at: number }) {
  if (worker === null || worker.item === "") return null;
  return (
    <>
      {" had "}
      <InHand item={worker.item} seconds={inHandFor(worker, at)} />
      {" in hand"}
    </>
  );
}

function Who({ death, at }: { death: Death; at: number }) {
  return (
    <p class="deaths-who">
      <b>{death.pid ? `pid ${death.pid}` : "A process"}</b>
      {death.name && (
        <>
          {" "}
          <Text of={death.name} />
        </>
      )}
      <Had death={death} at={at} />
      {death.at !== null && <span class="dim"> last seen {ago(at - death.at)}</span>}
    </p>
  );
}

function Where({ row, board }: { row: Row; board: string }) {
  return (
    <>
      on{" "}
      <a href={taskHref(board, row.id)}>
        <Text of={nameOf(row)} />
      </a>
      {row.stage && (
        <>
          {", stage "}
          <Text of={row.stage} class="strong" />
        </>
      )}
      {", at "}
      <span class="strong">
        {amount(row.count, row.unit)}
        {row.total !== null && ` of ${amount(row.total, row.unit)}`}
      </span>{" "}
      <Unit of={row.unit} />
      {row.message && (
        <>
          {", "}
          <Text of={row.message} class="quote" />
        </>
      )}
      {row.state === "lost" ? <span class="is-lost"> – lost</span> : <span class="dim"> – the task goes on</span>}
    </>
  );
}
