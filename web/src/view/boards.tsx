/** All boards at a glance. */

import { BY_URGENCY, type Summary } from "../feed/types";
import { ago, duration, number, plural, rateOfUnit, stateWord } from "../format";
import { boardHref } from "../route";
import { boards, now } from "../store";
import { FileAnalyses } from "./analyses";
import { Empty, Text } from "./parts";
import { Shares } from "./shares";

export function Boards() {
  return (
    <>
      <Cards />
      <FileAnalyses />
    </>
  );
}

function Cards() {
  const all = boards.value;
  if (all === null) return <Empty>Loading the boards …</Empty>;
  if (!all.length) {
    return (
      <Empty>
        <h1>No boards yet</h1>
        <p>
          Open one in a program, <code>board = headway.open("nightly")</code>, or run <code>headway demo</code>. It
          appears here by itself.
        </p>
      </Empty>
    );
  }
  return (
    <div class="boards">
      <h1 class="sr">Boards</h1>
      <ul>
        {all.map((summary) => (
          <li key={summary.name}>{summary.error ? <Unreadable summary={summary} /> : <Card summary={summary} />}</li>
        ))}
      </ul>
    </div>
  );
}

function Unreadable({ summary }: { summary: Summary }) {
  return (
    <a class="card" href={boardHref(summary.name)}>
      <h2>
        <Text of={summary.name} />
      </h2>
      <p class="card-error">
        <Text of={summary.error?.detail ?? ""} />
      </p>
    </a>
  );
}

function Card({ summary }: { summary: Summary }) {
  const { counts } = summary;
  if (!counts) return null;
  const told = BY_URGENCY.filter((state) => counts[state] > 0);
  const rates = Object.entries(summary.rates ?? {}).slice(0, 2);
  const silent = summary.silent_since;
  return (
    <a class="card" href={boardHref(summary.name)}>
      <h2>
        <Text of={summary.name} />
      </h2>
      <p class={`card-when${silent === null ? "" : " is-stalled"}`}>
        {silent !== null
          ? `recorder silent for ${duration(now.value - silent, true)}`
          : counts.running + counts.pending > 0
            ? "live"
            : `at rest, recorded ${ago(now.value - (summary.taken_at ?? now.value))}`}
        {summary.host && (
          <>
            {" on "}
            <Text of={summary.host} />
          </>
        )}
      </p>
      <Shares counts={counts} />
      <p class="card-counts">
        {told.length === 0 && "no tasks"}
        {told.map((state) => (
          <span key={state} class={`is-${state}`}>
            <b>{number(counts[state])}</b> {stateWord(state)}
            {state === "running" && counts.stalled > 0 && (
              <span class="is-stalled"> ({number(counts.stalled)} stalled)</span>
            )}
          </span>
        ))}
      </p>
      <p class="card-foot">
        <span>{plural(summary.workers_alive ?? 0, "worker")}</span>
        {!!summary.workers_lost && <span class="is-lost">{number(summary.workers_lost)} died at work</span>}
        {rates.map(([unit, value]) => (
          <span key={unit}>{rateOfUnit(value, unit)}</span>
        ))}
      </p>
    </a>
  );
}
