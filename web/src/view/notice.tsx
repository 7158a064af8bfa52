/** Shows whether the data is fresh: a word in the head of the page, and a line below it if it is not. */

import type { ComponentChildren } from "preact";
import { ago, duration } from "../format";
import { board, link, now, reconnect, route } from "../store";
import { Text } from "./parts";

type Pulsing = "live" | "idle" | "stale" | "offline" | "connecting";

const PULSE_WORDS: Record<Pulsing, string> = {
  live: "Live",
  idle: "At rest",
  stale: "Stale",
  offline: "Offline",
  connecting: "Connecting",
};

export function Pulse() {
  const summary = board.value?.summary;
  let pulse: Pulsing = link.value.state === "down" ? "offline" : link.value.state;
  let since: string | null = null;
  if (pulse === "live" && route.value.page !== "boards" && summary?.taken_at) {
    const active = summary.counts && summary.counts.running + summary.counts.pending > 0;
    pulse = summary.silent_since !== null ? "stale" : active ? "live" : "idle";
    if (pulse === "idle") since = ago(now.value - summary.taken_at);
  }
  return (
    <span class={`pulse is-${pulse}`}>
      <i aria-hidden="true" />
      {PULSE_WORDS[pulse]}
      {since && <span class="pulse-since">, recorded {since}</span>}
    </span>
  );
}

/** The seconds are hidden from screen readers, which otherwise would read the line again every second. */
export function Notice() {
  return (
    <div class="notices" role="status">
      <Offline />
      {route.value.page !== "boards" && <Stale />}
    </div>
  );
}

function Line({ kind, children }: { kind: string; children: ComponentChildren }) {
  return <p class={`notice is-${kind}`}>{children}</p>;
}

function Offline() {
  const down = link.value;
  const _tick = now.value; // redraw every second, although the seconds come from this browser's clock
  if (down.state !== "down" || !_tick) return null;
  const silent = (Date.now() - down.since) / 1000;
  const wait = down.retryAt === null ? null : Math.max(0, Math.ceil((down.retryAt - Date.now()) / 1000));
  return (
    <Line kind="offline">
      <strong>No connection to the server</strong>
      <span aria-hidden="true"> for {duration(silent, true)}</span>: {down.reason}. What you see is of then.{" "}
      {wait === null ? "Trying again." : <span aria-hidden="true">Trying again in {wait} s. </span>}
      <button type="button" class="link" onClick={reconnect}>
        Try now
      </button>
    </Line>
  );
}

function Stale() {
  const summary = board.value?.summary;
  if (!summary || link.value.state === "down") return null;
  const silent = summary.silent_since;
  return (
    <>
      {silent !== null && (
        <Line kind="stale">
          <strong>Recorder silent</strong>
          <span aria-hidden="true"> for {duration(now.value - silent, true)}</span>. What you see is of then: tasks may
          have gone on, ended or died since.
        </Line>
      )}
      {summary.recorder_error && (
        <Line kind="stale">
          <strong>The recorder cannot write</strong>: <Text of={summary.recorder_error} />
        </Line>
      )}
      {summary.from_prev && (
        <Line kind="stale">
          The last snapshot could not be read. This is <strong>the one before</strong>.
        </Line>
      )}
      {!!summary.dropped && (
        <Line kind="stale">
          <strong>{summary.dropped} ended tasks</strong> gave up their place before they were archived: the history
          lacks them.
        </Line>
      )}
    </>
  );
}
