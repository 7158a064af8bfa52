// Asks for the analyses twice a second and keeps a row of each. Whatever comes from outside is set as text, never as
// markup.

const INTERVAL_MS = 500;
const ANSWER_MS = 5000;
const STAGES = ["data_fetch", "support_resistance", "ml_prediction", "market_context", "leverage_decision"];
const RESULTS = STAGES.slice(1);

const find = document.getElementById("find");
const hours = document.getElementById("hours");
const link = document.getElementById("link");
const body = document.querySelector("#analyses tbody");
const rows = new Map(); // by execution id
let answered = null; // when the last answer came, in ms
let analyses = []; // what it said

const words = (text) => text.replaceAll("_", " ");
const figure = (number, digits) => (Number.isFinite(number) ? number.toFixed(digits) : "?"); // JSON has no NaN: null
const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

function element(name, className = "", text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text) made.textContent = text;
  return made;
}

// The page is touched only where it changes, so that a selection of text stays.
function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function style(node, className) {
  if (node.className !== className) node.className = className;
}

// ------------------------------------------------------------------------------------------------------------- a row

function stepState(analysis, stage) {
  const result = analysis[stage];
  if (analysis.overall_status === "failed" && analysis.failure_stage === stage) return "failed";
  if (result && result.status !== "pending") return result.status === "failed" ? "failed" : "done";
  if (analysis.current_stage === stage) return "current";
  const begun = stage === "data_fetch" && analysis.current_stage !== "initializing" && !analysis.failure_stage;
  const later = RESULTS.some((name) => analysis[name].status !== "pending");
  return stage === "data_fetch" && (begun || later) ? "done" : "open";
}

function levelsOf({ support_resistance: found }) {
  if (found.status === "pending") return "";
  if (found.status === "failed") return "failed";
  return `${count(found.supports_count, "support")}\n${count(found.resistances_count, "resistance")}`;
}

function modelOf({ ml_prediction: found }) {
  if (found.status === "pending") return "";
  if (found.status === "failed") return "failed";
  return `${figure(100 * found.confidence, 0)} % of ${found.predictions_count}`;
}

function marketOf({ market_context: found }) {
  if (found.status === "pending") return "";
  return found.status === "failed" ? "failed" : [found.trend_direction, found.market_phase].filter(Boolean).join("\n");
}

function leverageOf({ leverage_decision: found }) {
  if (found.status === "pending") return "";
  return found.status === "failed" ? "failed" : `${figure(found.recommended_leverage, 2)} ×`;
}

function stageOf(analysis) {
  if (analysis.overall_status === "failed") return `failed in ${words(analysis.failure_stage) || "an unnamed stage"}`;
  return words(analysis.current_stage);
}

function clock(iso) {
  const started = new Date(iso);
  return Number.isNaN(started.getTime()) ? iso : started.toLocaleTimeString();
}

function makeRow(id) {
  const row = element("tr");
  const symbol = element("th");
  symbol.scope = "row";
  const name = element("bdi", "name");
  const execution = element("bdi", "id", id);
  symbol.append(name, execution);
  const stage = element("td", "stage");
  const steps = element("span", "steps");
  steps.setAttribute("aria-hidden", "true");
  steps.append(...STAGES.map((each) => {
    const step = element("i", "open");
    step.title = words(each);
    return step;
  }));
  const stageName = element("bdi");
  stage.append(steps, stageName);
  const cells = ["levels", "model", "market", "leverage"].map((each) => {
    const cell = element("td", each);
    cell.append(element("bdi"));
    return cell;
  });
  const outcome = element("td", "outcome");
  const badge = element("bdi", "badge");
  const message = element("bdi", "message");
  outcome.append(badge, message);
  const started = element("td", "started");
  row.append(symbol, stage, ...cells, outcome, started);
  return { row, name, steps, stageName, cells, badge, message, started };
}

