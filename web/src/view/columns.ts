/** The numbers of the list of tasks, and how wide their columns are: nothing is cut, and no column jumps as one scrolls. */

import type { Row } from "../feed/types";
import { amount, isBytes, number, short } from "../format";
import { totalOf } from "../model/derive";
import type { Line } from "../model/tree";

const FULL_BELOW = 1_000_000; // larger numbers are shortened: 1.23M

/** A count in the list: 999,999, then 1.23M; bytes as everywhere. */
export function listed(value: number, unit: string): string {
  return !isBytes(unit) && Math.abs(value) >= FULL_BELOW ? short(value) : amount(value, unit);
}

/** 1,234,567 of 2,000,000 bar: the same in full. */
export function inFull(row: Pick<Row, "count" | "total" | "unit">): string {
  const total = totalOf(row);
  const of = total === null ? "" : ` of ${amount(total, row.unit)}`;
  return `${amount(row.count, row.unit)}${of}${isBytes(row.unit) ? "" : ` ${row.unit}`}`.trim();
}

const SHORT_CH = 5; // 99.9M
const BYTES_CH = 8; // 99.9 MiB
const SLASH_CH = 2; // of a slash and two spaces
const RATE_CH = 8; // 99.9k/s, 59.9/min
const BYTES_RATE_CH = 10; // 99.9 MiB/s

/** The width in characters of the widest number of these lines; numbers are not formatted for it: there are many. */
export function widthsOf(lines: readonly Line[]): { count: number; rate: number } {
  let [count, total] = [0, 0];
  let [isShort, anyBytes] = [false, false];
  for (const { row } of lines) {
    if (isBytes(row.unit)) {
      anyBytes = true;
      continue;
    }
    const all = totalOf(row) ?? 0;
    if (Math.max(row.count, all) >= FULL_BELOW) isShort = true;
    if (row.count < FULL_BELOW) count = Math.max(count, row.count);
    if (all < FULL_BELOW) total = Math.max(total, all);
  }
  const least = Math.max(isShort ? SHORT_CH : 0, anyBytes ? BYTES_CH : 0);
  const one = Math.max(number(count).length, least);
  const other = total || least ? Math.max(total ? number(total).length : 0, least) + SLASH_CH : 0;
  return { count: Math.max(one + other, 6), rate: anyBytes ? BYTES_RATE_CH : RATE_CH };
}
