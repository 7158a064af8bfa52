/** Made-up boards for `npm run dev` and `npm run preview`, in the words of docs/http.md. It is in no build. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Plugin } from "vite";
import type { Row, State, Summary, Task, Worker } from "../src/feed/types";

const NAMES = ["BTC", "ETH", "SOL", "ADA", "XRP", "DOT", "LTC", "AVAX"];
const STAGES = ["load", "features", "fit", "evaluate"];

class Pretended {
  rev = 1;
  readonly rows: Row[] = [];
  readonly begun = Date.now() / 1000;
  readonly course = {
    at: [] as number[],
    running: [] as number[],
    success: [] as number[],
    rates: { bar: [] as number[] },
  };

  constructor(
    readonly name: string,
    readonly size: number,
    readonly frozen = false,
  ) {
    this.add("all", null, "All symbols", size, "task", "running");
    for (let index = 0; index < size; index++) {
      const name = `${NAMES[index % NAMES.length]}-${Math.floor(index / NAMES.length) + 1}h`;
      this.add(`all/${name}`, "all", "", 2000 + ((index * 7919) % 6000), "bar", "pending");
    }
    for (let at = this.begun - 400; at < this.begun; at++) {
      this.course.at.push(at);
      this.course.running.push(8);
      this.course.success.push(0);
      this.course.rates.bar.push(9000 + 2500 * Math.sin(at / 30) + 1200 * Math.sin(at / 3));
    }
  }

  private add(id: string, parent: string | null, label: string, total: number, unit: string, state: State): void {
    const now = this.begun;
    this.rows.push({
      serial: this.rows.length + 1,
      id,
      label,
      unit,
      parent,
      state,
      count: 0,
      total,
      base: 0,
      stage: "",
      message: "",
      error: "",
      metrics: {},
      rate: null,
      created: now,
      started: state === "running" ? now : null,
      ended: null,
      stage_entered: null,
      beat: null,
      owner_pid: 4700,
      owner_alive: true,
      resumed_from: null,
      stall_after: 10,
      worker_count: 0,
      lost_count: 0,
    });
  }

  step(): void {
    if (this.frozen) return;
    const now = Date.now() / 1000;
    this.rev += 1;
    const leaves = this.rows.slice(1);
    const wanted = Math.min(this.size > 1000 ? 400 : 8, this.size);
    let running = leaves.filter((row) => row.state === "running").length;
    for (const row of leaves) {
      if (running >= wanted) break;
      if (row.state !== "pending") continue;
      Object.assign(row, {
        state: "running",
        started: now,
        owner_pid: 4711 + (row.serial % 8),
        worker_count: 1,
        beat: now,
      });
      running++;
    }
    for (const row of leaves) {
      if (row.state !== "running" || row.serial === 7) continue;
      row.count = Math.min(row.total ?? 0, row.count + Math.round(Math.random() * 500 + (row.serial % 5) * 60));
      row.rate = (row.count / Math.max(now - (row.started ?? now), 0.3)) * 1;
      row.beat = now;
      const stage = STAGES[Math.min(3, Math.floor((4 * row.count) / (row.total ?? 1)))] ?? "fit";
      if (stage !== row.stage)
        Object.assign(row, { stage, stage_entered: now, message: stage === "fit" ? "fold 3 of 5" : "" });
      row.metrics = { loss: 1 / (1 + row.count / 700) + Math.random() / 40, accuracy: 0.5 + row.count / 20000 };
      if (row.serial % 41 === 12 && row.count > 2500)
        Object.assign(row, {
          state: "lost",
          owner_alive: false,
          ended: now,
          message: "fold 3 of 5",
          error: "its process died",
        });
      else if (row.serial % 37 === 5 && row.count > 1200)
        Object.assign(row, {
          state: "failed",
          error: "ValueError: Input contains NaN, infinity or a value too large for dtype('float64')",
          ended: now,
        });
      else if (row.count >= (row.total ?? 0)) Object.assign(row, { state: "success", ended: now, message: "" });
    }
    const all = this.rows[0] as Row;
    all.count = leaves.filter((row) => row.ended !== null).length;
    all.beat = now;
    all.rate = all.count / (now - this.begun + 1);
    all.worker_count = 8;
    all.lost_count = this.rows.some((row) => row.state === "lost") ? 1 : 0;
  }

  summary(): Summary {
    const now = Date.now() / 1000;
    const counts = {
      ...{ pending: 0, running: 0, success: 0, failed: 0, cancelled: 0, lost: 0 },
      ...{ total: this.rows.length, ended: 0, stalled: 0 },
    };
    let bars = 0;
    for (const row of this.rows) {
      counts[row.state]++;
      if (row.ended !== null) counts.ended++;
      if (row.parent && row.state === "running") bars += row.rate ?? 0;
    }
    return {
      name: this.name,
      uuid: "f".repeat(32),
      host: "box",
      taken_at: this.frozen ? this.begun - 30 : now,
      created_at: this.begun,
      sequence: this.rev,
      capacity: 16384,
      worker_capacity: 1024,
      dropped: 0,
      from_prev: false,
      counts,
      time_left: { seconds: 108, at_least: counts.pending > 0, stalled: 0 },
      workers_alive: 8,
      workers_gone: 1,
      workers_lost: 1,
      rates: { bar: bars, task: this.rows[0]?.rate ?? 0 },
      interval: 0.25,
      recorder_error: null,
      recorder: "unknown",
      silent_since: this.frozen ? this.begun - 30 : null,
      error: null,
    };
  }

  workers(): Worker[] {
    const lost = this.rows.filter((row) => row.state === "lost").map((row) => row.owner_pid);
    return Array.from({ length: 8 }, (_, index): Worker => {
      const pid = 4711 + index;
      const tasks = this.rows.filter(
        (row) => row.parent && row.owner_pid === pid && (row.state === "running" || row.state === "lost"),
      );
      const alive = !lost.includes(pid);
      return {
        incarnation: index + 1,
        pid,
        name: `ForkProcess-${index + 1}`,
        alive,
        started: this.begun,
        beat: Math.max(0, ...tasks.map((row) => row.beat ?? 0)) || null,
        tasks: tasks.slice(0, 20).map((row) => row.id),
        task_count: tasks.length,
        item: tasks.length ? `BTC-${index + 1}h` : "",
        item_since: tasks.length ? this.begun + index : null,
        item_until: null,
        stall_after: 10,
        rate: alive && tasks.length ? 1200 : null,
      };
    });
  }

  whole(): object {
    return {
      now: Date.now() / 1000,
      board: this.name,
      whole: true,
      from: null,
      rev: this.rev,
      summary: this.summary(),
      tasks: this.rows,
      moved: { serial: [], count: [], rate: [], beat: [] },
      removed: [],
      workers: this.workers(),
      workers_removed: [],
      throughput: this.course,
    };
  }

  patch(from: number): object {
    return { ...this.whole(), whole: false, from, throughput: undefined };
  }

  task(id: string): Task | null {
    const row = this.rows.find((one) => one.id === id);
    if (!row) return null;
    const begin = row.started ?? this.begun;
    const until = row.ended ?? Date.now() / 1000;
    const met = STAGES.slice(0, STAGES.indexOf(row.stage) + 1);
    const each = (until - begin) / Math.max(met.length, 1);
    return {
      ...row,
      final: row.ended !== null,
      fraction: null,
      eta: null,
      elapsed: until - begin,
      idle: null,
      stalled: false,
      owner: 1,
      series: Array.from({ length: 60 }, (_, index) => [
        begin + ((until - begin) * index) / 59,
        (row.count * index) / 59 + 20 * Math.sin(index),
      ]),
      metric_series: {
        loss: Array.from({ length: 60 }, (_, index) => [begin + ((until - begin) * index) / 59, 1 / (1 + index / 9)]),
      },
      stages: met.map((name, index) => ({
        name,
        entered: begin + index * each,
        left: index === met.length - 1 ? row.ended : begin + (index + 1) * each,
      })),
      stages_left_out: 0,
      workers_lost: [],
      lost_left_out: 0,
      durations: null,
      taken_at: Date.now() / 1000,
      workers: [
        {
          pid: row.owner_pid,
          incarnation: 1,
          count: row.count,
          beat: row.beat,
          alive: true,
          item: "",
          item_seconds: null,
        },
      ],
      result: row.state === "success" ? { auc: 0.9132, folds: 5, rows: 124_812, model: "boosted trees" } : null,
    };
  }
}

const boards = [new Pretended("nightly", 96), new Pretended("big", 9999), new Pretended("old", 12, true)];

function answer(request: IncomingMessage, response: ServerResponse, next: () => void): void {
  const url = new URL(request.url ?? "/", "http://host");
  const [, api, kind, name, section, id] = url.pathname.split("/").map(decodeURIComponent);
  if (api !== "api") return next();
  const board = boards.find((one) => one.name === (kind === "events" ? url.searchParams.get("board") : name));
  const json = (value: object | null): void => {
    response.statusCode = value ? 200 : 404;
    response.setHeader("Content-Type", "application/json");
    response.end(JSON.stringify(value ?? { status: 404, code: "not-found", detail: "there is nothing of that name" }));
  };
  const now = Date.now() / 1000;
  if (kind === "boards" && !name) return json({ now, boards: boards.map((one) => one.summary()) });
  if (section === "tasks" && id) {
    const task = board?.task(id);
    return json(task ? { now, task } : null);
  }
  if (section === "history") {
    const ended = board?.rows.filter((row) => row.ended !== null).map((row) => board.task(row.id));
    return json(
      ended ? { now, tasks: ended.map((task, slot) => ({ ...task, uuid: "f", slot, generation: 1 })) } : null,
    );
  }
  if (kind !== "events") return json(null);
  response.setHeader("Content-Type", "text/event-stream");
  const send = (event: string, data: object): void =>
    void response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
  const all = (): object => ({
    now: Date.now() / 1000,
    whole: true,
    boards: boards.map((one) => one.summary()),
    removed: [],
  });
  send("boards", all());
  let rev = board?.rev ?? 0;
  if (board) send("board", board.whole());
  const timer = setInterval(() => {
    for (const one of boards) if (one === board || !board) one.step();
    send("boards", all());
    if (board && board.rev !== rev) {
      send("board", board.patch(rev));
      rev = board.rev;
    } else send("beat", { now: Date.now() / 1000 });
  }, 250);
  request.on("close", () => clearInterval(timer));
}

export function pretend(): Plugin {
  return {
    name: "pretend",
    configureServer: (server) => void server.middlewares.use(answer),
    configurePreviewServer: (server) => void server.middlewares.use(answer),
  };
}
