// The report's behaviour. What it shows comes from rows, and rows come from anywhere: text is set as text, never as HTML.
"use strict";

const facts = JSON.parse(document.getElementById("facts").textContent);
const comparison = facts.comparison;

const RATINGS = [
  { name: "mos", title: "MOS", means: "overall quality" },
  { name: "noisiness", title: "Noisiness", means: "background noise" },
  { name: "coloration", title: "Coloration", means: "natural sound" },
  { name: "discontinuity", title: "Discontinuity", means: "gaps and breaks" },
  { name: "loudness", title: "Loudness", means: "level" },
];
const COLUMNS = ["noisiness", "coloration", "discontinuity", "loudness", "mos", "spread"]; // of the scores, as they are packed
const LOWEST = 1, HIGHEST = 5, BIN = 0.2, BINS = 20, LOW = 2.5, PER_PAGE = 20, LISTED = 10;

// --- text ------------------------------------------------------------------------------------------------------------

const INVISIBLE = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const LONE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const hex = (code, width) => code.toString(16).toUpperCase().padStart(width, "0");

/** With everything visible that a name could hide, such as a change of direction; bytes that are no UTF-8 as \xFF. */
function plain(text) {
  return text
    .replace(INVISIBLE, (c) => `\\u${hex(c.charCodeAt(0), 4)}`)
    .replace(LONE, (c) => {
      const code = c.charCodeAt(0);
      return code >= 0xdc80 && code <= 0xdcff ? `\\x${hex(code - 0xdc00, 2)}` : `\\u${hex(code, 4)}`;
    });
}

const words = (text) => plain(text.replace(/\s+/g, " "));
const whole = new Intl.NumberFormat("en");
const one = (value) => value.toFixed(1);
const signed = (value, digits = 2) => {
  const size = Math.abs(value).toFixed(digits);
  return `${Number(size) === 0 ? "±" : value < 0 ? "−" : "+"}${size}`;
};
const interval = ({ low, high }) => [low, high].map((bound) => signed(bound, high - low < 0.05 ? 3 : 2)).join(" to ");
const percent = (share) => `${(100 * share).toFixed(share > 0 && share < 0.0995 ? 1 : 0)} %`;
const plural = (count, word) => `${whole.format(count)} ${word}${count === 1 ? "" : "s"}`;

function clock(seconds) {
  const s = Math.floor(seconds % 60), m = Math.floor(seconds / 60) % 60, h = Math.floor(seconds / 3600);
  const two = (n) => String(n).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}

const lasting = (seconds) => (seconds < 60 ? `${seconds.toFixed(1)} s` : clock(seconds));

/** An element: attributes, "on…" listeners, and children, which are elements or text. */
function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** A drawing that a screen reader takes as one picture, of the name `ariaLabel`. */
function chart(options) {
  const plot = Plot.plot(options);
  plot.setAttribute("role", "img");
  for (const part of plot.querySelectorAll("g[aria-label]")) part.removeAttribute("aria-label");
  return plot;
}

const byId = (id) => document.getElementById(id);

// --- data ------------------------------------------------------------------------------------------------------------

async function unpacked(id) {
  const text = atob(byId(id).textContent);
  const packed = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) packed[i] = text.charCodeAt(i);
  return new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip")));
}

const column = async (id, Type) => new Type(await (await unpacked(id)).arrayBuffer());
const json = async (id) => (await unpacked(id)).json();

async function lists(id, weighted) {
  return {
    ends: await column(`${id}-ends`, Uint32Array),
    entries: await column(`${id}-entries`, Uint32Array),
    weights: weighted ? await column(`${id}-weights`, Uint8Array) : null,
  };
}

/** Ratings in thousandths, 0 where there is none; lists of numbers in the facts' vocabularies. */
async function side(prefix) {
  const scores = await column(`${prefix}scores`, Uint16Array);
  return {
    prefix,
    scores: Object.fromEntries(COLUMNS.map((name, k) => [name, scores.subarray(k * facts.count, (k + 1) * facts.count)])),
    error: await lists(`${prefix}errors`),
    flag: await lists(`${prefix}flags`),
    cause: await lists(`${prefix}causes`, true),
  };
}

const chunks = new Map();

/** What is told of a row alone: { details, address }. */
async function told(of, row) {
  const id = `${of.prefix}details-${Math.floor(row / facts.chunk)}`;
  if (!chunks.has(id)) {
    if (chunks.size > 40) chunks.delete(chunks.keys().next().value);
    chunks.set(id, json(id));
  }
  const { details, addresses } = await chunks.get(id);
  return { details: details[row % facts.chunk], address: addresses[row % facts.chunk] };
}

let names, lower, durations, starts, channels, sounds, now, before, beforeNames;

async function load() {
  names = await json("names");
  lower = names.map((name) => name.toLowerCase());
  durations = await column("durations", Float32Array);
  starts = await column("starts", Float32Array);
  channels = await column("channels", Int16Array);
  sounds = await json("sounds");
  now = await side("");
  if (comparison) {
    before = await side("before-");
    beforeNames = await json("before-names");
  }
}

/** Of a row that is rated on both sides; null elsewhere. */
function change(row, rating) {
  const [a, b] = [now.scores[rating][row], before.scores[rating][row]];
  return a && b ? (a - b) / 1000 : null;
}

// --- filters ---------------------------------------------------------------------------------------------------------

const LISTS = ["cause", "flag", "error"];
const VOCABULARY = { cause: facts.causes, flag: facts.flags, error: facts.errors };
const ANY = "", NONE = "none", SOME = "some";
const filter = { text: "", cause: ANY, flag: ANY, error: ANY, change: ANY, ranges: {} };
const BIT = { text: 1, cause: 2, flag: 4, error: 8, change: 16 };
RATINGS.forEach(({ name }, k) => (BIT[name] = 32 << k));
let failed; // of each row the filters, as bits, that leave it out
let shown; // the rows that none leaves out

const spoken = (list) => (name) => (list === "cause" ? name : name.replaceAll("_", " "));

function inRange(name) {
  const [low, high] = filter.ranges[name];
  const scores = now.scores[name];
  return (row) => scores[row] && Math.round(scores[row] / 100) >= Math.round(low * 10) && Math.round(scores[row] / 100) <= Math.round(high * 10);
}

