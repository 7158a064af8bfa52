import { describe, expect, it } from "vitest";
import type { TimeLeft } from "../src/feed/types";
import {
  ago,
  amount,
  duration,
  fine,
  measured,
  notCounted,
  number,
  percent,
  plural,
  rate,
  rateOfUnit,
  short,
  stateWord,
  tick,
  timeLeft,
} from "../src/format";
import { totalOf } from "../src/model/derive";
import { hrefOf, parseRoute, type Route } from "../src/route";
import { axisWords } from "../src/view/clock";
import examples from "./examples.json";

describe("a time axis", () => {
  const midnight = new Date(2026, 2, 3).getTime() / 1000; // by the clock of whoever runs this
  const each = (step: number, many: number, from = midnight): string[] =>
    axisWords(
      Array.from({ length: many }, (_, at) => from + at * step),
      step,
    );

  it("has times alone within a day", () => {
    expect(each(1800, 3)).toEqual(["00:00", "00:30", "01:00"]);
    expect(each(15, 2)).toEqual(["00:00:00", "00:00:15"]);
  });

  it("has the date where a day begins if it goes over several", () => {
    const words = each(28800, 7, midnight + 8 * 3600);
    expect(words.map((word) => word.slice(-5))).toEqual([
      "08:00",
      "16:00",
      "00:00",
      "08:00",
      "16:00",
      "00:00",
      "08:00",
    ]);
    expect(words.map((word) => /[^\d:]/.test(word))).toEqual([true, false, true, false, false, true, false]);
  });

  it("has dates alone for days, with the year if it goes over several", () => {
    const march = each(86400, 4);
    expect(march.every((word) => !word.includes(":") && !word.includes("2026"))).toBe(true);
    expect(new Set(march).size).toBe(4);
    expect(each(90 * 86400, 5).every((word) => /202[67]/.test(word))).toBe(true);
  });
});

describe("numbers and times", () => {
  it.each([
    [short(0.5), "0.50"],
    [short(12), "12"],
    [short(95.24), "95.2"],
    [short(1234), "1.23k"],
    [short(999.6), "1.00k"],
    [short(45_600_000), "45.6M"],
    [number(1_234_567), "1,234,567"],
    [number(12_345_678), "12.3M"],
    [tick(15_000), "15k"],
    [tick(2500), "2.5k"],
    [tick(0.5), "0.5"],
    [tick(100_000), "100k"],
    [tick(0.0152), "0.0152"],
    [tick(-0.00002), "-0.00002"],
    [tick(0), "0"],
    [plural(1, "worker"), "1 worker"],
    [plural(2, "worker"), "2 workers"],
    [rateOfUnit(1234, "bar"), "1.23k bar/s"],
    [rateOfUnit(1234, "B"), "1.23 kB/s"],
    [rateOfUnit(0.5, ""), "30/min"],
    [rate(0.5), "30/min"],
    [rate(1 / 1800), "2/h"],
    [rate(0), "0/s"],
    [duration(3.21), "3.2 s"],
    [duration(3.21, true), "3 s"],
    [duration(754), "12:34"],
    [duration(3723), "1:02:03"],
    [duration(190_800), "2 d 5 h"],
    [fine(0.00064), "640 µs"],
    [fine(0.012), "12 ms"],
    [fine(12), "12 s"],
    [ago(0.4), "now"],
    [ago(12.9), "12 s ago"],
    [ago(190), "3 min ago"],
    [ago(86_400 * 3), "3 d ago"],
    [ago(86_400 * 364), "364 d ago"],
    [ago(86_400 * 20_787), "56 y ago"],
    [ago(86_400 * 365_000), "–"],
    [ago(NaN), "–"],
    [stateWord("success"), "succeeded"],
    [stateWord("failed"), "failed"],
    [stateWord("of another version"), "of another version"],
  ])("%s is %s", (is, shall) => expect(is).toBe(shall));

  it.each(examples.durations as [number, string, string][])(
    "%d seconds: as in the terminal",
    (seconds, exact, whole) => {
      expect(duration(seconds)).toBe(exact);
      expect(duration(seconds, true)).toBe(whole);
    },
  );

  it.each(examples.rates as [number, string, string][])("%d %s a second: as in the terminal", (value, unit, text) => {
    expect(rate(value, unit)).toBe(text);
  });

  it.each(examples.numbers as [number, string][])("%d: as in the terminal", (value, text) => {
    expect(number(value)).toBe(text);
  });

  it.each(examples.counted as [number, number | null, string, string][])(
    "%d of %s %s: as in the terminal",
    (count, total, unit, text) => {
      const shown = totalOf({ count, total });
      expect([count, ...(shown === null ? [] : [shown])].map((one) => amount(one, unit)).join("/")).toBe(text);
    },
  );

  it.each(examples.time_left as [TimeLeft, string][])("%j left: as in the terminal", (left, text) => {
    const told = left.seconds === null ? [] : [timeLeft(left), notCounted(left)];
    expect(told.filter(Boolean).join(", ")).toBe(text);
  });

  it.each(examples.percents as [number, string][])("%d: as in the terminal", (value, text) => {
    expect(percent(value)).toBe(text);
  });

  it.each(examples.measured as [number | null, string][])("%d: as in the terminal", (value, text) => {
    expect(measured(value)).toBe(text);
  });
});

describe("places on the page", () => {
  const routes: Route[] = [
    { page: "boards", params: {} },
    { page: "boards", params: { q: "a b", state: "live,at rest" } },
    { page: "board", board: "nightly", tab: "tasks", params: {} },
    { page: "board", board: "a.b-c_1", tab: "history", params: { q: "50% of & = ü", state: "lost" } },
    { page: "task", board: "nightly", id: "a/../b?c#d%e" },
    { page: "task", board: "nightly", id: "🚀 <img src=x onerror=alert(1)>" },
  ];

  it.each(routes)("%j comes back from its address", (route) => expect(parseRoute(hrefOf(route))).toEqual(route));

  it("an address that somebody typed wrongly leads somewhere", () => {
    expect(parseRoute("#/nightly/tasks/50%")).toEqual({ page: "task", board: "nightly", id: "50%" });
    expect(parseRoute("#/nightly/nowhere")).toMatchObject({ page: "board", tab: "tasks" });
    expect(parseRoute("#")).toEqual({ page: "boards", params: {} });
  });
});
