/** Recent executions of the analysis trackers. */

import { useEffect, useState } from "preact/hooks";
import { ask, Refused } from "../feed/http";
import { Empty, type Look, StateWord, Text } from "./parts";

interface Step {
  status: string;
}

interface Analysis {
  symbol: string;
  execution_id: string;
  start_time: string;
  current_stage: string;
  overall_status: string;
  support_resistance: Step;
  ml_prediction: Step;
  market_context: Step;
  leverage_decision: Step;
  final_signal: string;
  final_message: string;
}

const PACE_MS = 2000;
const STEPS = ["support_resistance", "ml_prediction", "market_context", "leverage_decision"] as const;

function lookOf(status: string): Look {
  return status === "running" || status === "success" || status === "failed" ? status : "pending";
}

type Source = "all" | "files";

/** What began within the last day, asked for again and again; null: not known yet. */
function useRecent(source: Source): { all: Analysis[] | null; refused: string | null } {
  const [all, setAll] = useState<Analysis[] | null>(null);
  const [refused, setRefused] = useState<string | null>(null);
  useEffect(() => {
    const stop = new AbortController();
    const look = (): void => {
      ask<{ analyses: Analysis[] }>(`api/analysis/recent?hours=24&source=${source}`, stop.signal).then(
        ({ analyses }) => {
          setAll(analyses);
          setRefused(null);
        },
        (error: unknown) => {
          if (!stop.signal.aborted) setRefused(error instanceof Refused ? error.message : String(error));
        },
      );
    };
    look();
    const timer = setInterval(() => document.hidden || look(), PACE_MS);
    return () => {
      clearInterval(timer);
      stop.abort();
    };
  }, [source]);
  return { all, refused };
}

function Unreadable({ why }: { why: string }) {
  return (
    <Empty>
      The analyses cannot be read: <Text of={why} />
    </Empty>
  );
}

/** All analyses: those of the board, and those of the folder of a file tracker. */
export function Analyses() {
  const { all, refused } = useRecent("all");
  if (refused !== null) return <Unreadable why={refused} />;
  if (all === null) return <Empty>Loading …</Empty>;
  if (!all.length) return <Empty>No analysis began within the last day.</Empty>;
  return <Table all={all} />;
}

/** The analyses of the folder that `headway serve --analysis` names; nothing where there are none. */
export function FileAnalyses() {
  const { all, refused } = useRecent("files");
  if (refused === null && !all?.length) return null;
  return (
    <section class="file-analyses">
      <h2>Analyses in files</h2>
      {refused !== null ? <Unreadable why={refused} /> : <Table all={all ?? []} />}
    </section>
  );
}

function Table({ all }: { all: Analysis[] }) {
  return (
    <div class="panel scroll" tabIndex={0} role="region" aria-label="Analyses">
      <table class="table">
        <caption class="sr">Analyses of the last day, the newest first</caption>
        <thead>
          <tr>
            <th scope="col">Status</th>
            <th scope="col">Symbol</th>
            <th scope="col">Execution</th>
            <th scope="col">Stage</th>
            {STEPS.map((step) => (
              <th key={step} scope="col" class="wide">
                {step.replace("_", " ")}
              </th>
            ))}
            <th scope="col">Signal</th>
          </tr>
        </thead>
        <tbody>
          {all.map((one) => (
            <tr key={one.execution_id}>
              <td>
                <StateWord state={lookOf(one.overall_status)} />
              </td>
              <td>
                <Text of={one.symbol} />
              </td>
              <td>
                <Text of={one.execution_id} class="id" />
              </td>
              <td>
                <Text of={one.current_stage} />
              </td>
              {STEPS.map((step) => (
                <td key={step} class="wide">
                  <Text of={one[step]?.status ?? ""} />
                </td>
              ))}
              <td>
                <Text of={one.final_signal} /> <Text of={one.final_message} class="dim" />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}
