/** One board: its deaths, its progress, and its tasks, workers and history. */

import { number } from "../format";
import { linkedFilters } from "../model/filters";
import { boardHref, type Params, type Tab } from "../route";
import { board as followed, go, moment, now } from "../store";
import { Analyses } from "./analyses";
import { Deaths } from "./deaths";
import { Failures } from "./failures";
import { Figures } from "./figures";
import { History } from "./history";
import { useKeys } from "./keys";
import { Empty, Text } from "./parts";
import { TaskList } from "./tasks";
import { Throughput } from "./throughput";
import { WorkerPanel, WorkerTable } from "./workers";

export function BoardPage({ name, tab, params }: { name: string; tab: Tab; params: Params }) {
  useKeys("Board", [
    { on: ["t"], does: "tasks", run: () => go(boardHref(name)) },
    { on: ["w"], does: "workers", run: () => go(boardHref(name, "workers")) },
    { on: ["y"], does: "history", run: () => go(boardHref(name, "history")) },
  ]);
  const board = followed.value;
  if (!board) return <Empty>Loading …</Empty>;
  const { summary } = board;
  if (!summary) {
    return (
      <Empty>
        <h1>
          There is no board <Text of={name} /> yet
        </h1>
        <p>It appears here as soon as it exists.</p>
      </Empty>
    );
  }
  if (summary.error) {
    return (
      <Empty>
        <h1>
          The board <Text of={name} /> cannot be read
        </h1>
        <p>
          <Text of={summary.error.detail} />
        </p>
      </Empty>
    );
  }
  const at = moment.value;
  const tabs: [Tab, string, string][] = [
    ["tasks", "Tasks", number(board.tasks.size)],
    ["workers", "Workers", number(board.workers.size)],
    ["history", "History", ""],
  ];
  if (name === "analysis") tabs.push(["analyses", "Analyses", ""]);
  return (
    <div class="board">
      <h1 class="sr">
        Board <Text of={name} />
      </h1>
      <div class="alarms">
        <Deaths board={board} at={now.value} />
        <Failures board={board} />
      </div>
      <div class="glance">
        <Figures board={board} at={at} />
        <Throughput board={board} />
      </div>
      <nav class="tabs" aria-label="Board">
        {tabs.map(([one, word, count]) => (
          <a key={one} href={boardHref(name, one)} aria-current={one === tab ? "page" : undefined}>
            {word} {count && <span class="tab-count">{count}</span>}
          </a>
        ))}
      </nav>
      {tab === "tasks" && (
        <div class="sides">
          <TaskList board={board} at={at} filters={linkedFilters(params)} />
          <WorkerPanel board={board} at={at} />
        </div>
      )}
      {tab === "workers" && <WorkerTable board={board} at={at} />}
      {tab === "history" && <History name={name} params={params} ended={summary.counts?.ended ?? 0} />}
      {tab === "analyses" && <Analyses />}
    </div>
  );
}
