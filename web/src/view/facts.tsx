/** More facts about a task: its parent, its times, its owner. */

import type { ComponentChildren } from "preact";
import type { Row, Task } from "../feed/types";
import { ago, duration, moment as timeOf, number } from "../format";
import { idleOf } from "../model/derive";
import { taskHref } from "../route";
import { now } from "../store";
import { Panel, Text } from "./parts";

export function Facts({ row, at, board }: { row: Row | Task; at: number; board: string }) {
  const idle = idleOf(row, Math.max(at, now.value));
  const time = (value: number): string => timeOf(value, now.value);
  return (
    <Panel title="Facts">
      <dl class="pairs">
        {row.parent !== null && (
          <Fact word="Parent">
            <a href={taskHref(board, row.parent)}>
              <Text of={row.parent} />
            </a>
          </Fact>
        )}
        {row.created !== null && <Fact word="Created">{time(row.created)}</Fact>}
        {row.started !== null && <Fact word="Started">{time(row.started)}</Fact>}
        {row.ended !== null && <Fact word="Ended">{time(row.ended)}</Fact>}
        {row.resumed_from !== null && <Fact word="Resumed from">{number(row.resumed_from)}</Fact>}
        {idle !== null && row.state === "running" && <Fact word="Last sign of life">{ago(idle)}</Fact>}
        {row.state === "running" && (
          <Fact word="Stalled after">{row.stall_after === null ? "never" : duration(row.stall_after, true)}</Fact>
        )}
        {row.owner_pid > 0 && (
          <Fact word="Owner">
            pid {row.owner_pid}
            {row.owner_alive ? "" : ", gone"}
          </Fact>
        )}
        <Fact word="Id">
          <Text of={row.id} />
        </Fact>
      </dl>
    </Panel>
  );
}

function Fact({ word, children }: { word: string; children: ComponentChildren }) {
  return (
    <div>
      <dt>{word}</dt>
      <dd class="number">{children}</dd>
    </div>
  );
}
