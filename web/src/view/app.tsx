import { computed } from "@preact/signals";
import { useEffect, useLayoutEffect } from "preact/hooks";
import { asked } from "../feed/token";
import { WRONG_STATES } from "../feed/types";
import { number } from "../format";
import { hrefOf } from "../route";
import { nextTheme, theme } from "../settings";
import { board, boards, go, route } from "../store";
import { BoardPage } from "./board";
import { Boards } from "./boards";
import { Help, helpShown } from "./help";
import { listenForKeys, useKeys } from "./keys";
import { Notice, Pulse } from "./notice";
import { Icon, Text } from "./parts";
import { TaskPage } from "./task";
import { TokenPage } from "./token";

const title = computed(() => {
  const place = route.value;
  if (place.page === "boards") return "Headway";
  const counts = board.value?.summary?.counts;
  const wrong = WRONG_STATES.filter((state) => counts?.[state]).map(
    (state) => `${number(counts?.[state] ?? 0)} ${state}`,
  );
  return `${wrong.length > 0 ? `(${wrong.join(", ")}) ` : ""}${place.page === "task" ? `${place.id} · ` : ""}${place.board} · Headway`;
});

export function App() {
  useLayoutEffect(listenForKeys, []);
  useEffect(() => {
    document.title = title.value;
  }, [title.value]);
  useKeys("Everywhere", [
    { on: ["?"], does: "show or hide this help", run: () => (helpShown.value = !helpShown.value) },
    { on: ["d"], does: "theme: automatic, light, dark", run: nextTheme },
    { on: ["b"], does: "all boards", run: () => go("#/") },
  ]);
  const place = route.value;
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <Header />
      {asked.value === null && <Notice />}
      <main id="main" tabIndex={-1}>
        {asked.value !== null && <TokenPage />}
        {asked.value === null && place.page === "boards" && <Boards params={place.params} />}
        {asked.value === null && place.page === "board" && (
          <BoardPage key={place.board} name={place.board} tab={place.tab} params={place.params} />
        )}
        {asked.value === null && place.page === "task" && (
          <TaskPage key={`${place.board}/${place.id}`} board={place.board} id={place.id} />
        )}
      </main>
      <Help />
    </>
  );
}

function skip(event: MouseEvent): void {
  event.preventDefault(); // the fragment is the place on the page, not an anchor
  document.getElementById("main")?.focus();
}

const THEME_WORDS = { auto: "automatic", light: "light", dark: "dark" };

function Header() {
  const place = route.value;
  return (
    <header class="top">
      <nav class="crumbs" aria-label="Where you are">
        <a class="brand" href="#/" aria-current={place.page === "boards" ? "page" : undefined}>
          <svg viewBox="0 0 32 32" aria-hidden="true">
            <path class="faint" d="M5 8h22M5 16h15M5 24h19" />
            <path d="M5 8h16M5 16h6M5 24h13" />
          </svg>
          Headway
        </a>
        {place.page !== "boards" && (
          <>
            <span aria-hidden="true">/</span>
            <a
              class="crumb"
              href={hrefOf({ page: "board", board: place.board, tab: "tasks", params: {} })}
              aria-current={place.page === "board" ? "page" : undefined}
            >
              <Text of={place.board} />
            </a>
          </>
        )}
        {place.page === "task" && (
          <>
            <span aria-hidden="true">/</span>
            <span class="crumb" aria-current="page">
              <Text of={place.id} />
            </span>
          </>
        )}
      </nav>
      {asked.value === null && <Pulse />}
      <button type="button" class="tool" onClick={nextTheme} title={`Theme: ${THEME_WORDS[theme.value]} (d)`}>
        <Icon name={theme.value} />
        <span class="sr">Theme: {THEME_WORDS[theme.value]}</span>
      </button>
      <button type="button" class="tool" onClick={() => (helpShown.value = true)} title="Keys (?)">
        <Icon name="help" />
        <span class="sr">Keys</span>
      </button>
      <span class="sr" role="status">
        {boards.value === null ? "Loading" : ""}
      </span>
    </header>
  );
}
