/** Numbers and times for people, in the forms of headway/views/words.py; tests compare both by test/examples.json. */

import { RATE_LEAST, STATE_WORDS, type TimeLeft } from "./feed/types";

const RATE_MOST = 999e18; // the prefixes end there
const YEARS_MOST = 1000; // a longer duration means that a clock was wrong

const PREFIXES = ["", "k", "M", "G", "T", "P", "E"];
/** Units in which bytes are counted: the step from one name to the next, and the names. */
const BYTES = new Map<string, [step: number, names: string[]]>([
  ["B", [1000, ["B", "kB", "MB", "GB", "TB", "PB", "EB"]]],
  ["iB", [1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]]],
]);

/** Are items of this unit bytes, whose amounts name their own unit: 1.23 MB? */
export function isBytes(unit: string): boolean {
  return BYTES.has(unit);
}

/** As toFixed, but a tie goes to the even digit, as in Python. Only eighths can be ties of up to two decimals. */
function fixed(value: number, digits: number): string {
  const steps = value * 10 ** digits;
  const tie = Number.isInteger(value * 8) && Math.abs(steps % 1) === 0.5;
  return (tie ? (2 * Math.round(steps / 2)) / 10 ** digits : value).toFixed(digits);
}

/** Three significant digits: 0.50, 95.2, 1.23k, 45.6M; of bytes 1.23 MB, or 1.17 MiB. */
export function short(value: number, unit = ""): string {
  const bytes = BYTES.get(unit);
  const [step, names] = bytes ?? [1000, PREFIXES];
  let rest = value;
  let at = 0;
  while (Math.abs(rest) >= 999.5 && at < names.length - 1) {
    rest /= step;
    at += 1;
  }
  const size = Math.abs(rest);
  const digits = at === 0 && Number.isInteger(rest) ? 0 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
  return `${fixed(rest, digits)}${bytes ? " " : ""}${names[at]}`;
}

/** 1,234,567 in full; shortened from ten million on. */
export function number(value: number): string {
  return Math.abs(value) < 10_000_000 ? String(value).replace(/\B(?=(\d{3})+$)/g, ",") : short(value);
}

