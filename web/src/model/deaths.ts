/** Dead processes, with the tasks that they were working on. */

import type { Row, Worker } from "../feed/types";
import { deepestFirst } from "./names";

export interface Death {
  key: string;
  /** 0 if it is unknown which process it was. */
  pid: number;
  name: string;
  /** The row of the process, which says what it had in hand; null where it has none. */
  worker: Worker | null;
  /** Its last sign of life. */
  at: number | null;
  tasks: Row[];
  /** Tasks beyond those listed. */
  more: number;
}

/**
 * The newest first. `past`: lost tasks of this run that gave up their place on the board. A task stands under its owner, or under each process that died while the task went on.
 */
export function deathsOf(tasks: Iterable<Row>, workers: Iterable<Worker>, past: Iterable<Row> = []): Death[] {
  const byId = new Map<string, Row>();
  const lost: Row[] = [];
  const bereft = new Set<Row>(); // tasks that go on although one of their processes died
  for (const row of tasks) {
    byId.set(row.id, row);
    if (row.state === "lost") lost.push(row);
    else if (row.state === "running" && row.lost_count > 0) bereft.add(row);
  }
  const here = new Set(lost.map((row) => row.serial));
  for (const row of past) if (!here.has(row.serial)) lost.push(row);
  const deaths = new Map<number, Death>();
  for (const worker of workers) {
    if (worker.alive || worker.task_count === 0) continue;
    const rows = worker.tasks.map((id) => byId.get(id)).filter((row): row is Row => row !== undefined);
    for (const row of rows) bereft.delete(row);
    deaths.set(worker.pid, {
      key: `p${worker.pid}`,
      pid: worker.pid,
      name: worker.name,
      worker,
      at: worker.beat ?? worker.started,
      tasks: rows,
      more: worker.task_count - rows.length,
    });
  }
  for (const row of lost) {
    const death = deaths.get(row.owner_pid);
    if (!death) {
      deaths.set(row.owner_pid, {
        key: row.owner_pid ? `p${row.owner_pid}` : `t${row.serial}`, // the same after its place was given to another
        pid: row.owner_pid,
        name: "",
        worker: null,
        at: beatOf(row),
        tasks: [row],
        more: 0,
      });
    } else if (!death.tasks.includes(row)) {
      death.tasks.push(row);
      death.more = Math.max(0, death.more - 1);
      death.at = Math.max(death.at ?? 0, beatOf(row) ?? 0) || null;
    }
  }
  const all = [...deaths.values()];
  // Where the process really was: first the lost tasks, then the deepest ones.
  const isLost = (row: Row): number => (row.state === "lost" ? 1 : 0);
  for (const death of all) death.tasks = deepestFirst(death.tasks).sort((a, b) => isLost(b) - isLost(a));
  for (const row of bereft) {
    all.push({ key: `b${row.serial}`, pid: 0, name: "", worker: null, at: null, tasks: [row], more: 0 });
  }
  return all.sort((a, b) => (b.at ?? 0) - (a.at ?? 0));
}

function beatOf(row: Row): number | null {
  return row.beat ?? row.ended ?? row.started;
}