function holds(list) {
  const { ends, entries } = now[list];
  if (filter[list] === NONE) return (row) => ends[row] === ends[row + 1];
  if (filter[list] === SOME) return (row) => ends[row] < ends[row + 1];
  const wanted = Number(filter[list]);
  return (row) => {
    for (let k = ends[row]; k < ends[row + 1]; k++) if (entries[k] === wanted) return true;
    return false;
  };
}

const CHANGES = {
  better: (row) => change(row, "mos") > facts.margin,
  worse: (row) => { const by = change(row, "mos"); return by !== null && by < -facts.margin; },
  same: (row) => { const by = change(row, "mos"); return by !== null && Math.abs(by) <= facts.margin; },
  failed: (row) => beforeNames[row] !== null && !now.scores.mos[row] !== !before.scores.mos[row],
  alone: (row) => beforeNames[row] === null,
};

function sift() {
  failed = new Uint16Array(facts.count);
  const apply = (bit, passes) => {
    for (let row = 0; row < facts.count; row++) if (!passes(row)) failed[row] |= bit;
  };
  const text = filter.text.toLowerCase();
  if (text) apply(BIT.text, (row) => lower[row].includes(text));
  for (const list of LISTS) if (filter[list] !== ANY) apply(BIT[list], holds(list));
  if (filter.change !== ANY) apply(BIT.change, CHANGES[filter.change]);
  for (const name of Object.keys(filter.ranges)) apply(BIT[name], inRange(name));
  shown = rowsBut(0);
}

/** The rows that pass all filters but those of `bits`. */
function rowsBut(bits) {
  const found = new Uint32Array(facts.count);
  let count = 0;
  for (let row = 0; row < facts.count; row++) if (!(failed[row] & ~bits)) found[count++] = row;
  return found.slice(0, count);
}

const filtered = () => filter.text || filter.change || LISTS.some((list) => filter[list]) || Object.keys(filter.ranges).length;

let waiting = 0;
/** Draw anew, at most once a frame. */
function update() {
  cancelAnimationFrame(waiting);
  waiting = requestAnimationFrame(draw);
}

function draw() {
  sift();
  byId("count").textContent = filtered()
    ? `${whole.format(shown.length)} of ${plural(facts.count, "row")}`
    : `All ${plural(facts.count, "row")}`;
  byId("reset").disabled = !filtered();
  for (const list of [...LISTS, "change"]) byId(list).value = filter[list];
  drawRatings();
  drawReasons();
  if (comparison) drawChanges();
  drawCards();
}

// --- heading ---------------------------------------------------------------------------------------------------------

function drawHeading() {
  const about = [facts.now.rows, `written ${facts.now.written}`];
  byId("about").append(el("bdi", {}, plain(about[0])), `, ${about[1]}`);
  if (facts.before) byId("about").append(", against ", el("bdi", {}, plain(facts.before.rows)), `, written ${facts.before.written}`);
  const rated = count(now.scores.mos, (value) => value > 0);
  const failures = count(now.error.ends.subarray(1), (end, row) => end > now.error.ends[row]);
  const seconds = durations.reduce((sum, value) => sum + Math.max(0, value), 0);
  const total = (name, value) => el("div", {}, el("dt", {}, name), el("dd", {}, value));
  byId("totals").append(
    total(new Set(names).size === facts.count ? "recordings" : `rows, of ${plural(new Set(names).size, "recording")}`, whole.format(facts.count)),
    total("rated", whole.format(rated)),
    total("failed", whole.format(failures)),
    total("audio", seconds < 3600 ? `${(seconds / 60).toFixed(seconds < 600 ? 1 : 0)} min` : `${whole.format(Math.round(seconds / 360) / 10)} h`),
  );
  const note = (...text) => byId("notes").append(el("li", {}, ...text));
  const same = facts.before && JSON.stringify(facts.now.models) === JSON.stringify(facts.before.models);
  for (const [place, of] of [["", facts.now], ["Before: ", facts.before]]) {
    if (!of) continue;
    const models = of.models.filter(([name]) => name);
    if (models.length && !(of === facts.before && same)) {
      const told = models.map(([name, count]) => (models.length > 1 ? `${plain(name)} (${plural(count, "row")})` : plain(name)));
      note(`${place}${models.length > 1 ? "Models" : "Model"}: ${told.join(", ")}`);
    }
    if (models.length > 1) note(`${place}Rows of several models are not comparable with each other.`);
    if (of.no_row_count) {
      const first = of.no_rows.map(([line, message]) => `line ${whole.format(line)} (${words(message)})`);
      const more = of.no_row_count - first.length;
      note(`${place}${plural(of.no_row_count, "line")} of the file ${of.no_row_count === 1 ? "is no row and is" : "are no rows and are"} left out: ${first.join("; ")}${more ? `; and ${whole.format(more)} more` : ""}`);
    }
  }
}

function count(values, counted) {
  let found = 0;
  for (let i = 0; i < values.length; i++) if (counted(values[i], i)) found++;
  return found;
}

// --- ratings ---------------------------------------------------------------------------------------------------------

/** Shares of the rated ones of `rows` in each bin, as rectangles. */
function histogram(scores, rows) {
  const counts = new Uint32Array(BINS);
  let total = 0;
  for (const row of rows) {
    if (!scores[row]) continue;
    counts[Math.min(BINS - 1, Math.floor((scores[row] - 1000) / (1000 * BIN)))]++;
    total++;
  }
  return Array.from(counts, (n, k) => ({ x1: LOWEST + k * BIN, x2: LOWEST + (k + 1) * BIN, n, y: total ? n / total : 0 }));
}

/** A histogram's outline, as points of a line in steps. */
const outline = (bins) => bins.flatMap(({ x1, x2, y }) => [{ x: x1, y }, { x: x2, y }]);

function statistics(scores, rows) {
  const values = new Uint16Array(rows.length);
  let n = 0, sum = 0;
  for (const row of rows) if (scores[row]) sum += values[n++] = scores[row];
  if (!n) return null;
  const sorted = values.subarray(0, n).sort();
  const quantile = (q) => sorted[Math.min(n - 1, Math.floor(q * n))] / 1000;
  return { n, mean: sum / n / 1000, median: quantile(0.5), low: quantile(0.05), high: quantile(0.95) };
}

