/** The lost tasks of this run that are not on the board any more: they gave up their place, and stand in the history. */

import { useEffect, useState } from "preact/hooks";
import { ask } from "../feed/http";
import type { Board } from "../feed/patch";
import type { Finished, History, Row } from "../feed/types";

const MOST = 100;
const PACE_MS = 3000;

function rowOf(task: Finished): Row {
  return { ...task, worker_count: task.workers.length, lost_count: task.workers_lost.length };
}

export function useLostBefore(board: Board): readonly Row[] {
  const [past, setPast] = useState<readonly Row[]>([]);
  const uuid = board.summary?.uuid ?? "";
  const here = [...board.tasks.values()].filter((row) => row.state === "lost").length;
  const gone = Math.max(0, (board.summary?.counts?.lost ?? 0) - here);
  useEffect(() => {
    if (gone === 0) {
      setPast([]);
      return;
    }
    const stop = new AbortController();
    const path = `api/boards/${encodeURIComponent(board.name)}/history?hours=8760&state=lost&uuid=${uuid}&limit=${MOST}`;
    let timer: number | undefined;
    const look = (): void => {
      ask<History>(path, stop.signal).then(
        (answer) => setPast(answer.tasks.map(rowOf)),
        () => {
          if (!stop.signal.aborted) timer = window.setTimeout(look, PACE_MS); // the history's own tab says why not
        },
      );
    };
    timer = window.setTimeout(look, past.length ? PACE_MS : 0);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [board.name, uuid, gone]);
  return past;
}
