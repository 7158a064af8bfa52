import type { Board } from "../feed/patch";
import { duration, number, percent, rate, rateOfUnit } from "../format";
import { elapsedOf, etaOf, fractionOf, rateOf, totalOf } from "../model/derive";
import { namesBelowParent } from "../model/names";
import type { Line } from "../model/tree";
import { taskHref } from "../route";
import { go, now } from "../store";
import { clockWithDay } from "./clock";
import { inFull, listed } from "./columns";
import { Bar, Icon, type Look, StateWord, Text } from "./parts";

interface Props {
  board: Board;
  line: Line;
  at: number;
  index: number;
  top: number;
  here: boolean;
  onFold: (id: string, open: boolean) => void;
  onPoint: () => void;
}

export function TaskLine({ board, line, at, index, top, here, onFold, onPoint }: Props) {
  const row = board.tasks.get(line.row.serial) ?? line.row;
  const look: Look = line.stalled ? "stalled" : row.state;
  const fraction = fractionOf(row);
  const total = totalOf(row);
  const speed = rateOf(row, line.stalled);
  const eta = etaOf(row, line.stalled);
  const elapsed = row.started === null ? null : elapsedOf(row, at);
  const [name, id] = namesBelowParent(row);
  const told = row.state === "failed" || row.state === "lost" ? row.error || row.message : row.message;
  const left = (seconds: number): string => `about ${clockWithDay(now.value + seconds, now.value)}`;
  const open = (event: MouseEvent): void => {
    onPoint();
    if (event.target instanceof Element && event.target.closest("a, button")) return;
    if (getSelection()?.isCollapsed === false) return; // the viewer is selecting text
    go(taskHref(board.name, row.id));
  };
  return (
    <div
      id={`task-${row.serial}`}
      class={`line is-${look}${line.dim ? " is-dim" : ""}${here ? " is-here" : ""}`}
      role="row"
      aria-rowindex={index + 2}
      aria-level={line.depth + 1}
      aria-posinset={line.place}
      aria-setsize={line.siblings}
      aria-selected={here}
      aria-expanded={line.children ? line.open : undefined}
      style={{ transform: `translateY(${top}px)` }}
      onClick={open}
    >
      <span class="cell-state" role="gridcell">
        <StateWord state={look} />
      </span>
      <span class="cell-name" role="rowheader" style={{ paddingInlineStart: `${line.depth * 18}px` }}>
        {line.children ? (
          <button
            type="button"
            class="fold"
            tabIndex={-1}
            aria-label={line.open ? "Fold" : "Unfold"}
            onClick={() => onFold(row.id, !line.open)}
          >
            <Icon name={line.open ? "open" : "shut"} />
          </button>
        ) : (
          <i class="fold" aria-hidden="true" />
        )}
        <a href={taskHref(board.name, row.id)} tabIndex={-1}>
          <Text of={name} />
        </a>
        {id !== null && <Text of={id} class="id" />}
        {line.children > 0 && !line.open && <span class="folded">{number(line.children)}</span>}
        {row.lost_count > 0 && row.state === "running" && (
          <span class="badge is-lost">{number(row.lost_count)} died</span>
        )}
      </span>
      <span class="cell-progress" role="gridcell">
        <Bar key={row.serial} fraction={row.state === "pending" ? 0 : fraction} look={look} />
        <span class="number">{fraction === null || row.state === "pending" ? "" : percent(fraction)}</span>
      </span>
      <span class="cell-count number" role="gridcell" title={inFull(row)}>
        <span class={row.state === "pending" ? "dim" : ""}>{listed(row.count, row.unit)}</span>
        {total !== null && <span class="dim"> / {listed(total, row.unit)}</span>}
      </span>
      <span class="cell-rate number" role="gridcell">
        {speed !== null && row.state === "running" && (
          <span title={rateOfUnit(speed, row.unit)}>{rate(speed, row.unit)}</span>
        )}
      </span>
      <span class="cell-eta number" role="gridcell" title={eta === null ? undefined : left(eta)}>
        {eta !== null && duration(eta, true)}
      </span>
      <span class="cell-elapsed number" role="gridcell" title={elapsed === null ? undefined : duration(elapsed)}>
        {elapsed !== null && duration(elapsed, row.ended === null)}
      </span>
      <span class="cell-stage" role="gridcell">
        {row.stage && <Text of={row.stage} />}
      </span>
      <span class={`cell-message${told && told === row.error ? " is-error" : ""}`} role="gridcell">
        {row.stage && (
          <span class="stage-before" aria-hidden="true">
            {row.stage}
            {told && " · "}
          </span>
        )}
        {told && <Text of={told} />}
      </span>
    </div>
  );
}
