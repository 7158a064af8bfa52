/** The board in a few figures. */

import type { ComponentChildren } from "preact";
import type { Board } from "../feed/patch";
import type { Summary } from "../feed/types";
import { duration, notCounted, number, stateWord, timeLeft } from "../format";
import { isWorking, type Run, runOf, workersAlive } from "../model/run";
import { boardHref } from "../route";
import { now } from "../store";
import { clockWithDay } from "./clock";
import { Shares } from "./shares";

interface FigureProps {
  word: string;
  children: ComponentChildren;
  note?: ComponentChildren;
  look?: string;
}

function Figure({ word, children, note, look = "" }: FigureProps) {
  return (
    <div class={`figure ${look}`}>
      <dt>{word}</dt>
      <dd>
        <span class="figure-value">{children}</span>
        {note && <span class="figure-note">{note}</span>}
      </dd>
    </div>
  );
}

export function Figures({ board, at }: { board: Board; at: number }) {
  const { summary } = board;
  const counts = summary?.counts;
  if (!summary || !counts) return null;
  const working = isWorking(summary);
  const run = runOf(summary, board.tasks);
  const died = [...board.workers.values()].filter((worker) => !worker.alive && worker.task_count > 0).length;
  const workers = workersAlive(summary);
  const { failed, lost } = counts;
  const told = (["success", "cancelled"] as const).filter((state) => counts[state] > 0);
  return (
    <section class="panel figures" aria-label="At a glance">
      <dl>
        <Figure
          word="Tasks ended"
          note={
            <>
              {told.map((state) => (
                <span key={state} class={`is-${state}`}>
                  {number(counts[state])} {stateWord(state)}
                </span>
              ))}
              {run.gone > 0 && (
                <a class="link" href={boardHref(board.name, "history")}>
                  {number(run.gone)} in the history only
                </a>
              )}
            </>
          }
        >
          {number(counts.ended)} <small>of {number(counts.total)}</small>
        </Figure>
        <Figure
          word={failed || !lost ? "Failed" : "Lost"}
          look={failed ? "is-failed" : lost ? "is-lost" : ""}
          note={failed > 0 && lost > 0 && <span class="is-lost">{number(lost)} lost</span>}
        >
          {number(failed || lost)}
        </Figure>
        {working && (
          <Figure
            word="Running"
            note={counts.stalled > 0 && <span class="is-stalled">{number(counts.stalled)} stalled</span>}
          >
            {number(counts.running)}
          </Figure>
        )}
        {workers !== null && (
          <Figure word="Workers" note={died > 0 && <span class="is-lost">{number(died)} died</span>}>
            {number(workers)}
          </Figure>
        )}
        {working && <Left summary={summary} />}
        <Took run={run} at={at} />
      </dl>
      <Shares counts={counts} />
    </section>
  );
}

function Left({ summary }: { summary: Summary }) {
  const left = summary.time_left;
  if (!left || left.seconds === null) return <Figure word="Time left">unknown</Figure>;
  const end = `${left.at_least ? "not before" : "about"} ${clockWithDay(now.value + left.seconds, now.value)}`;
  const soon = left.seconds < 60 || timeLeft(left) === "–";
  return (
    <Figure word="Time left" note={!soon && <span class="dim">{end}</span>}>
      <span title={notCounted(left)}>{timeLeft(left)}</span>
    </Figure>
  );
}

function Took({ run, at }: { run: Run; at: number }) {
  if (run.started === null) return null;
  const clock = (one: number): string => clockWithDay(one, now.value, true);
  const note = run.ended === null ? `since ${clock(run.started)}` : `${clock(run.started)} to ${clock(run.ended)}`;
  return (
    <Figure word={run.ended === null ? "Elapsed" : "Took"} note={<span class="dim">{note}</span>}>
      {duration(Math.max(0, (run.ended ?? at) - run.started), run.ended === null)}
    </Figure>
  );
}
