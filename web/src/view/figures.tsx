/** The board in four figures. */

import type { ComponentChildren } from "preact";
import type { Board } from "../feed/patch";
import { duration, number, percent } from "../format";
import { etaOf } from "../model/derive";
import { Shares } from "./shares";

/** The longest of the running tasks: the board is not done before. */
function timeLeft(board: Board): number | null {
  let longest: number | null = null;
  for (const row of board.tasks.values()) {
    const eta = etaOf(row);
    if (eta !== null && eta > (longest ?? -1)) longest = eta;
  }
  return longest;
}

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
  const all = Object.values(counts).reduce((sum, value) => sum + value, 0);
  const done = all - counts.running - counts.pending;
  const left = timeLeft(board);
  const working = counts.running + counts.pending > 0;
  const died = [...board.workers.values()].filter((worker) => !worker.alive && worker.task_count > 0).length;
  const stalled = summary.stalled ?? 0;
  return (
    <section class="panel figures" aria-label="At a glance">
      <dl>
        <Figure word="Tasks ended" note={all ? percent(done / all) : undefined}>
          {number(done)} <small>of {number(all)}</small>
        </Figure>
        <Figure word="Running" note={stalled ? <span class="is-stalled">{number(stalled)} stalled</span> : undefined}>
          {number(counts.running)}
        </Figure>
        <Figure word="Time left" note={left !== null && counts.pending ? "at least" : undefined}>
          {left !== null ? duration(left, true) : working ? "unknown" : "–"}
        </Figure>
        <Figure word="Workers" note={died ? <span class="is-lost">{number(died)} died</span> : undefined}>
          {number(summary.workers_alive ?? 0)}
        </Figure>
      </dl>
      <Shares counts={counts} />
    </section>
  );
}
