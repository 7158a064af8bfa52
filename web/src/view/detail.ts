import { useEffect, useRef, useState } from "preact/hooks";
import { ask, Refused } from "../feed/http";
import type { Task } from "../feed/types";

export type Detail = { state: "loading" } | { state: "there"; task: Task } | { state: "refused"; reason: Refused };

const PACE_MS = 1000;

/** Everything about a task; requested again when `change` changes, at most once a second. */
export function useDetail(board: string, id: string, change: string): Detail {
  const [detail, setDetail] = useState<Detail>({ state: "loading" });
  const asked = useRef(0);
  useEffect(() => {
    const stop = new AbortController();
    const wait = Math.max(0, asked.current + PACE_MS - Date.now());
    const timer = setTimeout(() => {
      asked.current = Date.now();
      const path = `api/boards/${encodeURIComponent(board)}/tasks?id=${encodeURIComponent(id)}`;
      ask<{ task: Task }>(path, stop.signal).then(
        ({ task }) => setDetail({ state: "there", task }),
        (error: unknown) => {
          if (stop.signal.aborted) return;
          const reason = error instanceof Refused ? error : new Refused(0, "error", String(error));
          // Keep what is shown while the server is away: the notice reports that.
          setDetail((old) => (old.state === "there" && reason.status === 0 ? old : { state: "refused", reason }));
        },
      );
    }, wait);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [board, id, change]);
  return detail;
}
