import type { Board } from "../feed/patch";
import { number, stateWord } from "../format";
import { FILTERS, sortedBy, toggled } from "../model/filters";
import { type Filter, type Query, SORTS, type Sort } from "../model/tree";
import { Icon } from "./parts";

const SEARCH_ID = "search";

export function focusSearch(): void {
  const field = document.getElementById(SEARCH_ID);
  if (field instanceof HTMLInputElement) {
    field.focus();
    field.select();
  }
}

const SORT_WORDS: Record<Sort, string> = {
  state: "by urgency",
  name: "by name",
  progress: "by progress",
  rate: "by rate",
  eta: "by time left",
  elapsed: "by time taken",
  created: "as created",
};

interface Props {
  board: Board;
  query: Query;
  onQuery: (query: Query) => void;
  /** Null: nothing can be folded. */
  folded: boolean | null;
  onFold: (open: boolean) => void;
  found: number;
}

/** Search, filter and sort. */
export function TaskTools({ board, query, onQuery, folded, onFold, found }: Props) {
  const { summary } = board;
  const numberOf = (filter: Filter): number => summary?.counts?.[filter] ?? 0;
  return (
    <div class="tools">
      <label class="search">
        <Icon name="search" />
        <span class="sr">Search tasks</span>
        <input
          id={SEARCH_ID}
          type="search"
          placeholder="Search tasks"
          autocomplete="off"
          spellcheck={false}
          value={query.text}
          onInput={(event) => onQuery({ ...query, text: event.currentTarget.value })}
        />
        <kbd aria-hidden="true">/</kbd>
      </label>
      <div class="chips" role="group" aria-label="Only tasks that are">
        {FILTERS.filter((filter) => numberOf(filter) > 0 || query.states.has(filter)).map((filter) => (
          <button
            key={filter}
            type="button"
            class={`chip is-${filter}`}
            aria-pressed={query.states.has(filter)}
            onClick={() => onQuery(toggled(query, filter))}
          >
            <i aria-hidden="true" />
            {stateWord(filter)} <b>{number(numberOf(filter))}</b>
          </button>
        ))}
      </div>
      <div class="tools-end">
        {folded !== null && (
          <button type="button" class="link" onClick={() => onFold(folded)}>
            {folded ? "Unfold all" : "Fold all"}
          </button>
        )}
        <label class="sort">
          <span class="sr">Sort by</span>
          <select value={query.sort} onChange={(event) => onQuery(sortedBy(query, event.currentTarget.value as Sort))}>
            {SORTS.map((sort) => (
              <option key={sort} value={sort}>
                {SORT_WORDS[sort]}
              </option>
            ))}
          </select>
        </label>
        <span class="sr" role="status">
          {query.text || query.states.size ? `${number(found)} tasks shown` : ""}
        </span>
      </div>
    </div>
  );
}
