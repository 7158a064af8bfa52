/** The progress of a task over time, as the server observed it. */

export type Point = readonly [at: number, value: number | null];

/** The rates between the points of a series: x is the end of each interval. `start` is the begin of the run. */
export function ratesOf(course: readonly Point[], start: { at: number; count: number } | null): [number[], number[]] {
  const at: number[] = [];
  const rates: number[] = [];
  let before = start;
  for (const [moment, count] of course) {
    if (count === null) continue;
    if (before && moment > before.at) {
      const rate = Math.max(0, (count - before.count) / (moment - before.at));
      if (!at.length) {
        at.push(before.at);
        rates.push(rate);
      }
      at.push(moment);
      rates.push(rate);
    }
    before = { at: moment, count };
  }
  return [at, rates];
}