const everyRow = () => Uint32Array.from({ length: facts.count }, (_, row) => row);

function drawRatings() {
  const legend = byId("ratings-legend");
  legend.replaceChildren(el("span", { class: "key" }), filtered() ? "rows that are shown" : "all rows");
  if (comparison) legend.append("; ", el("span", { class: "key line" }), "before");
  else if (filtered()) legend.append("; ", el("span", { class: "key line all" }), "all rows");
  legend.append(". Heights are shares of the rated rows. ", el("span", { class: "hint" }, "Drag over a chart, or type two numbers, to see only a range."));
  for (const rating of RATINGS) drawRating(rating);
}

function drawRating({ name, title, means }) {
  const panel = ratingPanels[name];
  const scores = now.scores[name];
  const bins = histogram(scores, rowsBut(BIT[name]));
  const of = statistics(scores, shown);
  const behind = comparison ? histogram(before.scores[name], shown) : filtered() ? histogram(scores, everyRow()) : null;
  const was = comparison ? statistics(before.scores[name], shown) : null;
  const says = of
    ? `mean ${of.mean.toFixed(2)}${was ? `, before ${was.mean.toFixed(2)}` : ""}; median ${one(of.median)}; 90 % from ${one(of.low)} to ${one(of.high)}`
    : "no rated rows";
  const plot = chart({
    width: panel.plot.clientWidth || 260, height: 130, marginLeft: 36, marginRight: 6, marginTop: 10, marginBottom: 22,
    ariaLabel: `Histogram of ${title} over ${plural(of?.n ?? 0, "row")}: ${says}`,
    x: { domain: [LOWEST, HIGHEST], ticks: [1, 2, 3, 4, 5], tickFormat: String, label: null },
    y: { ticks: 3, tickFormat: (v) => `${+(100 * v).toFixed(1)} %`, label: null, grid: true, domain: [0, Math.max(0.02, ...bins.map((b) => b.y), ...(behind ?? []).map((b) => b.y))] },
    marks: [
      Plot.rectY(bins, { x1: "x1", x2: "x2", y: "y", fill: "var(--fill)", insetLeft: 0.5, insetRight: 0.5 }),
      behind ? Plot.line(outline(behind), { x: "x", y: "y", stroke: comparison ? "var(--was)" : "var(--soft)", strokeWidth: 1.75 }) : null,
      of ? Plot.ruleX([of.mean], { stroke: "var(--text)", strokeDasharray: "2,3" }) : null,
      Plot.ruleY([0], { stroke: "var(--line)" }),
    ],
  });
  brushed(plot, name);
  panel.plot.replaceChildren(plot);
  panel.says.replaceChildren();
  if (of) panel.says.append("mean ", el("b", {}, of.mean.toFixed(2)), was ? ` (before ${was.mean.toFixed(2)})` : "", `, median ${one(of.median)}, 90 % in `, el("span", { class: "whole" }, `${one(of.low)}–${one(of.high)}`));
  else panel.says.append("no rated rows");
  const [low, high] = filter.ranges[name] ?? [LOWEST, HIGHEST];
  if (document.activeElement !== panel.low) panel.low.value = one(low);
  if (document.activeElement !== panel.high) panel.high.value = one(high);
}

/** Let a range be drawn over a plot, and show the one that is set. By keyboard it is typed beneath. */
function brushed(plot, name) {
  const x = plot.scale("x");
  const [left, right] = x.range;
  const ends = ({ selection, sourceEvent }) => {
    if (!sourceEvent) return;
    if (selection) setRange(name, ...selection.map((px) => Math.round(10 * x.invert(px)) / 10));
    else setRange(name, LOWEST, HIGHEST);
  };
  const brush = d3.brushX().extent([[left, 10], [right, 108]]).touchable(false).on("end", ends);
  const layer = d3.select(plot).append("g").attr("class", "brush").call(brush);
  if (filter.ranges[name]) layer.call(brush.move, filter.ranges[name].map(x.apply));
}

function setRange(name, low, high) {
  const [a, b] = [low, high].map((v) => Math.min(HIGHEST, Math.max(LOWEST, v)));
  if (Number.isNaN(a) || Number.isNaN(b) || (a <= LOWEST && b >= HIGHEST)) delete filter.ranges[name];
  else filter.ranges[name] = [a, b];
  update();
}

const ratingPanels = {};

function makeRatings() {
  for (const { name, title, means } of RATINGS) {
    const plot = el("div", {});
    const says = el("p", { class: "statistics" });
    const input = (label, value) => el("input", { type: "number", min: 1, max: 5, step: 0.1, value, "aria-label": `${title}: ${label}`, onchange: typed });
    const low = input("lowest that is shown", "1.0"), high = input("highest that is shown", "5.0");
    function typed() {
      setRange(name, low.value === "" ? LOWEST : low.valueAsNumber, high.value === "" ? HIGHEST : high.valueAsNumber);
    }
    ratingPanels[name] = { plot, says, low, high };
    byId("ratings").append(
      el("div", { class: "panel", role: "group", "aria-label": title }, el("h3", {}, title, el("small", {}, means)), plot, says, el("div", { class: "range" }, "show", low, "to", high)),
    );
  }
}

// --- causes, flags, errors -------------------------------------------------------------------------------------------

const TITLES = { cause: "Causes", flag: "Flags", error: "Errors" };
const EMPTY = { cause: "No row names a cause.", flag: "No row has a flag.", error: "No row has an error." };
const expanded = new Set();

function tally(of, list, rows) {
  const counts = new Uint32Array(VOCABULARY[list].length);
  const { ends, entries } = of[list];
  for (const row of rows) for (let k = ends[row]; k < ends[row + 1]; k++) counts[entries[k]]++;
  return counts;
}

function drawReasons() {
  const focused = document.activeElement?.dataset?.reason;
  byId("reasons").replaceChildren(...LISTS.map(reasonPanel));
  if (focused) document.querySelector(`[data-reason="${CSS.escape(focused)}"]`)?.focus();
}

