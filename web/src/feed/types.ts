/** What the server says; the words of docs/http.md. Unknown fields are ignored. Times are seconds since 1970. */

export const STATES = ["pending", "running", "success", "failed", "cancelled", "lost"] as const;
export type State = (typeof STATES)[number];

export interface Problem {
  code: string;
  detail: string;
}

/** A board at a glance. Where `error` is set, only `name`, `recorder` and `silent_since` mean anything. */
export interface Summary {
  name: string;
  uuid: string | null;
  host: string | null;
  taken_at: number | null;
  created_at: number | null;
  capacity: number | null;
  dropped: number | null;
  from_prev: boolean | null;
  counts: Record<State, number> | null;
  stalled: number | null;
  workers_alive: number | null;
  workers_gone: number | null;
  workers_lost: number | null;
  rates: Record<string, number> | null;
  stall_after: number | null;
  recorder_error: string | null;
  recorder: "alive" | "gone" | "unknown";
  silent_since: number | null;
  error: Problem | null;
}

/** A task in a list. */
export interface Row {
  serial: number;
  id: string;
  label: string;
  unit: string;
  parent: string | null;
  state: State;
  count: number;
  total: number | null;
  base: number;
  stage: string;
  message: string;
  error: string;
  metrics: Record<string, number | null>;
  rate: number | null;
  created: number | null;
  started: number | null;
  ended: number | null;
  stage_entered: number | null;
  beat: number | null;
  owner_pid: number;
  owner_alive: boolean;
  resumed_from: number | null;
  worker_count: number;
  lost_count: number;
}

export interface Stage {
  name: string;
  entered: number | null;
  left: number | null;
}

/** A process that counts, or counted, on a task; `count` is null where it shared its place with others. */
export interface Share {
  pid: number;
  incarnation: number;
  count: number | null;
  beat: number | null;
  alive: boolean;
}

/** Everything about one task. */
export interface Task extends Omit<Row, "worker_count" | "lost_count"> {
  stages: Stage[];
  stages_left_out: number;
  workers: Share[];
  workers_lost: Share[];
  lost_left_out: number;
  result: unknown;
  stall_after: number;
  taken_at: number;
  /** How its count, and each metric, got on while the server watched. */
  series: [number, number][];
  metric_series: Record<string, [number, number | null][]>;
}

export interface Worker {
  incarnation: number;
  pid: number;
  name: string;
  alive: boolean;
  started: number | null;
  beat: number | null;
  tasks: string[];
  task_count: number;
  /** What it counts a second, on whatever tasks; null where that cannot be told. */
  rate: number | null;
}

export interface Throughput {
  at: number[];
  running: (number | null)[];
  done: (number | null)[];
  rates: Record<string, (number | null)[]>;
}

/** A task that has ended, as the history keeps it. */
export type Finished = Task & { uuid: string; slot: number; generation: number };

export interface BoardsEvent {
  now: number;
  whole: boolean;
  boards: Summary[];
  removed: string[];
}

export interface Moved {
  serial: number[];
  count: number[];
  rate: (number | null)[];
  beat: (number | null)[];
}

export interface BoardEvent {
  now: number;
  board: string;
  whole: boolean;
  from: number | null;
  rev: number;
  summary: Summary | null;
  tasks: Row[];
  moved: Moved | Record<string, never>;
  removed: number[];
  workers: Worker[];
  workers_removed: number[];
  throughput?: Throughput;
}
