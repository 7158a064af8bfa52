/** What the viewer chose, kept in this browser: the theme. Storage may be switched off. */

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
/** What is to be seen: charts are painted in these colours. */
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
    // it holds for as long as the page is open
  }
  show();
}

dark.addEventListener("change", show);
show();