function reasonPanel(list) {
  const rows = rowsBut(BIT[list]);
  // Of causes, the share is of what was rated: where nothing was heard, nothing was named.
  const base = (of, among) => (list === "cause" ? count(among, (row) => of.scores.mos[row] > 0) : among.length);
  const counts = tally(now, list, rows), total = base(now, rows);
  const paired = comparison ? rows.filter((row) => beforeNames[row] !== null) : null;
  const was = comparison ? tally(before, list, paired) : null, wasTotal = comparison ? base(before, paired) : 0;
  const order = Array.from(counts.keys()).filter((k) => counts[k] || was?.[k]).sort((a, b) => counts[b] - counts[a] || (was?.[b] ?? 0) - (was?.[a] ?? 0));
  const listed = expanded.has(list) ? order : order.slice(0, LISTED);
  const items = listed.map((k) => {
    const share = total ? counts[k] / total : 0, wasShare = wasTotal && was ? was[k] / wasTotal : 0;
    const name = spoken(list)(VOCABULARY[list][k]);
    const pressed = filter[list] === String(k);
    const style = `--share:${Math.min(1, share)};--was-share:${Math.min(1, wasShare)}`;
    const choose = () => { filter[list] = pressed ? ANY : String(k); update(); };
    return el("li", {},
      el("button", { type: "button", "aria-pressed": String(pressed), "data-reason": `${list} ${k}`, onclick: choose },
        el("bdi", {}, plain(name)),
        el("span", { class: "number" }, `${percent(share)} `, el("small", {}, `(${whole.format(counts[k])})`), was ? el("small", {}, ` was ${percent(wasShare)} (${whole.format(was[k])})`) : null),
        el("span", { class: "track", style }, el("i", {}), was ? el("b", {}) : null)));
  });
  const hidden = order.length - listed.length;
  const more = hidden || expanded.has(list)
    ? el("button", { type: "button", "data-reason": `${list} more`, onclick: () => { expanded.has(list) ? expanded.delete(list) : expanded.add(list); drawReasons(); } }, hidden ? `${whole.format(hidden)} more` : "fewer")
    : null;
  if (!VOCABULARY[list].length) return el("div", { class: "panel" }, el("h3", {}, TITLES[list]), el("p", { class: "soft" }, EMPTY[list]));
  const of = list === "cause" ? plural(total, "rated row") : plural(total, "row");
  return el("div", { class: "panel" },
    el("h3", {}, TITLES[list], el("small", {}, `share of ${of}${filtered() ? " shown" : ""}`)),
    order.length ? el("ul", { class: "bars" }, items) : el("p", { class: "soft" }, "None of the rows that are shown."), more);
}

// --- comparison ------------------------------------------------------------------------------------------------------

let changed = "mos"; // the rating whose changes are drawn

function makeComparison() {
  const section = byId("comparison");
  section.hidden = false;
  const level = `${Math.round(100 * comparison.confidence)} %`;
  const mos = comparison.of.mos;
  section.append(el("h2", { id: "comparison-title" }, "What changed"), el("p", { class: "verdict" }, verdict(mos, level)));
  if (mos) {
    section.append(el("div", { class: "grid two" }, forest(level), el("div", { class: "panel" },
      el("h3", {}, "Row by row", el("label", { class: "soft" }, "Rating ", el("select", { id: "changed", onchange: (event) => { changed = event.target.value; drawChanges(); } },
        RATINGS.map(({ name, title }) => el("option", { value: name }, title))))),
      el("p", { id: "changed-says", class: "statistics" }),
      el("div", { class: "grid halves" }, el("div", { id: "changed-map" }), el("div", { id: "changed-bins" })))));
  }
  section.append(el("p", { class: "soft" }, `${plural(comparison.paired, "row")} of both files belong together by ${comparison.rule}; ${plural(comparison.pairs, "pair")} of ${plural(comparison.recordings, "recording")} ${comparison.pairs === 1 ? "is" : "are"} rated on both sides. `,
    comparison.only_now || comparison.only_before ? `Without a counterpart: ${plural(comparison.only_now, "row")} of now, ${plural(comparison.only_before, "row")} of before.` : "None is without a counterpart."));
  if (comparison.only_before) {
    const hidden = comparison.only_before - comparison.only_before_names.length;
    section.append(el("details", {}, el("summary", {}, "Rows of before without a counterpart"),
      el("ul", {}, comparison.only_before_names.map((name) => el("li", {}, el("bdi", {}, plain(name)))), hidden ? el("li", {}, `and ${whole.format(hidden)} more`) : null)));
  }
}

function verdict(mos, level) {
  if (!mos) return comparison.paired ? "No pair of rows is rated on both sides: nothing can be compared." : "No row of one file belongs to a row of the other: nothing can be compared.";
  const sure = mos.low !== null && mos.low * mos.high > 0;
  const span = mos.low === null ? "; one recording gives no interval" : `, ${level} interval ${interval(mos)}`;
  const direction = mos.mean > 0 ? "rose" : "fell";
  if (mos.mean === 0 && mos.low === 0 && mos.high === 0) return "The MOS did not change in any pair.";
  const what = mos.mean === 0 ? "The MOS is the same on average" : `The MOS ${direction} by ${Math.abs(mos.mean).toFixed(2)} on average, from ${mos.before.toFixed(2)} to ${mos.now.toFixed(2)}`;
  return `${what}${span}${sure || mos.low === null ? "" : ": the mean may as well not have changed"}. ${plural(mos.better, "row")} rose by more than ${facts.margin}, ${whole.format(mos.worse)} fell by more.`;
}

const differences = () => RATINGS.map(({ name, title }) => ({ title, ...comparison.of[name] }));

function forest(level) {
  const rows = differences();
  const head = ["Rating", "Difference", `${level} interval`, "Before", "Now", "Better", "Worse"];
  const table = el("table", {}, el("thead", {}, el("tr", {}, head.map((text) => el("th", { scope: "col" }, text)))),
    el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row" }, row.title),
      [signed(row.mean), row.low === null ? "–" : interval(row), row.before.toFixed(2), row.now.toFixed(2), whole.format(row.better), whole.format(row.worse)].map((text) => el("td", {}, text))))));
  return el("div", { class: "panel" }, el("h3", {}, "Paired differences", el("small", {}, "all pairs, whatever is filtered")), el("div", { id: "forest" }), el("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Paired differences" }, table),
    el("p", { class: "statistics" }, `Intervals are of the mean, by ${whole.format(comparison.resamples)} bootstrap draws of recordings. Each misses one time in twenty; that one of the five does is likelier.`));
}

