/** What went wrong, a line a kind: the headline, the newest of it, and all of it on demand. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Icon } from "./parts";

interface Props {
  id: string;
  look: "lost" | "failed";
  headline: string;
  /** What stands behind the headline while the rest is folded. */
  newest: ComponentChildren;
  /** Where all tasks like that are listed. */
  links: ComponentChildren;
  onDismiss: () => void;
  /** All of it; nothing if the line says it already. */
  children?: ComponentChildren;
}

export function Alarm({ id, look, headline, newest, links, onDismiss, children }: Props) {
  const [open, setOpen] = useState(false);
  const folds = !!children;
  return (
    <section class={`alarm is-${look}${folds && open ? " is-open" : ""}`} aria-labelledby={`${id}-title`}>
      <div class="alarm-head">
        <h2 id={`${id}-title`}>
          {folds ? (
            <button type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
              <Icon name={open ? "open" : "shut"} />
              {headline}
            </button>
          ) : (
            headline
          )}
        </h2>
        <p class="alarm-newest">{(!folds || !open) && newest}</p>
        <p class="alarm-links">
          {links}
          <button type="button" class="link" onClick={onDismiss}>
            Dismiss
          </button>
        </p>
      </div>
      {folds && open && children}
    </section>
  );
}

/** What is left of one that was put away. */
export function Away({ look, headline, children }: Pick<Props, "look" | "headline"> & { children: ComponentChildren }) {
  return (
    <p class="alarm-away">
      <span class={`is-${look}`}>{headline}</span> {children}
    </p>
  );
}
