/** The throughput of the whole board over the last 15 minutes. */

import { useState } from "preact/hooks";
import type { Board } from "../feed/patch";
import { ago, isBytes, number, rateOfUnit, short } from "../format";
import { isWorking } from "../model/run";
import { now } from "../store";
import { Chart } from "./chart";
import { Text } from "./parts";

function busiest(board: Board): string[] {
  const rates = board.summary?.rates ?? {};
  const seen = board.throughput.rates;
  const peak = (unit: string): number => Math.max(rates[unit] ?? 0, ...(seen[unit] ?? []).map((value) => value ?? 0));
  const units = [...new Set([...Object.keys(rates), ...Object.keys(seen)])];
  return units.filter((unit) => peak(unit) > 0).sort((a, b) => (rates[b] ?? 0) - (rates[a] ?? 0) || peak(b) - peak(a));
}

export function Throughput({ board }: { board: Board }) {
  const units = busiest(board);
  const [chosen, choose] = useState<string | null>(null);
  if (!units.length && !(board.summary && isWorking(board.summary))) return null; // an empty chart of a board at rest
  const unit = chosen !== null && units.includes(chosen) ? chosen : units[0];
  const { at, rates } = board.throughput;
  const current = unit === undefined ? 0 : (board.summary?.rates?.[unit] ?? 0);
  const values = (unit === undefined ? undefined : rates[unit]) ?? at.map(() => 0);
  const counts = board.summary?.counts;
  const still = counts && counts.running > 0 && counts.stalled === counts.running ? counts.running : 0;
  const peak = Math.max(0, ...values.map((value) => value ?? 0));
  const chart = (
    <Chart
      label={`Throughput: ${rateOfUnit(current, unit ?? "")} now, at most ${rateOfUnit(peak, unit ?? "")} in this chart`}
      at={at}
      curves={[{ name: unit ?? "", color: "running", values }]}
      height={150}
      seconds={30}
      format={(value) => short(value, unit)}
      bytes={isBytes(unit ?? "")}
    />
  );
  return (
    <section class="panel throughput" aria-labelledby="throughput-title">
      <div class="panel-head">
        <h2 id="throughput-title">Throughput</h2>
        {units.length > 1 && (
          <div class="switch" role="group" aria-label="Unit">
            {units.slice(0, 5).map((one) => (
              <button key={one} type="button" aria-pressed={one === unit} onClick={() => choose(one)}>
                <Text of={one} />
              </button>
            ))}
          </div>
        )}
        <span class="panel-figure">
          {still > 0 ? (
            <span class="is-stalled">{still === 1 ? "stalled" : `all ${number(still)} stalled`}</span>
          ) : (
            rateOfUnit(current, unit ?? "")
          )}
        </span>
      </div>
      {peak > 0 ? chart : <Nothing board={board} stalled={still > 0} />}
    </section>
  );
}

/** Instead of a chart without a line: since when nothing was counted, where that is known. */
function Nothing({ board, stalled }: { board: Board; stalled: boolean }) {
  let beat = 0;
  for (const row of board.tasks.values()) if (row.state === "running") beat = Math.max(beat, row.beat ?? 0);
  return (
    <p class="chart-empty">
      {stalled ? "Nothing is counted: all running tasks are stalled." : "Nothing was counted yet."}
      {stalled && beat > 0 && ` The last sign of life was ${ago(now.value - beat)}.`}
    </p>
  );
}