function drawForest() {
  const rows = differences();
  const reach = Math.max(0.1, ...rows.flatMap(({ mean, low, high }) => [mean, low ?? 0, high ?? 0].map(Math.abs)));
  const colour = ({ mean, low, high }) => (low === null || low * high <= 0 ? "var(--soft)" : mean > 0 ? "var(--good)" : "var(--low)");
  const plot = chart({
    width: byId("forest").clientWidth, height: 190, marginLeft: 100, marginRight: 16, marginBottom: 34, style: { fontSize: "13px" },
    ariaLabel: "Mean difference of each rating with its interval; the table below has the numbers",
    x: { domain: [-reach * 1.08, reach * 1.08], label: "now less before →", tickFormat: (v) => signed(v, reach < 0.15 ? 2 : 1), ticks: byId("forest").clientWidth < 400 ? 3 : 6, grid: true },
    y: { domain: RATINGS.map(({ title }) => title), label: null, tickSize: 0 },
    marks: [
      Plot.ruleX([0], { stroke: "var(--soft)" }),
      Plot.ruleY(rows.filter(({ low }) => low !== null), { y: "title", x1: "low", x2: "high", stroke: colour, strokeWidth: 4 }),
      Plot.dot(rows, { y: "title", x: "mean", r: 5, fill: colour }),
    ],
  });
  byId("forest").replaceChildren(plot);
}

function drawChanges() {
  if (!byId("changed")) return;
  drawForest();
  const cells = new Map(), bins = new Map();
  let n = 0, sum = 0;
  const at = (score) => Math.min(BINS - 1, Math.floor((score - 1000) / (1000 * BIN)));
  for (const row of shown) {
    const by = change(row, changed);
    if (by === null) continue;
    n++;
    sum += by;
    const key = at(before.scores[changed][row]) * BINS + at(now.scores[changed][row]);
    cells.set(key, (cells.get(key) ?? 0) + 1);
    const bin = Math.round(by / BIN);
    bins.set(bin, (bins.get(bin) ?? 0) + 1);
  }
  const { title } = RATINGS.find(({ name }) => name === changed);
  byId("changed-says").textContent = n ? `${title} of ${filtered() ? "the " : ""}${plural(n, "pair")}${filtered() ? " shown" : ""}: ${signed(sum / n)} on average` : "No pair is shown.";
  const most = Math.max(1, ...cells.values());
  const squares = Array.from(cells, ([key, count]) => {
    const [x, y] = [Math.floor(key / BINS), key % BINS].map((k) => LOWEST + k * BIN);
    return { x, x2: x + BIN, y, y2: y + BIN, count, opacity: 0.15 + (0.85 * Math.log1p(count)) / Math.log1p(most) };
  });
  const scale = { domain: [LOWEST, HIGHEST], ticks: [1, 2, 3, 4, 5], tickFormat: String, grid: true };
  const map = chart({
    width: 300, height: 270, marginLeft: 34, marginBottom: 34, marginTop: 18, style: { fontSize: "12px" },
    ariaLabel: `${title} before and now of ${plural(n, "pair")}; above the line it rose`,
    x: { ...scale, label: "before →" }, y: { ...scale, label: "↑ now" },
    marks: [
      Plot.rect(squares, { x1: "x", x2: "x2", y1: "y", y2: "y2", fill: "var(--accent)", fillOpacity: "opacity", title: (d) => `${one(d.x)}–${one(d.x2)} → ${one(d.y)}–${one(d.y2)}: ${plural(d.count, "row")}` }),
      Plot.line([[LOWEST, LOWEST], [HIGHEST, HIGHEST]], { stroke: "var(--soft)", strokeDasharray: "3,3" }),
    ],
  });
  const bars = Array.from(bins, ([bin, count]) => ({ x1: (bin - 0.5) * BIN, x2: (bin + 0.5) * BIN, bin, y: count / Math.max(1, n) }));
  const reach = Math.max(0.5, ...bars.flatMap(({ x1, x2 }) => [-x1, x2]));
  const spread = chart({
    width: 300, height: 270, marginLeft: 40, marginBottom: 34, marginTop: 18, style: { fontSize: "12px" },
    ariaLabel: `Histogram of the change of ${title} over ${plural(n, "pair")}`,
    x: { domain: [-reach, reach], label: "change →", ticks: 5, tickFormat: (v) => signed(v, 1) },
    y: { label: null, grid: true, ticks: 4, tickFormat: (v) => `${+(100 * v).toFixed(1)} %` },
    marks: [
      Plot.rectY(bars, { x1: "x1", x2: "x2", y: "y", fill: (d) => (d.bin > 0 ? "var(--good)" : d.bin < 0 ? "var(--low)" : "var(--soft)"), insetLeft: 0.5, insetRight: 0.5 }),
      Plot.ruleX([0], { stroke: "var(--text)" }),
    ],
  });
  byId("changed-map").replaceChildren(map);
  byId("changed-bins").replaceChildren(spread);
}

// --- recordings ------------------------------------------------------------------------------------------------------

const score = (name) => (row) => now.scores[name][row] || Infinity;
const changeOf = (sign) => (row) => { const by = change(row, "mos"); return by === null ? Infinity : sign * by; };
const ORDERS = {
  mos: { title: "lowest MOS first", key: score("mos") },
  noisiness: { title: "lowest noisiness first", key: score("noisiness") },
  coloration: { title: "lowest coloration first", key: score("coloration") },
  discontinuity: { title: "lowest discontinuity first", key: score("discontinuity") },
  loudness: { title: "lowest loudness first", key: score("loudness") },
  best: { title: "highest MOS first", key: (row) => (now.scores.mos[row] ? -now.scores.mos[row] : Infinity) },
  longest: { title: "longest first", key: (row) => -durations[row] },
  name: { title: "by name" },
  file: { title: "as in the file", key: (row) => row },
};
const CHANGE_ORDERS = {
  worse: { title: "most worsened first", key: changeOf(1) },
  better: { title: "most improved first", key: changeOf(-1) },
};
const orders = comparison ? { ...CHANGE_ORDERS, ...ORDERS } : ORDERS;
let order = Object.keys(orders)[0], ordered = [], drawn = 0, drawing = 0;

