/** The processes of a board: lost and stalled ones first. */

import type { Board } from "../feed/patch";
import type { Row, Worker } from "../feed/types";
import { ago, duration, number, plural, rate } from "../format";
import { fractionOf, inHandFor, WORKER_KINDS, type WorkerKind, workerKind } from "../model/derive";
import { deepestFirst, nameOf } from "../model/names";
import { workersAlive } from "../model/run";
import { boardHref, taskHref } from "../route";
import { now } from "../store";
import { Bar, Empty, StateWord, Text } from "./parts";
import { useMedia } from "./window";

interface Person {
  worker: Worker;
  kind: WorkerKind;
  rows: Row[];
}

function peopleOf(board: Board, at: number): Person[] {
  const byId = new Map([...board.tasks.values()].map((row) => [row.id, row]));
  const people = [...board.workers.values()].map((worker): Person => {
    const kind = workerKind(worker, at);
    const rows = worker.tasks.map((id) => byId.get(id)).filter((row): row is Row => row !== undefined);
    return { worker, kind, rows: deepestFirst(rows) };
  });
  const rank = (person: Person): number => WORKER_KINDS.indexOf(person.kind);
  return people.sort((a, b) => rank(a) - rank(b) || a.worker.incarnation - b.worker.incarnation);
}

function lastBeat(worker: Worker): string {
  return worker.beat === null ? "never counted" : ago(now.value - worker.beat);
}

/** The items per second of a worker, in bytes if all its tasks count bytes of one kind. */
function rateOfWorker({ worker, kind, rows }: Person): string {
  if (!isBusy(kind) || worker.rate == null) return "";
  const units = new Set(rows.map((row) => row.unit));
  return rate(worker.rate, units.size === 1 && worker.task_count === rows.length ? rows[0]?.unit : "");
}

function isBusy(kind: WorkerKind): boolean {
  return kind === "working" || kind === "stalled";
}

/** What a worker has in hand, or had when it died, and for how long. */
export function InHand({ item, seconds }: { item: string; seconds: number | null }) {
  if (item === "") return null;
  return (
    <>
      <Text of={item} class="item" />
      {seconds !== null && <span class="dim"> for {duration(seconds)}</span>}
    </>
  );
}

const PANEL_MOST = 40;

/** Beside the tasks, where there is room. */
export function WorkerPanel({ board, at }: { board: Board; at: number }) {
  const people = peopleOf(board, at).filter((person) => person.kind !== "gone");
  if (board.summary && workersAlive(board.summary) === null && people.every(({ kind }) => kind === "idle")) return null;
  return (
    <section class="crew" aria-labelledby="crew-title">
      <h2 id="crew-title">Workers</h2>
      {!people.length && <p class="dim">No process is registered.</p>}
      <ul>
        {people.slice(0, PANEL_MOST).map((person) => {
          const { worker, kind, rows } = person;
          return (
            <li key={worker.incarnation} class={`is-${kind}`}>
              <p>
                <StateWord state={kind} />
                <span class="pid">{worker.pid}</span>
                {worker.name && <Text of={worker.name} class="dim" />}
                <span class="beat number">{lastBeat(worker)}</span>
              </p>
              {rows[0] && (
                <p>
                  <a href={taskHref(board.name, rows[0].id)}>
                    <Text of={nameOf(rows[0])} />
                  </a>
                  {worker.task_count > 1 && <span class="dim">+{number(worker.task_count - 1)}</span>}
                  <span class="beat number">{rateOfWorker(person)}</span>
                </p>
              )}
              {worker.item !== "" && (
                <p class="in-hand">
                  <InHand item={worker.item} seconds={inHandFor(worker, now.value)} />
                </p>
              )}
              {rows[0] && <Bar fraction={fractionOf(rows[0])} look={kind === "working" ? "running" : kind} />}
            </li>
          );
        })}
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
  const narrow = useMedia("(max-width: 720px)");
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
            {!narrow && <th scope="col">In hand</th>}
            <th scope="col" class="number wide">
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
          {people.map((person) => {
            const { worker, kind, rows } = person;
            const held = <InHand item={worker.item} seconds={inHandFor(worker, now.value)} />;
            return (
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
                  {narrow && <p class="in-hand">{held}</p>}
                </td>
                {!narrow && <td class="in-hand">{held}</td>}
                <td class="number wide">{rateOfWorker(person)}</td>
                <td class="number">{lastBeat(worker)}</td>
                <td class="number wide">{worker.started !== null && ago(now.value - worker.started)}</td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}
