import { number, stateWord } from "../format";
import { FILTERS, sortedBy, toggled } from "../model/filters";
import { type Filter, type Query, SORTS, type Sort } from "../model/tree";
import { Chip, Search } from "./search";

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
  /** The tasks of the list that each filter finds. */
  counts: Record<Filter, number>;
  query: Query;
  onQuery: (query: Query) => void;
  /** Null: nothing can be folded. */
  folded: boolean | null;
  onFold: (open: boolean) => void;
  found: number;
}

/** Search, filter and sort. */
export function TaskTools({ counts, query, onQuery, folded, onFold, found }: Props) {
  return (
    <div class="tools">
      <Search what="Search tasks" text={query.text} onText={(text) => onQuery({ ...query, text })} />
      <div class="chips" role="group" aria-label="Only tasks that are">
        {FILTERS.filter((filter) => counts[filter] > 0 || query.states.has(filter)).map((filter) => (
          <Chip
            key={filter}
            look={filter}
            word={stateWord(filter)}
            count={number(counts[filter])}
            pressed={query.states.has(filter)}
            onPress={() => onQuery(toggled(query, filter))}
          />
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
