/** One stream of events: it reconnects by itself, and reports since when it has been down. */

import { EventSource } from "eventsource";
import { ask, Refused } from "./http";
import { fetchWithToken } from "./token";
import type { BoardEvent, BoardsEvent } from "./types";

/** `since` and `retryAt` are times of this browser's clock, in milliseconds. */
export type Link =
  | { state: "connecting" }
  | { state: "live" }
  | { state: "down"; since: number; retryAt: number | null; reason: string };

export interface Listener {
  boards(event: BoardsEvent): void;
  /** False: an event before this one was missed. */
  board(event: BoardEvent): boolean;
  link(link: Link): void;
  now(seconds: number): void;
}

const SILENT_MS = 15_000; // the server sends something every 5 s
const HIDDEN_MS = 60_000; // browsers allow six connections to a host, over all tabs
const WAITS_S = [1, 2, 4, 8, 15];

export class Connection {
  private source: EventSource | null = null;
  private board: string | null = null;
  private heard = 0;
  private downSince: number | null = null;
  private failures = 0;
  private retry: number | undefined;
  private hide: number | undefined;

  constructor(private readonly listener: Listener) {
    setInterval(() => this.check(), 1000);
    document.addEventListener("visibilitychange", () => this.visibility());
    addEventListener("online", () => this.source === null && this.open());
  }

  /** Follow this board in addition to the list of all boards. */
  follow(board: string | null): void {
    if (this.source && board === this.board) return;
    this.board = board;
    this.open();
  }

  /** Connect now, without waiting for the next retry. */
  open(): void {
    this.close();
    this.heard = Date.now();
    if (this.downSince === null) this.listener.link({ state: "connecting" });
    const query = this.board === null ? "" : `?board=${encodeURIComponent(this.board)}`;
    const source = new EventSource(`api/events${query}`, { fetch: fetchWithToken });
    this.source = source;
    source.addEventListener("boards", (event) => this.hear(event, (data: BoardsEvent) => this.listener.boards(data)));
    source.addEventListener("board", (event) =>
      this.hear(event, (data: BoardEvent) => {
        if (!this.listener.board(data)) this.open(); // a new stream begins with the whole board
      }),
    );
    source.addEventListener("beat", (event) => this.hear(event, () => undefined));
    source.addEventListener("error", () => this.failed(source));
  }

  /** Disconnect, until the next `open` or `follow`. */
  close(): void {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  private hear<T extends { now: number }>(event: MessageEvent<string>, take: (data: T) => void): void {
    if (event.target !== this.source) return; // a late event of a stream that was closed
    const data = JSON.parse(event.data) as T;
    this.heard = Date.now();
    this.failures = 0;
    this.downSince = null;
    this.listener.now(data.now);
    this.listener.link({ state: "live" });
    take(data);
  }

  private down(retryAt: number | null, reason: string): void {
    this.downSince ??= this.heard;
    this.listener.link({ state: "down", since: this.downSince, retryAt, reason });
  }

  private failed(source: EventSource): void {
    if (source !== this.source) return;
    if (source.readyState === EventSource.CONNECTING) {
      this.down(null, "the connection broke"); // the browser reconnects by itself, and continues after the last event
      return;
    }
    this.close();
    ask("api/boards").then(
      () => this.later(null, "the stream was refused"),
      (error: unknown) => {
        if (error instanceof Refused && error.status === 401) return; // it is of no use until somebody enters the token
        const wait = error instanceof Refused ? error.retryAfter : null;
        this.later(wait, error instanceof Error ? error.message : String(error));
      },
    );
  }

  private later(wait: number | null, reason: string): void {
    if (this.source) return;
    const seconds = wait ?? WAITS_S[Math.min(this.failures, WAITS_S.length - 1)] ?? 15;
    this.failures += 1;
    this.down(Date.now() + seconds * 1000, reason);
    this.retry = window.setTimeout(() => this.open(), seconds * 1000);
  }

  private check(): void {
    if (!this.source || Date.now() - this.heard <= SILENT_MS) return;
    this.close();
    this.later(null, "nothing was heard from the server");
  }

  private visibility(): void {
    clearTimeout(this.hide);
    if (document.hidden) this.hide = window.setTimeout(() => this.close(), HIDDEN_MS);
    else if (!this.source) this.open();
  }
}
