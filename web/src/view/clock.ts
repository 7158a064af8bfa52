/** Times of day on the page: to the minute or the second, and with the day where it is another one. */

const two = (value: number): string => String(value).padStart(2, "0");

const NEAR = new Intl.DateTimeFormat(undefined, { weekday: "short" });
const FAR = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });
const FARTHEST = new Intl.DateTimeFormat(undefined, { year: "numeric", month: "short", day: "numeric" });

const NEAR_S = 6 * 86400; // farther away, a day of the week would be ambiguous

/** 04:10, or 04:10:59 with seconds. */
export function clock(at: number, seconds = false): string {
  const date = new Date(at * 1000);
  return `${two(date.getHours())}:${two(date.getMinutes())}${seconds ? `:${two(date.getSeconds())}` : ""}`;
}

const DAY_S = 86400;

/**
 * The words of a time axis with a label every `step` seconds: where it goes over more than one day, the first label of
 * each day has the date; days and longer steps have the date alone.
 */
export function axisWords(at: number[], step: number): string[] {
  const days = at.map((one) => new Date(one * 1000));
  const years = new Set(days.map((day) => day.getFullYear())).size > 1;
  const date = (day: Date): string => (years && step >= DAY_S ? FARTHEST : FAR).format(day);
  const dated = new Set(days.map((day) => day.toDateString())).size > 1;
  return days.map((day, number) => {
    if (step >= DAY_S) return date(day);
    const time = clock(at[number] ?? 0, step < 60);
    const same = day.toDateString() === days[number - 1]?.toDateString();
    return dated && !same ? `${date(day)} ${time}` : time;
  });
}

/** Today 04:10; within a week Tue 04:10; else 3 Mar 04:10, and the day alone in another year. */
export function clockWithDay(at: number, now: number, seconds = false): string {
  const date = new Date(at * 1000);
  const today = new Date(now * 1000);
  if (date.toDateString() === today.toDateString()) return clock(at, seconds);
  if (Math.abs(at - now) < NEAR_S) return `${NEAR.format(date)} ${clock(at, seconds)}`;
  if (date.getFullYear() === today.getFullYear()) return `${FAR.format(date)}, ${clock(at, seconds)}`;
  return FARTHEST.format(date);
}
