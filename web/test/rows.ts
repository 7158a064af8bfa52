import type { BoardEvent, Row, Summary, Worker } from "../src/feed/types";

let serial = 0;

export function row(id: string, more: Partial<Row> = {}): Row {
  serial += 1;
  return {
    serial,
    id,
    label: "",
    unit: "it",
    parent: null,
    state: "running",
    count: 0,
    total: null,
    base: 0,
    stage: "",
    message: "",
    error: "",
    metrics: {},
    rate: null,
    created: 100,
    started: 100,
    ended: null,
    stage_entered: null,
    beat: 100,
    owner_pid: 1,
    owner_alive: true,
    resumed_from: null,
    stall_after: 10,
    worker_count: 1,
    lost_count: 0,
    ...more,
  };
}

export function worker(incarnation: number, more: Partial<Worker> = {}): Worker {
  return {
    incarnation,
    pid: 4700 + incarnation,
    name: "",
    alive: true,
    started: 100,
    beat: 100,
    tasks: [],
    task_count: 0,
    item: "",
    item_since: null,
    item_until: null,
    stall_after: 10,
    rate: null,
    ...more,
  };
}

export function summary(more: Partial<Summary> = {}): Summary {
  return {
    name: "nightly",
    uuid: "a".repeat(32),
    host: "box",
    taken_at: 100,
    created_at: 90,
    sequence: 1,
    capacity: 1024,
    worker_capacity: 1024,
    dropped: 0,
    from_prev: false,
    counts: { pending: 0, running: 1, success: 0, failed: 0, cancelled: 0, lost: 0, total: 1, ended: 0, stalled: 0 },
    time_left: { seconds: null, at_least: true, stalled: 0 },
    workers_alive: 1,
    workers_gone: 0,
    workers_lost: 0,
    rates: { it: 5 },
    interval: 0.25,
    recorder_error: null,
    recorder: "alive",
    silent_since: null,
    error: null,
    ...more,
  };
}

export function event(more: Partial<BoardEvent> = {}): BoardEvent {
  return {
    now: 100,
    board: "nightly",
    whole: false,
    from: 1,
    rev: 2,
    summary: summary(),
    tasks: [],
    moved: { serial: [], count: [], rate: [], beat: [] },
    removed: [],
    workers: [],
    workers_removed: [],
    ...more,
  };
}
