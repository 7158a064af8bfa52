/** The keys: each part of the page registers its own while it is shown, and the help lists them. */

import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";

export interface Key {
  /** As in KeyboardEvent.key; the first is the one that the help names. */
  on: readonly string[];
  does: string;
  run: () => void;
}

export type KeyGroupTitle = "Everywhere" | "Boards" | "Board" | "List of tasks" | "Task";

export interface KeyGroup {
  title: KeyGroupTitle;
  keys: readonly Key[];
}

export const keyGroups = signal<readonly KeyGroup[]>([]);

/** Register these keys while the component is mounted. */
export function useKeys(title: KeyGroupTitle, keys: readonly Key[]): void {
  const latest = useRef(keys);
  latest.current = keys;
  useLayoutEffect(() => {
    const group: KeyGroup = {
      title,
      get keys() {
        return latest.current;
      },
    };
    keyGroups.value = [...keyGroups.peek(), group];
    return () => {
      keyGroups.value = keyGroups.peek().filter((one) => one !== group);
    };
  }, [title]);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement
  );
}

function isPressed(target: EventTarget | null, key: string): boolean {
  const presses = key === "Enter" || key === " ";
  return presses && target instanceof HTMLElement && target.closest("button, a, summary") !== null;
}

export function listenForKeys(): () => void {
  const listen = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    if (isTyping(event.target)) {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
      return;
    }
    if (isPressed(event.target, event.key)) return;
    for (const group of [...keyGroups.peek()].reverse()) {
      const key = group.keys.find((one) => one.on.includes(event.key));
      if (key) {
        event.preventDefault();
        key.run();
        return;
      }
    }
  };
  addEventListener("keydown", listen);
  return () => removeEventListener("keydown", listen);
}
