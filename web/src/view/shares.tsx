import type { State } from "../feed/types";
import { number, stateWord } from "../format";

const ORDER: readonly State[] = ["success", "failed", "lost", "cancelled", "running", "pending"];

/** All tasks of a board as one bar, by state. */
export function Shares({ counts }: { counts: Record<State, number> }) {
  const parts = ORDER.filter((state) => counts[state] > 0);
  return (
    <div
      class="shares"
      role="img"
      aria-label={parts.map((state) => `${number(counts[state])} ${stateWord(state)}`).join(", ") || "no tasks"}
    >
      {parts.map((state) => (
        <span key={state} class={`is-${state}`} style={{ flexGrow: counts[state] }} />
      ))}
    </div>
  );
}
