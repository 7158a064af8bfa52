/** What the server says; docs/http.md explains it. Unknown fields are ignored. Times are seconds since 1970. */

import { type PastTask, STATES, URGENCY } from "./generated";

export * from "./generated";

/** A task that has ended, as the history keeps it. */
export type Finished = PastTask;

/** The states, the most urgent first. */
export const BY_URGENCY = [...STATES].sort((a, b) => URGENCY[a] - URGENCY[b]);
