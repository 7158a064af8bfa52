/** Places on the page as fragments of its address: #/nightly/tasks/a%2Fb, #/nightly?state=lost&q=fold. */

export const TABS = ["tasks", "workers", "history", "analyses"] as const;
export type Tab = (typeof TABS)[number];

export type Params = Readonly<Record<string, string>>;

export type Route =
  | { page: "boards"; params: Params }
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
  const params = Object.fromEntries(new URLSearchParams(query));
  if (!board) return { page: "boards", params };
  if (section === "tasks" && id) return { page: "task", board, id };
  const tab = TABS.find((one) => one === section) ?? "tasks";
  return { page: "board", board, tab, params };
}

export function hrefOf(route: Route): string {
  if (route.page === "task") return `#/${encodeURIComponent(route.board)}/tasks/${encodeURIComponent(route.id)}`;
  const kept = Object.entries(route.params).filter(([, value]) => value !== "");
  const query = new URLSearchParams(kept).toString();
  const board = route.page === "boards" ? "" : encodeURIComponent(route.board);
  const tab = route.page === "boards" || route.tab === "tasks" ? "" : `/${route.tab}`;
  return `#/${board}${tab}${query ? `?${query}` : ""}`;
}

export const boardsHref = (params: Params = {}): string => hrefOf({ page: "boards", params });

export const boardHref = (board: string, tab: Tab = "tasks", params: Params = {}): string =>
  hrefOf({ page: "board", board, tab, params });

export const taskHref = (board: string, id: string): string => hrefOf({ page: "task", board, id });
