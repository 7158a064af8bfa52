import { measured } from "../format";
import { Text } from "./parts";

type Scalar = string | number | boolean | null;

function isFlat(value: unknown): value is Record<string, Scalar> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.values(value).every((one) => typeof one !== "object" || one === null);
}

/** A result: a flat object as a list of names and values, anything else as JSON. */
export function Result({ value }: { value: unknown }) {
  if (!isFlat(value))
    return (
      <pre class="json" tabIndex={0}>
        {JSON.stringify(value, null, 2)}
      </pre>
    );
  return (
    <dl class="pairs">
      {Object.entries(value).map(([name, one]) => (
        <div key={name}>
          <dt>
            <Text of={name} />
          </dt>
          <dd class="number">{typeof one === "number" ? <Value of={one} /> : <Text of={String(one)} />}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A number as people read it; all its digits are in its tooltip. */
function Value({ of }: { of: number }) {
  const words = measured(of);
  return <span title={words === String(of) ? undefined : String(of)}>{words}</span>;
}