/** The rows that are shown in the order that is chosen; those without what it goes by stand last, as in the file. */
function inOrder() {
  const { key } = orders[order];
  if (!key) {
    const collator = new Intl.Collator("en", { numeric: true });
    return Array.from(shown).sort((a, b) => collator.compare(names[a], names[b]) || a - b);
  }
  const keys = new Float64Array(facts.count);
  for (const row of shown) keys[row] = key(row);
  return shown.slice().sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
}

function drawCards() {
  ordered = inOrder();
  drawn = 0;
  for (const player of byId("cards").querySelectorAll("audio")) player.pause();
  const turn = ++drawing;
  appendCards(turn, true);
}

async function appendCards(turn, first) {
  const rows = Array.from(ordered.slice(drawn, drawn + PER_PAGE));
  drawn += rows.length;
  const cards = await Promise.all(rows.map(card));
  if (turn !== drawing) return;
  if (first) byId("cards").replaceChildren(...(cards.length ? [] : [el("p", { class: "empty" }, facts.count ? "No row passes all filters." : "The file has no rows.")]));
  for (const { node, finish } of cards) {
    byId("cards").append(node);
    finish();
  }
  if (!first) cards[0]?.node.querySelector("h3").focus();
  const left = ordered.length - drawn;
  byId("more").hidden = left <= 0;
  byId("more").textContent = `Show ${whole.format(Math.min(PER_PAGE, left))} more of ${whole.format(left)}`;
}

/** { node, finish }: what needs a width is drawn by `finish`, once the node is in the page. */
async function card(row) {
  const { details, address } = await told(now, row);
  const other = before && beforeNames[row] !== null ? await told(before, row) : null;
  const heading = el("h3", { tabindex: -1, id: `row-${row}` }, el("bdi", {}, plain(names[row])));
  const aside = [channels[row] >= 0 ? `channel ${channels[row]}` : null, durations[row] >= 0 ? lasting(durations[row]) : null].filter(Boolean).join(", ");
  if (aside) heading.append(el("small", {}, `  ${aside}`));
  const left = el("div", {}, now.scores.mos[row] ? scoresOf(row) : null, tagsOf(row, details, other?.details));
  if (details.error) left.append(el("p", { class: "words" }, el("bdi", {}, words(details.error))));
  if (!now.scores.mos[row] && !details.error) left.append(el("p", { class: "soft" }, "Not rated: there is nothing to hear."));
  if (details.description) left.append(el("p", { class: "words" }, el("bdi", { dir: "auto" }, words(details.description))));
  left.append(moreOf(row, details, other?.details) ?? "");
  const sound = sounds[row];
  const right = el("div", { class: "sound" });
  const timeline = sound?.timeline ? { windows: sound.timeline, pauses: details.no_speech ?? [] } : null;
  const parts = details.error && !sound && !now.scores.mos[row] ? [] : [soundOf(row, sound?.now, address, `audio-${row}`, details.no_speech ?? [], comparison && sound?.before ? "Now" : "", timeline)];
  if (sound?.before) parts.push(soundOf(row, sound.before, other.address, `audio-before-${row}`, other.details.no_speech ?? [], "Before", null));
  right.append(...parts.map((part) => part.node));
  const node = el("article", { class: `card${parts.length ? " sounding" : ""}`, "aria-labelledby": `row-${row}` }, heading, left, parts.length ? right : null);
  return { node, finish: () => parts.forEach((part) => part.finish()) };
}

function scoresOf(row) {
  return el("dl", { class: "scores" }, RATINGS.map(({ name, title }) => {
    const value = now.scores[name][row] / 1000;
    const was = before?.scores[name][row] ? before.scores[name][row] / 1000 : null;
    const spread = name === "mos" && now.scores.spread[row] ? el("small", {}, ` ±${one(now.scores.spread[row] / 1000)}`) : null;
    const by = was === null ? null : Math.round(1000 * (value - was)) / 1000;
    const moved = by === null ? null : el("small", { class: by > facts.margin ? "up" : by < -facts.margin ? "down" : "" }, ` ${signed(by, 1)}`);
    const place = (v) => (v - LOWEST) / (HIGHEST - LOWEST);
    return el("div", { class: value < LOW ? "low" : null }, el("dt", {}, title),
      el("dd", {}, el("strong", {}, one(value)), spread, moved,
        el("span", { class: "meter", style: `--value:${place(value)};--was-value:${place(was ?? value)}` }, el("i", {}), was === null ? null : el("b", {}))));
  }));
}

function tagsOf(row, details, was) {
  const { ends, entries, weights } = now.cause;
  const tags = [];
  const failures = now.error;
  for (let k = failures.ends[row]; k < failures.ends[row + 1]; k++) tags.push(el("li", { class: "failure" }, plain(spoken("error")(facts.errors[failures.entries[k]]))));
  for (let k = ends[row]; k < ends[row + 1]; k++) {
    const dimension = facts.dimensions[entries[k]];
    tags.push(el("li", { title: dimension ? `lowers ${plain(dimension)}` : null }, el("bdi", {}, plain(facts.causes[entries[k]])), el("small", {}, ` ${weights[k]} %`)));
  }
  for (const flag of details.flags ?? []) tags.push(el("li", { class: "flag" }, plain(flagWords(flag))));
  return tags.length ? el("ul", { class: "tags", "aria-label": "Causes, flags and errors" }, tags) : null;
}

/** "clipped=0.120" → "clipped 12 %" */
function flagWords(flag) {
  const [name, value] = flag.split("=");
  const share = name === "clipped" && value !== undefined ? `${(100 * Number(value)).toFixed(1)} %` : value;
  return `${name.replaceAll("_", " ")}${share === undefined ? "" : ` ${share}`}`;
}

