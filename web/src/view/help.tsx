import { signal } from "@preact/signals";
import { useLayoutEffect, useRef } from "preact/hooks";
import { type KeyGroupTitle, keyGroups } from "./keys";
import { Icon } from "./parts";

export const helpShown = signal(false);

const ORDER: readonly KeyGroupTitle[] = ["List of tasks", "Task", "Board", "Everywhere"];

const NAMES: Record<string, string> = {
  ArrowDown: "↓",
  ArrowUp: "↑",
  ArrowLeft: "←",
  ArrowRight: "→",
  Escape: "Esc",
  PageDown: "Page Down",
  PageUp: "Page Up",
};

/** The keys that work on the present page. */
export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    if (helpShown.value) dialog.current?.showModal();
    else if (dialog.current?.open) dialog.current.close();
  }, [helpShown.value]);
  const hide = (): void => {
    helpShown.value = false;
  };
  const closed = (): void => {
    if (!dialog.current?.open) hide(); // the event may come after the dialog was opened again
  };
  return (
    <dialog
      ref={dialog}
      class="help"
      aria-labelledby="help-title"
      onClose={closed}
      onKeyDown={(event) => {
        if (event.key !== "?" && event.key !== "Escape") return;
        event.preventDefault(); // otherwise the page would toggle it again, before the browser reports the closing
        helpShown.value = event.key === "?" && !helpShown.value; // may have changed since the last drawing
      }}
    >
      <div class="help-head">
        <h2 id="help-title">Keys</h2>
        <button type="button" class="tool" onClick={hide}>
          <Icon name="close" />
          <span class="sr">Close</span>
        </button>
      </div>
      {[...keyGroups.value]
        .sort((a, b) => ORDER.indexOf(a.title) - ORDER.indexOf(b.title))
        .map((group) => (
          <section key={group.title}>
            <h3>{group.title}</h3>
            <dl>
              {group.keys.map((key) => (
                <div key={key.does}>
                  <dt>
                    {key.on.map((name) => (
                      <kbd key={name}>{NAMES[name] ?? name}</kbd>
                    ))}
                  </dt>
                  <dd>{key.does}</dd>
                </div>
              ))}
            </dl>
          </section>
        ))}
    </dialog>
  );
}
