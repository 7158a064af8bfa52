/** The processes of a board: lost and stalled ones first. */

import type { Board } from "../feed/patch";
import type { Row, Worker } from "../feed/types";
import { ago, number, plural, rate } from "../format";
import { fractionOf, WORKER_KINDS, type WorkerKind, workerKind } from "../model/derive";
import { deepestFirst, nameOf } from "../model/names";
import { boardHref, taskHref } from "../route";
import { Bar, Empty, StateWord, Text } from "./parts";

interface Person {
  worker: Worker;
  kind: WorkerKind;
  rows: Row[];
}

function peopleOf(board: Board, at: number): Person[] {
  const byId = new Map([...board.tasks.values()].map((row) => [row.id, row]));
  const people = [...board.workers.values()].map((worker): Person => {
    const kind = workerKind(worker, at, board.summary?.stall_after ?? 10);
    const rows = worker.tasks.map((id) => byId.get(id)).filter((row): row is Row => row !== undefined);
    return { worker, kind, rows: deepestFirst(rows) };
  });
  const rank = (person: Person): number => WORKER_KINDS.indexOf(person.kind);
  return people.sort((a, b) => rank(a) - rank(b) || a.worker.incarnation - b.worker.incarnation);
}

function lastBeat(worker: Worker, at: number): string {
  return worker.beat === null ? "never counted" : ago(at - worker.beat);
}

function isBusy(kind: WorkerKind): boolean {
  return kind === "working" || kind === "stalled";
}

const PANEL_MOST = 40;

/** Beside the tasks, where there is room. */
export function WorkerPanel({ board, at }: { board: Board; at: number }) {
  const people = peopleOf(board, at).filter((person) => person.kind !== "gone");
  return (
    <section class="crew" aria-labelledby="crew-title">
      <h2 id="crew-title">Workers</h2>
      {!people.length && <p class="dim">No process is registered.</p>}
      <ul>
        {people.slice(0, PANEL_MOST).map(({ worker, kind, rows }) => (
          <li key={worker.incarnation} class={`is-${kind}`}>
            <p>
              <StateWord state={kind} />
              <span class="pid">{worker.pid}</span>
              {worker.name && <Text of={worker.name} class="dim" />}
              <span class="beat number">{lastBeat(worker, at)}</span>
            </p>
            {rows[0] && (
              <p>
                <a href={taskHref(board.name, rows[0].id)}>
                  <Text of={nameOf(rows[0])} />
                </a>
                {worker.task_count > 1 && <span class="dim">+{number(worker.task_count - 1)}</span>}
                <span class="beat number">{isBusy(kind) && worker.rate != null && rate(worker.rate)}</span>
              </p>
            )}
            {rows[0] && <Bar fraction={fractionOf(rows[0])} look={kind === "working" ? "running" : kind} />}
          </li>
        ))}
      </ul>
      {people.length > PANEL_MOST && (
        <a class="link" href={boardHref(board.name, "workers")}>
          All {plural(people.length, "worker")}
        </a>
      )}
    </section>
  );
}

/** The table of all workers, with all details. */
export function WorkerTable({ board, at }: { board: Board; at: number }) {
  const people = peopleOf(board, at);
  if (!people.length) return <Empty>No process is registered on this board.</Empty>;
  return (
    <div class="panel scroll" tabIndex={0} role="region" aria-label="Workers">
      <table class="table workers">
        <caption class="sr">Workers, lost and stalled ones first</caption>
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Process</th>
            <th scope="col" class="wide">
              Name
            </th>
            <th scope="col">Tasks</th>
            <th scope="col" class="number">
              Rate
            </th>
            <th scope="col" class="number">
              Last beat
            </th>
            <th scope="col" class="number wide">
              Started
            </th>
          </tr>
        </thead>
        <tbody>
          {people.map(({ worker, kind, rows }) => (
            <tr key={worker.incarnation} class={`is-${kind}`}>
              <td>
                <StateWord state={kind} />
              </td>
              <td class="pid">{worker.pid}</td>
              <td class="wide">{worker.name && <Text of={worker.name} />}</td>
              <td class="worker-tasks">
                {rows.slice(0, 3).map((row) => (
                  <a key={row.serial} href={taskHref(board.name, row.id)}>
                    <Text of={nameOf(row)} />
                  </a>
                ))}
                {worker.task_count > Math.min(rows.length, 3) && (
                  <span class="dim">+{number(worker.task_count - Math.min(rows.length, 3))}</span>
                )}
              </td>
              <td class="number">{isBusy(kind) && worker.rate != null && rate(worker.rate)}</td>
              <td class="number">{lastBeat(worker, at)}</td>
              <td class="number wide">{worker.started !== null && ago(at - worker.started)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