function moreOf(row, details, was) {
  const entriesOf = [];
  const fact = (name, value) => value && entriesOf.push(el("dt", {}, name), el("dd", {}, el("bdi", { dir: "auto" }, words(value))));
  if (details.no_speech) fact("nobody speaks", details.no_speech.map(([start, end, kind]) => `${clock(start)}–${clock(end)} (${kind})`).join(", "));
  for (const [name, value] of details.given ?? []) fact(plain(name), value);
  if (facts.now.models.length > 1) fact("model", details.model ?? "");
  if (was) {
    if (beforeNames[row] !== names[row]) fact("before: name", beforeNames[row]);
    fact("before: words", was.description);
    const { ends, entries, weights } = before.cause;
    const causes = Array.from({ length: ends[row + 1] - ends[row] }, (_, k) => `${facts.causes[entries[ends[row] + k]]} ${weights[ends[row] + k]} %`);
    fact("before: causes", causes.join(", "));
    fact("before: flags", (was.flags ?? []).map(flagWords).join(", "));
    fact("before: error", was.error);
  }
  return entriesOf.length ? el("details", {}, el("summary", {}, was ? "Before, and more" : "More"), el("dl", {}, entriesOf)) : null;
}

// --- sound -----------------------------------------------------------------------------------------------------------

const MARGINS = { marginLeft: 26, marginRight: 8 };

/** { node, finish }: a player, a waveform and a timeline of one file, on one axis of time. */
function soundOf(row, sound, address, carriedId, pauses, label, timeline) {
  const node = el("div", {});
  const caption = (...text) => el("p", { class: "caption" }, ...text);
  const name = `${label ? `${label}: ` : ""}${plain(names[row])}`;
  if (label) node.append(el("h4", { class: "caption" }, label));
  const canvas = el("div", { class: "wave" }), spans = el("div", {});
  node.append(canvas, spans);
  if (sound?.gone) node.append(caption("The recording was not found when this page was made: there is nothing to play."));
  else if (sound?.unreadable) node.append(caption("The recording could not be read when this page was made: ", el("bdi", {}, words(sound.unreadable))));
  const player = sound?.gone || sound?.unreadable || !address ? null : playerOf(row, sound, address, carriedId, name, node);
  if (sound?.long) node.append(caption(`No waveform: the recording is longer than ${lasting(facts.longest)}.`));
  else if (!sound) node.append(caption("No waveform: it was drawn of the worst recordings only (sqe report --worst)."));
  const duration = sound?.duration ?? (timeline ? timeline.windows.at(-1)[1] : durations[row]);
  const finish = () => {
    const width = node.clientWidth;
    if (sound?.peaks) {
      const wave = waveform(sound, pauses, duration, width, !timeline);
      canvas.append(wave);
      if (player) follow(player, wave, sound.carried ? sound.carried[0] : -starts[row]);
    }
    if (timeline) spans.append(...timelineOf(timeline, duration, width));
  };
  return { node, finish };
}

function playerOf(row, sound, address, carriedId, name, node) {
  const carried = sound?.carried;
  const source = carried ? `data:audio/flac;base64,${byId(carriedId).textContent}` : starts[row] ? `${address}#t=${starts[row]},${starts[row] + durations[row]}` : address;
  const player = el("audio", { controls: true, preload: "none", src: source, "aria-label": `Play ${name}` });
  node.append(player);
  const problem = el("p", { class: "caption", role: "status" });
  node.append(problem);
  player.addEventListener("error", () => { problem.textContent = "The file is not there any more, or this browser does not play its format."; });
  player.addEventListener("play", () => { for (const other of document.querySelectorAll("audio")) if (other !== player) other.pause(); });
  if (!carried && channels[row] >= 0) node.append(el("p", { class: "caption" }, `It plays all channels of the file; this row is of channel ${channels[row]}.`));
  const excerpt = carried && carried[1] - carried[0] < sound.duration - 0.1;
  if (excerpt) node.append(el("p", { class: "caption" }, `This page carries ${clock(carried[0])}–${clock(carried[1])} of it; the file: `, el("a", { href: address }, "open")));
  return player;
}

function waveform(sound, pauses, duration, width, axis) {
  const n = sound.peaks.length;
  const points = sound.peaks.flatMap((peak, k) => [{ t: (k * duration) / n, p: peak / 100 }, { t: ((k + 1) * duration) / n, p: peak / 100 }]);
  const level = sound.peak_db === null ? "digital silence" : `peak ${sound.peak_db.toFixed(0).replace("-", "−")} dB of full scale`;
  const plot = chart({
    ...MARGINS, width, height: axis ? 84 : 66, marginTop: 14, marginBottom: axis ? 20 : 2,
    ariaLabel: `Waveform, ${lasting(duration)}, ${level}`,
    x: { domain: [0, duration], label: null, axis: axis ? "bottom" : null, ticks: Math.max(2, Math.floor(width / 90)), tickFormat: duration < 60 ? (s) => `${+s.toFixed(1)} s` : clock },
    y: { domain: [-1, 1], axis: null },
    marks: [
      Plot.rect(pauses, { x1: (d) => d[0], x2: (d) => Math.min(d[1], duration), y1: -1, y2: 1, fill: "var(--quiet)", title: (d) => `nobody speaks (${d[2]})` }),
      Plot.areaY(points, { x: "t", y1: (d) => -Math.max(d.p, 0.01), y2: (d) => Math.max(d.p, 0.01), fill: "var(--fill)" }),
      Plot.text([level], { frameAnchor: "top-right", dy: -12, fill: "var(--soft)", fontSize: 11 }),
    ],
  });
  return plot;
}

/** The place that is played, as a line over the waveform; a click on it plays from there. */
function follow(player, plot, offset) {
  const x = plot.scale("x");
  const line = d3.select(plot).append("line").attr("y1", 12).attr("y2", 64).attr("stroke", "var(--low)").attr("stroke-width", 2).attr("visibility", "hidden");
  const place = () => line.attr("visibility", "visible").attr("x1", x.apply(player.currentTime + offset)).attr("x2", x.apply(player.currentTime + offset));
  let frame = 0;
  const run = () => { place(); frame = requestAnimationFrame(run); };
  player.addEventListener("play", run);
  player.addEventListener("pause", () => cancelAnimationFrame(frame));
  player.addEventListener("seeked", place);
  plot.addEventListener("click", (event) => {
    const [px] = d3.pointer(event, plot);
    player.currentTime = Math.max(0, x.invert(px) - offset);
    player.play().catch(() => {});
  });
}

