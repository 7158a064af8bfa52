/** The server's answers; docs/http.md explains them. Unknown fields are ignored. Times are seconds since 1970. */

import { type PastTask, STATES, URGENCY } from "./generated";

export * from "./generated";

/** A task from the history. */
export type Finished = PastTask;

/** The states, the most urgent first. */
export const BY_URGENCY = [...STATES].sort((a, b) => URGENCY[a] - URGENCY[b]);
