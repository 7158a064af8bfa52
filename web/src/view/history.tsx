/** Finished tasks, the newest first, from the board's archive. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ask, Refused } from "../feed/http";
import { FINAL_STATES, type History as Answer, type Finished, type State } from "../feed/types";
import { amount, duration, fine, moment as timeOf, number, percent, plural, rate, short, stateWord } from "../format";
import { fractionOf, totalOf } from "../model/derive";
import { nameOf } from "../model/names";
import { extended, keyOf, type Past, renewed } from "../model/past";
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
const PACE_MS = 3000;
const TYPING_MS = 300;

/** `ended`: how many tasks of the board have ended; when it changes, the history may have new tasks. */
export function History({ name, params, ended }: { name: string; params: Params; ended: number }) {
  const hours = PERIODS.some(([value]) => value === params["hours"]) ? (params["hours"] as string) : "24";
  const state: State | "" = FINAL_STATES.find((one) => one === params["state"]) ?? "";
  const text = params["q"] ?? "";
  const change = (next: Params): void => go(boardHref(name, "history", { hours, state, q: text, ...next }), true);
  const query = new URLSearchParams({ hours, ...(state && { state }), ...(text && { q: text }) }).toString();
  const path = `api/boards/${encodeURIComponent(name)}/history?${query}`;
  const { past, refused, more } = usePast(path, ended);

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
          {past &&
            (past.count > past.tasks.length
              ? `${number(past.tasks.length)} of ${plural(past.count, "task")}`
              : plural(past.count, "task"))}
        </span>
      </div>
      {refused !== null && (
        <Empty>
          <p>
            The history cannot be read: <Text of={refused} />
          </p>
        </Empty>
      )}
      {refused === null && past === null && <Empty>Loading …</Empty>}
      {past?.tasks.length === 0 && <Empty>No such task ended in this time.</Empty>}
      {!!past?.tasks.length && (
        <ul class="ended">
          {past.tasks.map((one) => (
            <Ended key={keyOf(one)} task={one} />
          ))}
        </ul>
      )}
      {past !== null && past.next !== null && (
        <button type="button" class="link" onClick={more}>
          Show more: {number(past.count - past.tasks.length)} are older
        </button>
      )}
    </section>
  );
}

/** The tasks of a request: asked for again while tasks end, every few seconds at most, and never given up for that. */
function usePast(path: string, ended: number): { past: Past | null; refused: string | null; more: () => void } {
  const [past, setPast] = useState<Past | null>(null);
  const [refused, setRefused] = useState<string | null>(null);
  const newest = useRef(ended);
  newest.current = ended;
  const first = useRef(true);
  const stopping = useRef<AbortSignal | null>(null);

  const refuse = (error: unknown): void => setRefused(error instanceof Refused ? error.message : String(error));

  useEffect(() => {
    const stop = new AbortController();
    stopping.current = stop.signal;
    let timer: number | undefined;
    let seen = -1;
    let settled = false; // the recorder may write the history a little later than the snapshot
    const look = async (): Promise<void> => {
      const now = newest.current;
      if (now !== seen || !settled) {
        try {
          const answer = await ask<Answer>(path, stop.signal);
          setPast((known) => renewed(seen < 0 ? null : known, answer));
          setRefused(null);
          settled = now === seen;
          seen = now;
        } catch (error) {
          if (!stop.signal.aborted) refuse(error);
        }
      }
      if (!stop.signal.aborted) timer = window.setTimeout(look, PACE_MS);
    };
    timer = window.setTimeout(look, first.current ? 0 : TYPING_MS);
    first.current = false;
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [path]);

  const more = (): void => {
    const signal = stopping.current;
    if (past?.next == null || signal === null) return;
    ask<Answer>(`${path}&before=${encodeURIComponent(past.next)}`, signal).then(
      (page) => setPast((known) => (known?.next === past.next ? extended(known, page) : known)),
      (error: unknown) => signal.aborted || refuse(error),
    );
  };
  return { past, refused, more };
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