function fillRow(parts, analysis) {
  const status = analysis.overall_status;
  style(parts.row, ["running", "success", "failed"].includes(status) ? status : "other");
  say(parts.name, analysis.symbol);
  const known = STAGES.includes(analysis.current_stage) || STAGES.includes(analysis.failure_stage) ||
    RESULTS.some((name) => analysis[name].status !== "pending");
  parts.steps.hidden = !known;
  STAGES.forEach((stage, place) => style(parts.steps.children[place], stepState(analysis, stage)));
  say(parts.stageName, stageOf(analysis));
  const texts = [levelsOf(analysis), modelOf(analysis), marketOf(analysis), leverageOf(analysis)];
  texts.forEach((text, place) => say(parts.cells[place].firstChild, text));
  style(parts.badge, analysis.final_signal === "signal_detected" ? "badge signal_detected" : "badge");
  say(parts.badge, status === "running" ? "running" : status === "failed" ? "failed" : words(analysis.final_signal));
  say(parts.message, analysis.final_message);
  say(parts.started, clock(analysis.start_time));
}

// ---------------------------------------------------------------------------------------------------------- the page

function showAnalyses() {
  const sought = find.value.trim().toLowerCase();
  const shown = sought
    ? analyses.filter((each) => `${each.symbol}\n${each.execution_id}`.toLowerCase().includes(sought))
    : analyses;
  const present = new Set(shown.map((each) => each.execution_id));
  for (const [id, parts] of rows) {
    if (!present.has(id)) {
      parts.row.remove();
      rows.delete(id);
    }
  }
  let place = body.firstElementChild;
  for (const analysis of shown) {
    let parts = rows.get(analysis.execution_id);
    if (!parts) rows.set(analysis.execution_id, (parts = makeRow(analysis.execution_id)));
    fillRow(parts, analysis);
    if (parts.row === place) place = place.nextElementSibling;
    else body.insertBefore(parts.row, place);
  }
  for (const status of ["running", "success", "failed"]) {
    const many = analyses.filter((each) => each.overall_status === status).length;
    say(document.querySelector(`#counts .${status} b`), String(many));
  }
  document.getElementById("analyses").hidden = shown.length === 0;
  const empty = document.getElementById("empty");
  empty.hidden = shown.length > 0;
  document.getElementById("unfound").hidden = analyses.length === 0;
  document.getElementById("none").hidden = analyses.length > 0;
}

function showTotals(totals) {
  const place = document.getElementById("totals");
  place.hidden = totals.length === 0;
  while (place.children.length > totals.length) place.lastElementChild.remove();
  while (place.children.length < totals.length) {
    const bar = element("div", "total");
    bar.append(element("bdi", "name"), element("progress"), element("span", "figures"));
    place.append(bar);
  }
  totals.forEach((total, number) => {
    const [name, bar, figures] = place.children[number].children;
    style(place.children[number], `total ${total.state}`);
    say(name, total.label);
    bar.max = Math.max(total.total, 1);
    bar.value = total.count;
    bar.setAttribute("aria-label", total.label);
    say(figures, `${total.count.toLocaleString()} of ${total.total.toLocaleString()}, ${total.state}`);
  });
}

function showLink() {
  const silent = answered === null ? Infinity : Date.now() - answered;
  if (silent < 3 * INTERVAL_MS) {
    style(link, "link live");
    say(link, "live");
  } else {
    style(link, "link waiting");
    say(link, answered === null ? "no answer yet" : `no answer for ${Math.round(silent / 1000)} s`);
  }
}

async function ask(path) {
  const answer = await fetch(path, { signal: AbortSignal.timeout(ANSWER_MS) });
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error);
  return found;
}

async function turn() {
  try {
    const chosen = encodeURIComponent(hours.value);
    const [recent, counted] = await Promise.all([
      ask(`api/analysis/recent?hours=${chosen}`),
      ask("api/analysis/totals"),
    ]);
    answered = Date.now();
    analyses = recent.analyses;
    showAnalyses();
    showTotals(counted.totals);
  } catch (error) {
    link.title = error.message;
  }
  showLink();
  setTimeout(turn, INTERVAL_MS);
}

document.getElementById("choice").addEventListener("submit", (event) => event.preventDefault());
find.addEventListener("input", showAnalyses);
turn();
