/** What the server says; docs/http.md explains it. Unknown fields are ignored. Times are seconds since 1970. */

import type { PastTask } from "./generated";

export * from "./generated";

/** A task that has ended, as the history keeps it. */
export type Finished = PastTask;
