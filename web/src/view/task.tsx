/** One task: progress, rate, timeline of stages, workers and result. */

import { Fragment } from "preact";
import type { Row, Share, Task } from "../feed/types";
import { ago, amount, duration, isBytes, measured, number, percent, rateOfUnit, short } from "../format";
import { elapsedOf, etaOf, fractionOf, isFinal, isStalled, rateOf, totalOf } from "../model/derive";
import { nameOf, namesBelowParent } from "../model/names";
import { type Point, ratesOf } from "../model/series";
import { boardHref, taskHref } from "../route";
import { board as followed, go, moment, now } from "../store";
import { Chart } from "./chart";
import { clockWithDay } from "./clock";
import { useDetail } from "./detail";
import { Facts } from "./facts";
import { useKeys } from "./keys";
import { Bar, Empty, type Look, Panel, StateWord, Text, Unit } from "./parts";
import { Result } from "./result";
import { Timeline } from "./timeline";
import { InHand } from "./workers";

export function TaskPage({ board: name, id }: { board: string; id: string }) {
  const board = followed.value;
  let row: Row | undefined;
  const children: Row[] = [];
  for (const one of board?.tasks.values() ?? []) {
    if (one.id === id && (row?.serial ?? -1) < one.serial) row = one;
    if (one.parent === id) children.push(one);
  }
  const parent = row?.parent ?? null;
  useKeys("Task", [
    { on: ["Escape", "u"], does: "back to the board", run: () => go(boardHref(name)) },
    ...(parent === null ? [] : [{ on: ["p"], does: "the parent", run: () => go(taskHref(name, parent)) }]),
  ]);
  const held: (number | null)[] = []; // what is taken up changes no row
  for (const worker of board?.workers.values() ?? []) if (worker.tasks.includes(id)) held.push(worker.item_since);
  const change = row
    ? [row.serial, row.state, row.count, row.beat, row.stage_entered, row.message, ...held].join(" ")
    : `${board !== null}`;
  const detail = useDetail(name, id, change);
  const task = detail.state === "there" ? detail.task : null;
  const shown = row ?? task;
  if (!shown) {
    if (detail.state === "loading") return <Empty>Loading …</Empty>;
    return (
      <Empty>
        <h1>
          There is no task <Text of={id} />
        </h1>
        <p>{detail.state === "refused" && <Text of={detail.reason.message} />}</p>
        <p>
          <a class="link" href={boardHref(name, "history", { q: id })}>
            Look for it in the history
          </a>
        </p>
      </Empty>
    );
  }
  return <Shown board={name} row={shown} task={task} tasks={children} at={moment.value} />;
}

interface ShownProps {
  board: string;
  row: Row | Task;
  task: Task | null;
  tasks: Row[];
  at: number;
}

function Shown({ board, row, task, tasks, at }: ShownProps) {
  const stalled = isStalled(row, at);
  const died = row.state === "lost" || row.state === "failed";
  const metrics = Object.keys(row.metrics);
  const staged = task ? task.stages.some((stage) => stage.entered !== null) : row.stage !== "";
  const speed = speedOf(row, task?.series ?? [], at);
  return (
    <article class="task">
      <TaskHead row={row} stalled={stalled} at={at} average={speed.average} />
      {died && (
        <p class={`verdict is-${row.state}`} role="status">
          <StateWord state={row.state} />
          <span>
            {row.state === "failed" && <Text of={row.error} />}
            {row.state === "lost" && row.owner_pid > 0 && (
              <>
                its process was pid <b>{row.owner_pid}</b>
                {row.beat !== null && `, last seen ${ago(now.value - row.beat)}`}
                {row.stage && (
                  <>
                    , in stage <Text of={row.stage} class="strong" />
                  </>
                )}
                {row.message && (
                  <>
                    , at <Text of={row.message} class="quote" />
                  </>
                )}
                .
              </>
            )}
          </span>
        </p>
      )}
      <div class="task-grid">
        <div class="task-main">
          {staged && (
            <Panel title="Stages">
              {task ? (
                <Timeline
                  stages={task.stages}
                  leftOut={task.stages_left_out}
                  from={task.started}
                  until={task.ended ?? (task.state === "lost" ? (task.beat ?? at) : Math.max(at, task.taken_at))}
                  live={task.state === "running"}
                />
              ) : (
                <p class="dim">Loading …</p>
              )}
            </Panel>
          )}
          {speed.drawn && <SpeedPanel row={row} speed={speed} stalled={stalled} />}
          {metrics.length > 0 && (
            <Panel title="Metrics">
              <div class="metrics">
                {metrics.map((name) => (
                  <Metric
                    key={name}
                    name={name}
                    value={row.metrics[name] ?? null}
                    course={task?.metric_series?.[name] ?? []}
                  />
                ))}
              </div>
            </Panel>
          )}
        </div>
        <div class="task-side">
          {task && task.result !== null && (
            <Panel title="Result">
              <Result value={task.result} />
            </Panel>
          )}
          <Facts row={row} at={at} board={board} />
          {task && <Workers task={task} />}
          {tasks.length > 0 && <Children tasks={tasks} board={board} />}
        </div>
      </div>
    </article>
  );
}

