import type { Stage } from "../feed/types";
import { fine, moment as timeOf, plural } from "../format";
import { stretchesOf, sumsOf } from "../model/stages";
import { Text } from "./parts";

const NAMED_FROM = 0.06; // of the strip: narrower ones have no room for a name

interface Props {
  stages: readonly Stage[];
  leftOut: number;
  /** When the task began, and the time at the end of the strip. */
  from: number | null;
  until: number;
  live: boolean;
}

/** When a task was in which stage, and for how long. */
export function Timeline({ stages, leftOut, from, until, live }: Props) {
  const stretches = stretchesOf(stages, until);
  const first = stretches[0];
  const last = stretches.at(-1);
  if (!first || !last) return <p class="dim">This task has not entered a stage.</p>;
  const begin = Math.min(leftOut ? first.from : (from ?? first.from), first.from);
  const whole = Math.max(last.until - begin, 1e-6);
  const part = (seconds: number): string => `${(100 * seconds) / whole}%`;
  const sums = sumsOf(stretches);
  const known = sums.reduce((sum, one) => sum + one.seconds, 0) || 1;
  return (
    <div class="timeline">
      <div class="strip" aria-hidden="true">
        {stretches.map((one, index) => (
          <span
            key={index}
            class={`stage-${one.color}${one.current && live ? " is-current" : ""}`}
            style={{ left: part(one.from - begin), width: part(one.until - one.from) }}
            title={`${one.name}: ${fine(one.until - one.from)}`}
          >
            {(one.until - one.from) / whole > NAMED_FROM && <bdi>{one.name}</bdi>}
          </span>
        ))}
      </div>
      <p class="strip-ends dim number" aria-hidden="true">
        <span>{timeOf(begin, until)}</span>
        <span>{live ? "now" : timeOf(last.until, until)}</span>
      </p>
      {leftOut > 0 && <p class="dim">{plural(leftOut, "stage")} before these were not kept.</p>}
      <ul class="stage-sums" aria-label="Time in each stage">
        {sums.map((sum) => (
          <li key={sum.name}>
            <i class={`stage-${sum.color}`} aria-hidden="true" />
            <Text of={sum.name} />
            <b class="number">{fine(sum.seconds)}</b>
            <span class="dim number">
              {Math.round((100 * sum.seconds) / known)} %{sum.times > 1 && `, ${sum.times} times`}
            </span>
          </li>
        ))}
      </ul>
    </div>
  );
}
