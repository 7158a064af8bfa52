/** One request to the server. All addresses are relative to the page, so any path prefix works. */

import { fetchWithToken } from "./token";

export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly retryAfter: number | null = null,
  ) {
    super(detail);
  }
}

/** Request JSON. Throws Refused for any status but 200; status 0 means that there was no answer. */
export async function ask<T>(path: string, signal?: AbortSignal): Promise<T> {
  let answer: Response;
  try {
    answer = await fetchWithToken(path, { headers: { Accept: "application/json" }, ...(signal && { signal }) });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused(0, "no-connection", "the server does not answer");
  }
  if (answer.ok) return (await answer.json()) as T;
  const problem = (await answer.json().catch(() => ({}))) as { code?: string; detail?: string };
  const wait = Number(answer.headers.get("Retry-After") ?? Number.NaN);
  throw new Refused(
    answer.status,
    problem.code ?? "error",
    problem.detail ?? `the server answers ${answer.status}`,
    Number.isFinite(wait) ? wait : null,
  );
}
