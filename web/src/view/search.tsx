import { Icon } from "./parts";

const SEARCH_ID = "search";

export function focusSearch(): void {
  const field = document.getElementById(SEARCH_ID);
  if (field instanceof HTMLInputElement) {
    field.focus();
    field.select();
  }
}

/** The field of a list that `/` leads to. */
export function Search({ what, text, onText }: { what: string; text: string; onText: (text: string) => void }) {
  return (
    <label class="search">
      <Icon name="search" />
      <span class="sr">{what}</span>
      <input
        id={SEARCH_ID}
        type="search"
        placeholder={what}
        autocomplete="off"
        spellcheck={false}
        value={text}
        onInput={(event) => onText(event.currentTarget.value)}
      />
      <kbd aria-hidden="true">/</kbd>
    </label>
  );
}

interface ChipProps {
  look: string;
  word: string;
  count: string;
  pressed: boolean;
  onPress: () => void;
}

/** A filter that can be chosen, with the number of what it finds. */
export function Chip({ look, word, count, pressed, onPress }: ChipProps) {
  return (
    <button type="button" class={`chip is-${look}`} aria-pressed={pressed} onClick={onPress}>
      <i aria-hidden="true" />
      {word} <b>{count}</b>
    </button>
  );
}