/** 1 worker, 2 workers. */
export function plural(count: number, noun: string): string {
  return `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** How many items: a number, or bytes in units of bytes. */
export function amount(value: number, unit: string): string {
  return isBytes(unit) ? short(value, unit) : number(value);
}

/** 1.23k/s, of bytes 1.23 kB/s; slow rates per minute, hour or day, so that the number is readable. */
export function rate(value: number, unit = ""): string {
  return paced(value, unit, "");
}

/** The same with the name of the unit: 1.23k bar/s. */
export function rateOfUnit(value: number, unit: string): string {
  return paced(value, unit, unit && !isBytes(unit) ? ` ${unit}` : "");
}

function paced(rate: number, unit: string, name: string): string {
  if (!(rate < RATE_MOST)) return "–";
  const value = rate < RATE_LEAST ? 0 : rate;
  for (const [seconds, time] of [
    [1, "s"],
    [60, "min"],
    [3600, "h"],
  ] as const) {
    if (value * seconds >= 1 || value <= 0) return `${short(value * seconds, unit)}${name}/${time}`;
  }
  const days = value * 86400;
  const of = isBytes(unit) ? " B" : name;
  return `${days >= 1e-4 ? Number(days.toPrecision(2)) : days.toFixed(6)}${of}/d`;
}

/** 1:48; ≥ 1:48; "" if no running task has an estimate. */
export function timeLeft(left: TimeLeft): string {
  if (left.seconds === null) return "";
  return `${left.at_least ? "≥ " : ""}${duration(left.seconds, true)}`;
}

/** Which tasks the time left of a board does not include. */
export function notCounted(left: TimeLeft): string {
  return left.stalled > 0 ? `${number(left.stalled)} stalled not counted` : "";
}

/**
 * 3.2 s, 42 s, 12:34, 1:02:03, 2 d 5 h, 1 y 40 d; a dash for more than a thousand years. whole: no tenths of a second,
 * for estimates.
 */
export function duration(seconds: number, whole = false): string {
  if (seconds < 9.95 && !whole) return `${Math.max(seconds, 0).toFixed(1)} s`;
  if (!(seconds < YEARS_MOST * 365 * 86400)) return "–";
  const total = Math.floor(Math.max(seconds, 0) + 0.5);
  if (total < 60) return `${total} s`;
  const two = (value: number): string => String(value).padStart(2, "0");
  if (total < 3600) return `${Math.floor(total / 60)}:${two(total % 60)}`;
  if (total < 86400) return `${Math.floor(total / 3600)}:${two(Math.floor(total / 60) % 60)}:${two(total % 60)}`;
  const days = Math.floor(total / 86400);
  if (days < 100) return `${days} d ${Math.floor(total / 3600) % 24} h`;
  return days < 365 ? `${days} d` : `${Math.floor(days / 365)} y ${days % 365} d`;
}

/** A short duration in the unit that suits it: 640 µs, 12 ms, then as `duration`. */
export function fine(seconds: number): string {
  if (seconds <= 0) return "0 s";
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  return seconds < 1 ? `${Math.round(seconds * 1e3)} ms` : duration(seconds);
}

/** now, 12 s ago, 3 min ago, 5 h ago, 2 d ago, 3 y ago; a dash for more than a thousand years. */
export function ago(seconds: number): string {
  if (seconds < 1) return "now";
  if (!(seconds < YEARS_MOST * 365 * 86400)) return "–";
  for (const [unit, size, until] of [
    ["s", 1, 60],
    ["min", 60, 3600],
    ["h", 3600, 86400],
    ["d", 86400, 365 * 86400],
  ] as const) {
    if (seconds < until) return `${Math.floor(seconds / size)} ${unit} ago`;
  }
  return `${number(Math.floor(seconds / (365 * 86400)))} y ago`;
}

/** 42%; 100% only if everything is counted, and 0% only if nothing is: else <1%. */
export function percent(fraction: number): string {
  const value = fraction * 100;
  if (value > 0 && value < 1) return "<1%";
  return `${value < 100 ? Math.min(99, Math.floor(value)) : 100}%`;
}

/** A state as people read it; a file of another version may have states of its own. */
export function stateWord(state: string): string {
  return (STATE_WORDS as Record<string, string>)[state] ?? state;
}

const CLOCK = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const DAY = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

/** The time of day; with the date if it is not on the same day as `now`. */
export function moment(at: number, now: number): string {
  const date = new Date(at * 1000);
  const sameDay = date.toDateString() === new Date(now * 1000).toDateString();
  return sameDay ? CLOCK.format(date) : `${DAY.format(date)}, ${CLOCK.format(date)}`;
}

/** As on the axis of a chart: 15k, 2.5k, 0.015, 0.00002. */
export function tick(value: number): string {
  const size = Math.abs(value);
  if (size > 0 && size < 1) return measured(Number(value.toPrecision(3)));
  return short(value)
    .replace(/(\.\d*?)0+(?=\D|$)/, "$1")
    .replace(/\.(?=\D|$)/, "");
}

/**
 * A measured value: five significant digits without needless zeros, whole numbers in full. Powers of ten only from 1e7 on
 * and below 1e-6.
 */
export function measured(value: number | null): string {
  if (value === null) return "–";
  if (Number.isInteger(value) && Math.abs(value) < 1e7) return number(value);
  const [digits = "", power = "0"] = value.toExponential(4).split("e");
  const exponent = Number(power);
  const trimmed = (text: string): string => (text.includes(".") ? text.replace(/\.?0+$/, "") : text);
  if (exponent < -6 || exponent >= 7) return `${trimmed(digits)}e${exponent}`;
  return trimmed(Number(`${digits}e${exponent}`).toFixed(Math.max(4 - exponent, 0)));
}
