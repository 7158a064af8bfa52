/** The failed tasks by their errors: at the top of the page, as long as there are any. */

import { signal } from "@preact/signals";
import { useMemo, useState } from "preact/hooks";
import type { Board } from "../feed/patch";
import { ago, number, plural } from "../format";
import { type Failure, failuresOf } from "../model/failures";
import { nameOf } from "../model/names";
import { boardHref, taskHref } from "../route";
import { now } from "../store";
import { Alarm, Away } from "./alarm";
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
      <Away look="failed" headline={headline}>
        <button type="button" class="link" onClick={() => dismiss(0)}>
          Show
        </button>
      </Away>
    );
  }
  const here = failures.reduce((sum, one) => sum + one.tasks.length, 0);
  const shown = all ? failures : failures.slice(0, SHOWN);
  const [first] = failures;
  const past = failed > here && (
    <a class="link" href={boardHref(board.name, "history", { state: "failed" })}>
      {here > 0 ? `${number(failed - here)} more in the history` : "Show in the history"}
    </a>
  );
  return (
    <Alarm
      id="failures"
      look="failed"
      headline={headline}
      newest={first ? <Newest failure={first} others={failures.length - 1} board={board.name} /> : past}
      links={
        here > 0 && (
          <a class="link" href={boardHref(board.name, "tasks", { state: "failed" })}>
            Failed tasks only
          </a>
        )
      }
      onDismiss={() => dismiss(failed)}
    >
      {first && (
        <>
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
          {past}
        </>
      )}
    </Alarm>
  );
}

/** The error that most tasks have, in one line. */
function Newest({ failure, others, board }: { failure: Failure; others: number; board: string }) {
  const { tasks, error } = failure;
  const [newest] = tasks;
  return (
    <>
      {tasks.length > 1 || !newest ? (
        <b>{number(tasks.length)} ×</b>
      ) : (
        <a href={taskHref(board, newest.id)}>
          <Text of={nameOf(newest)} />
        </a>
      )}{" "}
      <Reason of={error} />
      {others > 0 && <span class="dim"> and {plural(others, "other error")}</span>}
    </>
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