interface HeadProps {
  row: Row | Task;
  stalled: boolean;
  at: number;
  /** Items per second since it began. */
  average: number;
}

function TaskHead({ row, stalled, at, average }: HeadProps) {
  const look: Look = stalled ? "stalled" : row.state;
  const fraction = fractionOf(row);
  const total = totalOf(row);
  const speed = rateOf(row, stalled);
  const eta = etaOf(row, stalled);
  return (
    <header class="task-head">
      <div class="task-title">
        <StateWord state={look} />
        <h1>
          <Text of={nameOf(row)} />
        </h1>
        {nameOf(row) !== row.id && <Text of={row.id} class="id" />}
      </div>
      <dl class="task-figures">
        {fraction !== null && (
          <div>
            <dt>Done</dt>
            <dd>
              <b>{percent(fraction)}</b>
            </dd>
          </div>
        )}
        <div>
          <dt>Count</dt>
          <dd>
            <b>{amount(row.count, row.unit)}</b>
            {total !== null && ` of ${amount(total, row.unit)}`} <Unit of={row.unit} />
          </dd>
        </div>
        {row.state === "running" && (
          <div>
            <dt>Rate</dt>
            <dd>
              <b>{speed === null ? "unknown" : rateOfUnit(speed, row.unit)}</b>
            </dd>
          </div>
        )}
        {row.state === "running" && (
          <div>
            <dt>Left</dt>
            <dd>
              <b>{eta === null ? "unknown" : duration(eta, true)}</b>
              {eta !== null && ` about ${clockWithDay(now.value + eta, now.value)}`}
            </dd>
          </div>
        )}
        {row.ended !== null && average > 0 && (
          <div>
            <dt>On average</dt>
            <dd>
              <b>{rateOfUnit(average, row.unit)}</b>
            </dd>
          </div>
        )}
        <div>
          <dt>{row.ended === null ? "Elapsed" : "Took"}</dt>
          <dd>
            <b>{row.started === null ? "–" : duration(elapsedOf(row, at))}</b>
          </dd>
        </div>
        {row.stage && (
          <div>
            <dt>Stage</dt>
            <dd>
              <b>
                <Text of={row.stage} />
              </b>
              {row.stage_entered !== null &&
                row.state === "running" &&
                ` for ${duration(Math.max(0, at - row.stage_entered), true)}`}
            </dd>
          </div>
        )}
      </dl>
      <Bar fraction={row.state === "pending" ? 0 : fraction} look={look} />
      {row.message && row.state !== "lost" && (
        <p class="task-message">
          <Text of={row.message} />
        </p>
      )}
    </header>
  );
}

interface Speed {
  times: number[];
  rates: number[];
  average: number;
  /** Is there something to draw? */
  drawn: boolean;
}

function speedOf(row: Row | Task, course: readonly Point[], at: number): Speed {
  const start =
    row.started === null ? null : { at: row.started, count: row.resumed_from === null ? row.base : row.resumed_from };
  const [times, rates] = ratesOf(course, start);
  const spent = row.started === null ? 0 : (row.ended ?? at) - row.started;
  const average = spent > 0 ? Math.max(0, row.count - (start?.count ?? 0)) / spent : 0;
  return { times, rates, average, drawn: times.length > 1 && rates.some((one) => one > 0) };
}

