/** Places on the page as fragments of its address: #/nightly/tasks/a%2Fb, #/nightly?state=lost&q=fold. */

export const TABS = ["tasks", "workers", "history", "analyses"] as const;
export type Tab = (typeof TABS)[number];

export type Params = Readonly<Record<string, string>>;

export type Route =
  | { page: "boards" }
  | { page: "board"; board: string; tab: Tab; params: Params }
  | { page: "task"; board: string; id: string };

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // a lone % that somebody typed
  }
}

export function parseRoute(fragment: string): Route {
  const [path = "", query = ""] = fragment.replace(/^#?\/?/, "").split(/\?(.*)/s);
  const [board, section, id] = path.split("/").map(decoded);
  if (!board) return { page: "boards" };
  if (section === "tasks" && id) return { page: "task", board, id };
  const tab = TABS.find((one) => one === section) ?? "tasks";
  return { page: "board", board, tab, params: Object.fromEntries(new URLSearchParams(query)) };
}

export function hrefOf(route: Route): string {
  if (route.page === "boards") return "#/";
  const board = `#/${encodeURIComponent(route.board)}`;
  if (route.page === "task") return `${board}/tasks/${encodeURIComponent(route.id)}`;
  const kept = Object.entries(route.params).filter(([, value]) => value !== "");
  const query = new URLSearchParams(kept).toString();
  return `${board}${route.tab === "tasks" ? "" : `/${route.tab}`}${query ? `?${query}` : ""}`;
}

export const boardHref = (board: string, tab: Tab = "tasks", params: Params = {}): string =>
  hrefOf({ page: "board", board, tab, params });

export const taskHref = (board: string, id: string): string => hrefOf({ page: "task", board, id });
