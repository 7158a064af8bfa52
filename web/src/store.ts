/** The state of the page, as signals. Events are applied as they come, and drawn once per frame. */

import { computed, signal } from "@preact/signals";
import { Connection, type Link } from "./feed/connection";
import { applyBoard, applyBoards, type Board } from "./feed/patch";
import { takeToken } from "./feed/token";
import type { Fault, Summary } from "./feed/types";
import { parseRoute } from "./route";

export const route = signal(parseRoute(location.hash));
export const boards = signal<Summary[] | null>(null);
/** Why the server cannot list all boards: it cannot read the directory in which they are. */
export const unlisted = signal<Fault | null>(null);
export const link = signal<Link>({ state: "connecting" });

/** By the server's clock; it ticks once a second, and with every event. */
export const now = signal(Date.now() / 1000);
let ahead = 0; // how far the server's clock is ahead of this browser's, in seconds

/** The board that is followed. Its rows are changed in place; `drawn` signals the change. */
let followed: Board | null = null;
const drawn = signal(0);
export const board = computed(() => {
  drawn.value;
  return followed === null ? null : { ...followed };
});

/** The time of the followed board's last snapshot. */
export const moment = computed(() => board.value?.summary?.taken_at ?? now.value);

let frame = 0;
function draw(): void {
  frame ||= requestAnimationFrame(() => {
    frame = 0;
    drawn.value += 1;
  });
}

const connection = new Connection({
  boards(event) {
    boards.value = applyBoards(boards.value ?? [], event);
    unlisted.value = event.error ?? null;
  },
  board(event) {
    const next = applyBoard(followed, event);
    if (next === null) return false;
    followed = next;
    draw();
    return true;
  },
  link(next) {
    if (next.state !== "live" || link.value.state !== "live") link.value = next;
  },
  now(seconds) {
    ahead = seconds - Date.now() / 1000;
    now.value = seconds;
  },
});

export function reconnect(): void {
  connection.open();
}

/** Show the place in the address. */
export function arrive(): void {
  const anew = takeToken();
  const next = parseRoute(location.hash);
  route.value = next;
  const name = next.page === "boards" ? null : next.board;
  if (followed?.name !== name) {
    followed = null;
    drawn.value += 1;
  }
  if (anew) connection.close();
  connection.follow(name);
}

export function start(): void {
  addEventListener("hashchange", arrive);
  setInterval(() => (now.value = Date.now() / 1000 + ahead), 1000);
  arrive();
}

/** Go to a place; `replace` adds no entry to the browser's history. */
export function go(href: string, replace = false): void {
  if (replace) {
    history.replaceState(null, "", href);
    arrive();
  } else {
    location.hash = href;
  }
}
