/** Small components that all pages use. */

import type { ComponentChildren } from "preact";
import type { State } from "../feed/types";
import { isBytes, stateWord } from "../format";

/** A text from a watched program: it is always shown as text, and its direction does not affect the page. */
export function Text({ of, class: name }: { of: string; class?: string }) {
  return (
    <bdi class={name} title={of}>
      {of}
    </bdi>
  );
}

/** The unit of an amount, but for bytes, whose amounts name it themselves. */
export function Unit({ of }: { of: string }) {
  return isBytes(of) ? null : <Text of={of} />;
}

export type Look = State | "stalled" | "gone" | "working" | "idle";

/** A state, by colour and by word. */
export function StateWord({ state }: { state: Look }) {
  return (
    <span class={`state is-${state}`}>
      <i aria-hidden="true" />
      {stateWord(state)}
    </span>
  );
}

/** A progress bar. Screen readers skip it, as the number is beside it. */
export function Bar({ fraction, look }: { fraction: number | null; look: Look }) {
  const style = { transform: `translateX(${((fraction ?? 1) - 1) * 100}%)` };
  return (
    <span class={`bar is-${look}${fraction === null ? " is-open" : ""}`} aria-hidden="true">
      <span style={style} />
    </span>
  );
}

export function Empty({ children }: { children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}

const PATHS = {
  search: "M7 12.2A5.2 5.2 0 1 0 7 1.8a5.2 5.2 0 0 0 0 10.4ZM11 11l3.4 3.4",
  open: "m5 6 3 3.5L11 6",
  shut: "m6.5 4.5 3.5 3-3.5 3",
  auto: "M8 1.8a6.2 6.2 0 1 0 0 12.4Zm0 0a6.2 6.2 0 0 1 0 12.4",
  light:
    "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM8 1v1.6M8 13.4V15M1 8h1.6M13.4 8H15M3 3l1.2 1.2M11.8 11.8 13 13M3 13l1.2-1.2M11.8 4.2 13 3",
  dark: "M13.8 9.6A6.2 6.2 0 0 1 6.4 2.2a6.2 6.2 0 1 0 7.4 7.4Z",
  help: "M5.6 6a2.4 2.4 0 1 1 3.6 2.1c-.8.5-1.2.9-1.2 1.8M8 12.4v.1M8 14.6A6.6 6.6 0 1 0 8 1.4a6.6 6.6 0 0 0 0 13.2Z",
  close: "m4 4 8 8M12 4l-8 8",
};

export function Icon({ name }: { name: keyof typeof PATHS }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={PATHS[name]} />
    </svg>
  );
}

/** A part of a page with a title of its own. */
export function Panel({
  title,
  children,
  class: name = "",
}: {
  title: string;
  children: ComponentChildren;
  class?: string;
}) {
  const id = `panel-${title.replaceAll(" ", "-").toLowerCase()}`;
  return (
    <section class={`panel ${name}`} aria-labelledby={id}>
      <div class="panel-head">
        <h2 id={id}>{title}</h2>
      </div>
      {children}
    </section>
  );
}