function timelineOf({ windows, pauses }, duration, width) {
  const points = windows.flatMap(([start, end, ...rest]) => COLUMNS.slice(0, 5).map((name, k) => ({ t: (start + end) / 2, name, value: rest[k] })));
  const unrated = windows.filter((w) => w[6] === null);
  const lowest = windows.reduce((worst, w) => (w[6] !== null && (worst === null || w[6] < worst[6]) ? w : worst), null);
  const named = windows.filter((w) => w[7].length).map((w) => ({ t: (w[0] + w[1]) / 2, title: `${clock(w[0])}–${clock(w[1])}: ${w[7].map(plain).join(", ")}` }));
  const says = lowest ? `MOS lowest, ${one(lowest[6])}, at ${clock(lowest[0])}–${clock(lowest[1])}${lowest[7].length ? ` (${lowest[7].map(plain).join(", ")})` : ""}` : "no window is rated";
  const dims = points.filter(({ name }) => name !== "mos"), mos = points.filter(({ name }) => name === "mos");
  const colour = ({ name }) => `var(--${name})`;
  const plot = chart({
    ...MARGINS, width, height: 150, marginTop: 8, marginBottom: 22,
    ariaLabel: `Timeline of ${plural(windows.length, "window")}: ${says}`,
    x: { domain: [0, duration], label: null, ticks: Math.max(2, Math.floor(width / 90)), tickFormat: duration < 60 ? (s) => `${+s.toFixed(1)} s` : clock },
    y: { domain: [LOWEST, HIGHEST], ticks: [1, 2, 3, 4, 5], tickFormat: String, label: null, grid: true },
    marks: [
      Plot.rect(pauses, { x1: (d) => d[0], x2: (d) => Math.min(d[1], duration), y1: LOWEST, y2: HIGHEST, fill: "var(--quiet)" }),
      Plot.dot(unrated, { x: (w) => (w[0] + w[1]) / 2, y: LOWEST, symbol: "times", stroke: "var(--soft)", r: 3, title: (w) => `${clock(w[0])}–${clock(w[1])}: ${w[8].map(flagWords).map(plain).join(", ") || "not rated"}` }),
      Plot.line(dims, { x: "t", y: "value", z: "name", stroke: colour, strokeWidth: 1.25 }),
      Plot.line(mos, { x: "t", y: "value", stroke: "var(--mos)", strokeWidth: 2.5 }),
      Plot.dot(windows.length < 40 ? mos : [], { x: "t", y: "value", fill: "var(--mos)", r: 2.5 }),
      Plot.dot(named, { x: "t", y: HIGHEST, symbol: "triangle", fill: "var(--low)", r: 2.5, title: "title" }),
    ],
  });
  const key = RATINGS.map(({ name, title }) => el("span", {}, el("i", { style: `background:var(--${name})` }), title));
  return [plot, el("p", { class: "caption keys" }, key), el("p", { class: "caption" }, `${says[0].toUpperCase()}${says.slice(1)}.`)];
}

// --- the list as a file ----------------------------------------------------------------------------------------------

function save() {
  const cell = (value) => (/[",\n\r]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const entries = (list, row) => Array.from(now[list].entries.subarray(now[list].ends[row], now[list].ends[row + 1]), (k) => VOCABULARY[list][k]).join(";");
  const rating = (name, row) => (now.scores[name][row] ? String(now.scores[name][row] / 1000) : "");
  const head = ["file", "channel", ...RATINGS.map(({ name }) => name), "causes", "flags", "error"];
  const lines = Array.from(ordered, (row) =>
    [names[row], channels[row] < 0 ? "" : String(channels[row]), ...RATINGS.map(({ name }) => rating(name, row)), entries("cause", row), entries("flag", row), entries("error", row)].map(cell).join(","));
  const address = URL.createObjectURL(new Blob([[head.join(","), ...lines, ""].join("\n")], { type: "text/csv" }));
  el("a", { href: address, download: "recordings.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

// --- the page --------------------------------------------------------------------------------------------------------

function option(value, text) {
  return el("option", { value }, text);
}

function makeFilters() {
  const no = { cause: "none named", flag: "none", error: "none" }, some = { cause: "any named", flag: "any", error: "any" };
  for (const list of LISTS) {
    const numbers = VOCABULARY[list].map((name, k) => [name, k]).sort(([a], [b]) => (a < b ? -1 : 1));
    byId(list).append(option(ANY, "all"), option(SOME, some[list]), option(NONE, no[list]), ...numbers.map(([name, k]) => option(k, plain(spoken(list)(name)))));
    byId(list).addEventListener("change", (event) => { filter[list] = event.target.value; update(); });
  }
  if (comparison) {
    byId("change-label").hidden = false;
    byId("change").append(option(ANY, "all"), option("worse", "MOS fell"), option("better", "MOS rose"), option("same", "MOS is the same"), option("failed", "rated on one side only"), option("alone", "without a counterpart"));
    byId("change").addEventListener("change", (event) => { filter.change = event.target.value; update(); });
  }
  byId("text").addEventListener("input", (event) => { filter.text = event.target.value; update(); });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", () => {
    Object.assign(filter, { text: "", cause: ANY, flag: ANY, error: ANY, change: ANY, ranges: {} });
    update();
  });
  byId("order").append(...Object.entries(orders).map(([name, { title }]) => option(name, title)));
  byId("order").addEventListener("change", (event) => { order = event.target.value; drawCards(); });
  byId("more").addEventListener("click", () => appendCards(drawing, false));
  byId("save").addEventListener("click", save);
}

async function start() {
  if (typeof DecompressionStream === "undefined") throw new Error("this page needs a browser of 2023 or later");
  await load();
  byId("main").hidden = false;
  drawHeading();
  makeRatings();
  if (comparison) makeComparison();
  makeFilters();
  draw();
  let width = document.body.clientWidth;
  new ResizeObserver(() => {
    if (Math.abs(document.body.clientWidth - width) < 8) return;
    width = document.body.clientWidth;
    update();
  }).observe(document.body);
  document.documentElement.dataset.ready = "";
}

start().catch((error) => {
  byId("problem").hidden = false;
  byId("problem").textContent = `This page cannot be shown: ${error.message}`;
  throw error;
});