function SpeedPanel({ row, speed, stalled }: { row: Row | Task; speed: Speed; stalled: boolean }) {
  const { times, rates, average } = speed;
  const current = rateOf(row, stalled);
  return (
    <section class="panel" aria-labelledby="speed-title">
      <div class="panel-head">
        <h2 id="speed-title">Throughput</h2>
        <span class="panel-figure">
          {rateOfUnit(average, row.unit)} <small>on average</small>
        </span>
      </div>
      <Chart
        label={`Throughput: ${current === null ? "unknown" : rateOfUnit(current, row.unit)} now, ${rateOfUnit(average, row.unit)} on average`}
        at={times}
        curves={[
          { name: "rate", color: "running", values: rates },
          { name: "average", color: "muted", values: times.map(() => average), dashed: true },
        ]}
        height={150}
        format={(value) => short(value, row.unit)}
        bytes={isBytes(row.unit)}
        stepped
      />
    </section>
  );
}

function Metric({ name, value, course }: { name: string; value: number | null; course: readonly Point[] }) {
  return (
    <div class="metric">
      <h3>
        <Text of={name} />
        <b class="number">{measured(value)}</b>
      </h3>
      {course.length > 1 && (
        <Chart
          label={`${name}: ${measured(value)} now`}
          at={course.map(([at]) => at)}
          curves={[{ name, color: "accent", values: course.map(([, one]) => one) }]}
          height={96}
          format={measured}
          fromZero={false}
        />
      )}
    </div>
  );
}

/** A share has no state of its own: it stalls by the rhythm of the task, as the task does. */
function lookOf(share: Share, task: Task): Look {
  if (!share.alive) return "gone";
  if (isFinal(task.state)) return "idle";
  return isStalled({ ...task, beat: share.beat }, now.value) ? "stalled" : "working";
}

/** The view was taken a moment ago; what is in hand while the task goes on is so longer by that. */
function heldFor(share: Share, task: Task): number | null {
  if (share.item_seconds === null) return null;
  return share.item_seconds + (task.ended === null ? Math.max(0, now.value - task.taken_at) : 0);
}

function Workers({ task }: { task: Task }) {
  const all: [Share, Look][] = [
    ...task.workers_lost.map((share): [Share, Look] => [share, "lost"]),
    ...task.workers.map((share): [Share, Look] => [share, lookOf(share, task)]),
  ];
  if (!all.length) return null;
  return (
    <Panel title="Who counted">
      <table class="table">
        <thead>
          <tr>
            <th scope="col">State</th>
            <th scope="col">Process</th>
            <th scope="col" class="number">
              Share
            </th>
            <th scope="col" class="number">
              Last beat
            </th>
          </tr>
        </thead>
        <tbody>
          {all.map(([share, look]) => (
            <Fragment key={share.incarnation}>
              <tr>
                <td>
                  <StateWord state={look} />
                </td>
                <td class="pid">{share.pid}</td>
                <td class="number">
                  {share.count === null ? <span class="dim">shared</span> : amount(share.count, task.unit)}
                  {share.count !== null && task.count > 0 && (
                    <span class="dim"> {percent(Math.min(1, share.count / task.count))}</span>
                  )}
                </td>
                <td class="number">{share.beat === null ? "–" : ago(now.value - share.beat)}</td>
              </tr>
              {share.item !== "" && (
                <tr class="held">
                  <td class="in-hand" colSpan={4}>
                    <InHand item={share.item} seconds={heldFor(share, task)} />
                  </td>
                </tr>
              )}
            </Fragment>
          ))}
        </tbody>
      </table>
      {task.lost_left_out > 0 && <p class="dim">{number(task.lost_left_out)} more died.</p>}
    </Panel>
  );
}

const CHILDREN_SHOWN = 12;

function Children({ tasks, board }: { tasks: Row[]; board: string }) {
  return (
    <Panel title="Children">
      <ul class="children">
        {tasks.slice(0, CHILDREN_SHOWN).map((row) => (
          <li key={row.serial}>
            <StateWord state={row.state} />
            <a href={taskHref(board, row.id)}>
              <Text of={namesBelowParent(row)[0]} />
            </a>
            <Bar fraction={row.state === "pending" ? 0 : fractionOf(row)} look={row.state} />
          </li>
        ))}
      </ul>
      {tasks.length > CHILDREN_SHOWN && (
        <p class="dim">and {number(tasks.length - CHILDREN_SHOWN)} more on the board</p>
      )}
    </Panel>
  );
}
