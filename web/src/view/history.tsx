/** Finished tasks, the newest first, from the board's archive. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { ask, Refused } from "../feed/http";
import { FINAL_STATES, type Finished, type State } from "../feed/types";
import { amount, duration, fine, moment as timeOf, number, percent, plural, rate, short, stateWord } from "../format";
import { fractionOf, totalOf } from "../model/derive";
import { nameOf } from "../model/names";
import { stretchesOf } from "../model/stages";
import { boardHref, type Params } from "../route";
import { go, now } from "../store";
import { Chart } from "./chart";
import { Empty, Icon, StateWord, Text, Unit } from "./parts";
import { Result } from "./result";
import { Timeline } from "./timeline";

const PERIODS: readonly [string, string][] = [
  ["1", "last hour"],
  ["24", "last day"],
  ["168", "last week"],
  ["8760", "last year"],
];
const LIMIT = 200;
const LIMIT_MOST = 1000;
const PACE_MS = 3000;

/** `ended`: how many tasks of the board have ended; when it changes, the history may have new tasks. */
export function History({ name, params, ended }: { name: string; params: Params; ended: number }) {
  const hours = PERIODS.some(([value]) => value === params["hours"]) ? (params["hours"] as string) : "24";
  const state: State | "" = FINAL_STATES.find((one) => one === params["state"]) ?? "";
  const text = params["q"] ?? "";
  const [limit, setLimit] = useState(LIMIT);
  const [tasks, setTasks] = useState<Finished[] | null>(null);
  const [refused, setRefused] = useState<string | null>(null);
  const change = (next: Params): void => go(boardHref(name, "history", { hours, state, q: text, ...next }), true);

  useEffect(() => {
    const stop = new AbortController();
    const path = `api/boards/${encodeURIComponent(name)}/history?hours=${hours}&limit=${limit}${state && `&state=${state}`}`;
    const timer = setTimeout(
      () =>
        ask<{ tasks: Finished[] }>(path, stop.signal).then(
          (answer) => {
            setTasks(answer.tasks);
            setRefused(null);
          },
          (error: unknown) => {
            if (!stop.signal.aborted) setRefused(error instanceof Refused ? error.message : String(error));
          },
        ),
      tasks === null ? 0 : PACE_MS,
    );
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [name, hours, state, limit, ended]);
  useEffect(() => setTasks(null), [hours, state]);

  const shown = useMemo(() => {
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    const found = (one: Finished): boolean => {
      const said = `${one.id}\n${one.label}\n${one.message}\n${one.error}`.toLowerCase();
      return words.every((word) => said.includes(word));
    };
    return tasks?.filter(found) ?? null;
  }, [tasks, text]);

  return (
    <section class="history" aria-label="History">
      <div class="tools">
        <label class="search">
          <Icon name="search" />
          <span class="sr">Search the history</span>
          <input
            id="search"
            type="search"
            placeholder="Search the history"
            autocomplete="off"
            value={text}
            onInput={(event) => change({ q: event.currentTarget.value })}
          />
        </label>
        <label class="sort">
          <span class="sr">Period</span>
          <select value={hours} onChange={(event) => change({ hours: event.currentTarget.value })}>
            {PERIODS.map(([value, word]) => (
              <option key={value} value={value}>
                {word}
              </option>
            ))}
          </select>
        </label>
        <label class="sort">
          <span class="sr">State</span>
          <select value={state} onChange={(event) => change({ state: event.currentTarget.value })}>
            <option value="">any state</option>
            {FINAL_STATES.map((one) => (
              <option key={one} value={one}>
                {stateWord(one)}
              </option>
            ))}
          </select>
        </label>
        <span class="dim" role="status">
          {shown && plural(shown.length, "task")}
        </span>
      </div>
      {refused !== null && (
        <Empty>
          <p>
            The history cannot be read: <Text of={refused} />
          </p>
        </Empty>
      )}
      {refused === null && shown === null && <Empty>Loading …</Empty>}
      {shown?.length === 0 && <Empty>No such task ended in this time.</Empty>}
      {!!shown?.length && (
        <ul class="ended">
          {shown.map((one) => (
            <Ended key={`${one.uuid} ${one.slot} ${one.generation}`} task={one} />
          ))}
        </ul>
      )}
      {tasks && tasks.length >= limit && limit < LIMIT_MOST && (
        <button type="button" class="link" onClick={() => setLimit(LIMIT_MOST)}>
          Show up to {number(LIMIT_MOST)}
        </button>
      )}
    </section>
  );
}

function Ended({ task }: { task: Finished }) {
  const [open, setOpen] = useState(false);
  const name = nameOf(task);
  const took = task.started !== null && task.ended !== null ? task.ended - task.started : null;
  const counted = task.count - (task.resumed_from ?? task.base);
  const total = totalOf(task);
  const stretches = stretchesOf(task.stages, task.ended ?? task.taken_at);
  const whole = stretches.reduce((sum, one) => sum + one.until - one.from, 0) || 1;
  return (
    <li>
      <details onToggle={(event) => setOpen(event.currentTarget.open)}>
        <summary>
          <StateWord state={task.state} />
          <span class="ended-name">
            <Text of={name} />
            {name !== task.id && <Text of={task.id} class="id" />}
          </span>
          <span class="mini" aria-hidden="true">
            {stretches.map((one, index) => (
              <i key={index} class={`stage-${one.color}`} style={{ flexGrow: (one.until - one.from) / whole }} />
            ))}
          </span>
          <span class="number ended-count">
            {amount(task.count, task.unit)}
            {total !== null && total !== task.count && ` / ${amount(total, task.unit)}`} <Unit of={task.unit} />
          </span>
          <span class="number ended-rate">{took !== null && took > 0 && rate(counted / took, task.unit)}</span>
          <span class="number ended-took">{took !== null && fine(took)}</span>
          <span class="number ended-when">{task.ended !== null && timeOf(task.ended, now.value)}</span>
        </summary>
        {open && <EndedMore task={task} took={took} />}
      </details>
    </li>
  );
}

function EndedMore({ task, took }: { task: Finished; took: number | null }) {
  const { series } = task;
  const metrics = Object.entries(task.metrics);
  const fraction = fractionOf(task);
  return (
    <div class="ended-more">
      {(task.error || task.message) && (
        <p class={task.error ? "is-failed" : ""}>
          <Text of={task.error || task.message} />
        </p>
      )}
      <p class="dim">
        {task.started !== null && `Started ${timeOf(task.started, now.value)}`}
        {took !== null && `, took ${duration(took)}`}
        {fraction !== null && `, ${percent(fraction)} counted`}
        {task.owner_pid ? `, pid ${task.owner_pid}` : ""}
      </p>
      {task.stages.length > 0 && (
        <Timeline
          stages={task.stages}
          leftOut={task.stages_left_out}
          from={task.started}
          until={task.ended ?? task.taken_at}
          live={false}
        />
      )}
      {series.length > 1 && (
        <Chart
          label={`Count of ${task.id} over time`}
          at={series.map(([at]) => at)}
          curves={[{ name: "count", color: "running", values: series.map(([, count]) => count) }]}
          height={120}
          format={(value) => short(value, task.unit)}
        />
      )}
      {metrics.length > 0 && <Result value={Object.fromEntries(metrics)} />}
      {task.result !== null && <Result value={task.result} />}
    </div>
  );
}
