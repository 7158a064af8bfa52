/** Line charts over time. The chart library is loaded with the first chart. */

import { useEffect, useRef, useState } from "preact/hooks";
import type uPlot from "uplot";
import { tick } from "../format";
import { shade } from "../settings";
import { axisWords, clockWithDay } from "./clock";

export interface Curve {
  name: string;
  /** A colour of the style sheet: `running` for --running. */
  color: string;
  values: (number | null)[];
  dashed?: boolean;
}

export interface ChartProps {
  /** The text for screen readers. */
  label: string;
  at: number[];
  curves: Curve[];
  height: number;
  format: (value: number) => string;
  /** The axis is in units of bytes, as `format` writes them. */
  bytes?: boolean;
  /** Draw steps: each value is valid since the point before it. */
  stepped?: boolean;
  /** Show so many seconds at least. */
  seconds?: number;
  /** The axis of values begins at 0. */
  fromZero?: boolean;
}

/** Labels of the time axis are so far apart. From days on, the chart library begins them where the calendar does. */
const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800].concat(
  [1, 2, 5, 10, 30, 90, 365, 5 * 365, 20 * 365, 100 * 365].map((days) => days * 86400),
);

function colorOf(name: string, place: HTMLElement): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  place.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

function faded(color: string, part: number): string {
  return `color-mix(in srgb, ${color} ${part}%, transparent)`;
}

function dataOf(props: ChartProps): uPlot.AlignedData {
  return [props.at, ...props.curves.map((curve) => curve.values)];
}

function optionsOf(library: typeof uPlot, place: HTMLElement, props: () => ChartProps): uPlot.Options {
  const { curves, height, stepped, fromZero = true, bytes } = props();
  const color = (name: string): string => colorOf(name, place);
  const font = `11px ${getComputedStyle(place).fontFamily}`;
  const ruler = document.createElement("canvas").getContext("2d");
  if (ruler) ruler.font = font;
  const widthOf = (text: string): number => ruler?.measureText(text).width ?? text.length * 7;
  /** A word of the time axis, unless it would be cut at the end of the chart. */
  const whole = (chart: uPlot, at: number, word: string): string | null => {
    const right = chart.width - chart.over.offsetLeft;
    return chart.valToPos(at, "x") + widthOf(word) / 2 > right ? null : word;
  };
  const axis: uPlot.Axis = {
    stroke: color("muted"),
    font,
    grid: { stroke: color("line"), width: 1 },
    ticks: { show: false },
  };
  const stroke = (curve: Curve): string => color(curve.color);
  return {
    width: Math.max(place.clientWidth, 60),
    height,
    padding: [8, 12, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: {
        range: (_chart, min, max) => {
          const seconds = props().seconds ?? 0;
          return max - min < seconds ? [max - seconds, max] : [min, max];
        },
      },
      y: {
        range: (_chart, min, max) => {
          if (min === null || max === null) return [0, 1];
          const room = (max - (fromZero ? Math.min(0, min) : min)) * 0.12 || Math.abs(max) * 0.1 || 1;
          return [fromZero ? Math.min(0, min) : min - room, max + room];
        },
      },
    },
    axes: [
      {
        ...axis,
        grid: { show: false },
        size: 24,
        space: 84,
        incrs: STEPS_S,
        values: (chart, at, _axis, _space, step) => {
          const words = axisWords(at, step);
          return at.map((one, number) => whole(chart, one, words[number] ?? ""));
        },
      },
      {
        ...axis,
        size: (_chart, words) => Math.max(36, ...(words ?? []).map((word) => widthOf(word) + 14)),
        space: 28,
        values: (_chart, values) =>
          values.map((value) =>
            bytes
              ? props()
                  .format(value)
                  .replace(/\.0+(?=\D)/, "")
              : tick(value),
          ),
      },
    ],
    series: [
      {},
      ...curves.map((curve): uPlot.Series => {
        const options: uPlot.Series = {
          label: curve.name,
          stroke: stroke(curve),
          width: 1.6,
          spanGaps: true,
          points: { show: false },
        };
        if (curve.dashed) return { ...options, dash: [4, 4], width: 1.2 };
        if (curves.length === 1 || curves.every((one) => one === curve || one.dashed))
          options.fill = faded(stroke(curve), 12);
        if (stepped && library.paths.stepped) options.paths = library.paths.stepped({ align: -1 });
        return options;
      }),
    ],
    hooks: { setCursor: [(chart) => point(chart, props())] },
  };
}

/** The values under the pointer, in words. */
function point(chart: uPlot, props: ChartProps): void {
  let tip = chart.over.querySelector<HTMLElement>(".tip");
  if (!tip) {
    tip = document.createElement("div");
    tip.className = "tip";
    chart.over.append(tip);
  }
  const { idx, left } = chart.cursor;
  const at = idx === null || idx === undefined ? undefined : props.at[idx];
  const told = props.curves
    .filter((curve) => !curve.dashed)
    .map((curve) => ({ curve, value: curve.values[idx ?? -1] }));
  tip.hidden = at === undefined || left === undefined || left < 0 || told.every(({ value }) => value == null);
  if (tip.hidden || at === undefined || left === undefined) return;
  const many = told.length > 1;
  tip.textContent = [
    clockWithDay(at, props.at.at(-1) ?? at, true),
    ...told
      .filter(({ value }) => value != null)
      .map(({ curve, value }) => `${many ? `${curve.name} ` : ""}${props.format(value as number)}`),
  ].join("   ");
  const right = left > chart.over.clientWidth / 2;
  tip.style.left = right ? "auto" : `${left + 10}px`;
  tip.style.right = right ? `${chart.over.clientWidth - left + 10}px` : "auto";
}

export function Chart(props: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);
  const [missing, setMissing] = useState(false);
  const newest = useRef(props);
  newest.current = props;
  const form = JSON.stringify([
    props.curves.map(({ name, color, dashed }) => [name, color, dashed]),
    props.height,
    props.bytes,
    shade.value,
  ]);

  useEffect(() => {
    const box = place.current;
    if (!box) return;
    let gone = false;
    const watch = new ResizeObserver(() => chart.current?.setSize({ width: box.clientWidth, height: props.height }));
    import("./plot").then(
      ({ default: library }) => {
        if (gone) return;
        chart.current = new library(
          optionsOf(library, box, () => newest.current),
          dataOf(newest.current),
          box,
        );
        watch.observe(box);
      },
      () => setMissing(true), // the server has gone away
    );
    return () => {
      gone = true;
      watch.disconnect();
      chart.current?.destroy();
      chart.current = null;
    };
  }, [form]);

  const end = `${props.at.length} ${props.at.at(-1)} ${props.curves.map((curve) => curve.values.at(-1)).join(" ")}`;
  useEffect(() => chart.current?.setData(dataOf(newest.current)), [end]);

  return (
    <figure class="chart" role="img" aria-label={props.label}>
      {missing && <p class="dim">The chart could not be loaded. Reload the page.</p>}
      <div ref={place} style={{ height: `${props.height}px` }} />
    </figure>
  );
}
