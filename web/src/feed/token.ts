/**
 * The token that the server asks for. It comes in the fragment of a link, which browsers send to nobody, and goes to the
 * server in a header. It is not a cookie: browsers send those to every port of a host, whoever listens there. The storage
 * belongs to this address and port alone; it may be disabled.
 */

import { signal } from "@preact/signals";

const HEADER = "Headway-Token";
const KEY = `headway-token ${location.pathname}`; // servers below different paths have different tokens

/** Why the viewer has to enter the token, if that is so. */
export const asked = signal<"missing" | "wrong" | null>(null);

let token: string | null = stored();

function stored(): string | null {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

/** The token of a link, or of its fragment; null if there is none in it. */
export function tokenOf(link: string): string | null {
  const found = /#token=([^&]+)$/.exec(link)?.[1];
  if (found === undefined) return null;
  try {
    return decodeURIComponent(found);
  } catch {
    return found;
  }
}

/** Take the token out of the address, where it would be seen and sent on. False if there is none. */
export function takeToken(): boolean {
  const found = tokenOf(location.hash);
  if (found === null) return false;
  history.replaceState(null, "", location.pathname + location.search);
  keepToken(found);
  return true;
}

/** Show this token from now on. */
export function keepToken(next: string): void {
  token = next;
  asked.value = null;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // then it lasts until the page is closed
  }
}

/** Request something with the token. If the server refuses the token, `asked` tells. */
export async function fetchWithToken(input: string | URL, init: RequestInit = {}): Promise<Response> {
  const shown = token;
  const headers = new Headers(init.headers);
  if (shown !== null) headers.set(HEADER, shown);
  const answer = await fetch(input, { ...init, headers });
  if (answer.status === 401 && shown === token) {
    asked.value = shown === null ? "missing" : "wrong";
  }
  return answer;
}
