/** The failed tasks by their errors: at the top of the page, as long as there are any. */

import { signal } from "@preact/signals";
import { useMemo, useState } from "preact/hooks";
import type { Board } from "../feed/patch";
import { ago, number, plural } from "../format";
import { type Failure, failuresOf } from "../model/failures";
import { nameOf } from "../model/names";
import { boardHref, taskHref } from "../route";
import { now } from "../store";
import { Text } from "./parts";

const SHOWN = 4;
const TASKS_SHOWN = 50;

/** How many failures of a board the viewer dismissed: a further one shows the panel again. */
const dismissed = signal<ReadonlyMap<string, number>>(new Map());

export function Failures({ board }: { board: Board }) {
  const [all, showAll] = useState(false);
  const failures = useMemo(() => failuresOf(board.tasks.values()), [board]);
  const failed = board.summary?.counts?.failed ?? 0;
  if (!failed) return null;
  const key = `${board.name} ${board.summary?.uuid}`;
  const headline = `${plural(failed, "task")} failed`;
  const dismiss = (count: number): void => {
    dismissed.value = new Map(dismissed.value).set(key, count);
  };
  if ((dismissed.value.get(key) ?? 0) >= failed) {
    return (
      <p class="alarm-away">
        <span class="is-failed">{headline}</span>{" "}
        <button type="button" class="link" onClick={() => dismiss(0)}>
          Show
        </button>
      </p>
    );
  }
  const here = failures.reduce((sum, one) => sum + one.tasks.length, 0);
  const shown = all ? failures : failures.slice(0, SHOWN);
  return (
    <section class="alarm failures" aria-labelledby="failures-title">
      <div class="alarm-head">
        <h2 id="failures-title">{headline}</h2>
        {here > 0 && (
          <a class="link" href={boardHref(board.name, "tasks", { state: "failed" })}>
            Failed tasks only
          </a>
        )}
        {failed > here && (
          <a class="link" href={boardHref(board.name, "history", { state: "failed" })}>
            {here > 0 ? `${number(failed - here)} more in the history` : "Show in the history"}
          </a>
        )}
        <button type="button" class="link" onClick={() => dismiss(failed)}>
          Dismiss
        </button>
      </div>
      <ul>
        {shown.map((failure) => (
          <li key={failure.tasks.at(-1)?.serial}>
            <Kind failure={failure} board={board.name} />
          </li>
        ))}
      </ul>
      {failures.length > SHOWN && (
        <button type="button" class="link" onClick={() => showAll(!all)}>
          {all ? "Show fewer" : `Show ${number(failures.length - SHOWN)} other errors`}
        </button>
      )}
    </section>
  );
}

function Reason({ of }: { of: string }) {
  return of ? <Text of={of} class="reason" /> : <span class="dim">without a reason</span>;
}

/** One error: a task, or how many have it, and which ones when it is opened. */
function Kind({ failure, board }: { failure: Failure; board: string }) {
  const { tasks, error, equal } = failure;
  const newest = tasks[0];
  if (!newest) return null;
  const when = newest.ended !== null && <span class="dim number">{ago(now.value - newest.ended)}</span>;
  const link = (
    <a href={taskHref(board, newest.id)}>
      <Text of={nameOf(newest)} />
    </a>
  );
  if (tasks.length === 1) {
    return (
      <p class="failure">
        {link}
        <Reason of={error} />
        {when}
      </p>
    );
  }
  return (
    <details>
      <summary class="failure">
        <b class="times">{number(tasks.length)} ×</b>
        <span class="failure-reason">
          <Reason of={error} />
          {!equal && <span class="dim"> and the like</span>}
        </span>
        {when}
      </summary>
      <ul class={equal ? "failed-names" : "failed-lines"}>
        {tasks.slice(0, TASKS_SHOWN).map((row) => (
          <li key={row.serial}>
            <a href={taskHref(board, row.id)}>
              <Text of={nameOf(row)} />
            </a>
            {!equal && <Reason of={row.error} />}
          </li>
        ))}
        {tasks.length > TASKS_SHOWN && <li class="dim">and {number(tasks.length - TASKS_SHOWN)} more</li>}
      </ul>
    </details>
  );
}
