/** The viewer's settings, stored in this browser: the theme. Storage may be disabled. */

import { signal } from "@preact/signals";

export const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "headway-theme";

function stored(): Theme {
  try {
    return THEMES.find((one) => one === localStorage.getItem(KEY)) ?? "auto";
  } catch {
    return "auto";
  }
}

const dark = matchMedia("(prefers-color-scheme: dark)");
export const theme = signal<Theme>(stored());
/** The theme in effect: charts use its colours. */
export const shade = signal<"light" | "dark">("light");

function show(): void {
  document.documentElement.dataset["theme"] = theme.value;
  shade.value = theme.value === "auto" ? (dark.matches ? "dark" : "light") : theme.value;
}

export function nextTheme(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "auto";
  try {
    localStorage.setItem(KEY, theme.value);
  } catch {
    // then the choice lasts until the page is closed
  }
  show();
}

dark.addEventListener("change", show);
show();
