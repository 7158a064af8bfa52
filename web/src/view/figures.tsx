/** The board in a few figures. */

import type { ComponentChildren } from "preact";
import type { Board } from "../feed/patch";
import { FINAL_STATES } from "../feed/types";
import { notCounted, number, stateWord, timeLeft } from "../format";
import { Shares } from "./shares";

function Figure({ word, children, note }: { word: string; children: ComponentChildren; note?: ComponentChildren }) {
  return (
    <div class="figure">
      <dt>{word}</dt>
      <dd>
        <span class="figure-value">{children}</span>
        {note && <span class="figure-note">{note}</span>}
      </dd>
    </div>
  );
}

export function Figures({ board }: { board: Board }) {
  const { summary } = board;
  const counts = summary?.counts;
  if (!summary || !counts) return null;
  const { ended, total, stalled } = counts;
  const left = summary.time_left;
  const working = counts.running + counts.pending > 0;
  const died = [...board.workers.values()].filter((worker) => !worker.alive && worker.task_count > 0).length;
  const told = FINAL_STATES.filter((state) => counts[state] > 0).map((state) => (
    <span key={state} class={`is-${state}`}>
      {number(counts[state])} {stateWord(state)}
    </span>
  ));
  return (
    <section class="panel figures" aria-label="At a glance">
      <dl>
        <Figure word="Tasks ended" note={told.length > 0 ? told : undefined}>
          {number(ended)} <small>of {number(total)}</small>
        </Figure>
        <Figure word="Running" note={stalled ? <span class="is-stalled">{number(stalled)} stalled</span> : undefined}>
          {number(counts.running)}
        </Figure>
        <Figure word="Time left" note={(left && notCounted(left)) || undefined}>
          {(left && timeLeft(left)) || (working ? "unknown" : "–")}
        </Figure>
        <Figure word="Workers" note={died ? <span class="is-lost">{number(died)} died</span> : undefined}>
          {number(summary.workers_alive ?? 0)}
        </Figure>
      </dl>
      <Shares counts={counts} />
    </section>
  );
}
