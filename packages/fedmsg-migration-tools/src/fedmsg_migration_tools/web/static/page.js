// SPDX-License-Identifier: MIT
// The page: takes snapshots from /events, and gives each part of them to what shows it.
import { byId, h, replace, setText, update, visible } from "./dom.js";
import { KINDS, clock, duration, kindOf, parse, plural } from "./format.js";
import { Charts } from "./charts.js";
import { Picture } from "./picture.js";
import { Verdicts, found, lookUp } from "./verdicts.js";
import * as sections from "./sections.js";

const SILENCE = 8000; // ms without an event: the connection is gone, whatever the browser thinks
const WAITS = [1000, 2000, 4000, 8000]; // ms before one more try

const state = {};
const picture = new Picture(byId("picture"));
const charts = new Charts(byId("charts"), byId("minutes"));
const list = new Verdicts(byId("list"));
const filters = byId("filters");

function take(changed) {
  Object.assign(state, changed);
  const { legs, witnesses, window: seconds } = state;
  const has = (...names) => names.some((name) => name in changed);
  if (has("trouble")) {
    byId("trouble").hidden = !state.trouble;
    setText(byId("trouble"), visible(state.trouble ?? ""));
  }
  if (has("legs", "witnesses") && legs && witnesses) {
    picture.show(legs, witnesses);
    headline(legs);
    tally(legs);
  }
  if (has("legs", "window") && legs) update(byId("books"), sections.books(legs, seconds));
  if (has("witnesses")) update(byId("seeing"), sections.seeing(witnesses));
  if (state.history && has("history")) charts.show(state.history);
  if (has("verdicts", "window")) refreshVerdicts();
  if (has("map", "version")) update(byId("applications"), sections.map(state.map));
  if (has("findings", "unknown")) update(byId("notes"), sections.notes(state.findings, state.unknown));
  if (has("gate", "version")) update(byId("gates"), sections.gates(state.gate));
  if (has("since", "window")) about();
}

function total(legs, key) {
  return Object.values(legs).reduce((sum, leg) => sum + (leg.books[key] ?? leg[key] ?? 0), 0);
}

function headline(legs) {
  const lost = total(legs, "lost");
  const changed = total(legs, "changed");
  const blind = Object.values(legs).some((leg) => leg.health === "blind");
  const wrong = [lost ? `${plural(lost, "message")} lost` : null, changed ? `${plural(changed, "message")} changed` : null].filter(Boolean);
  const text = wrong.length ? `${wrong.join(", ")}.` : blind ? "Nothing is known to be lost, but the verifier cannot see everything now." : "Nothing is lost.";
  setText(byId("headline"), text);
  byId("headline").dataset.health = wrong.length ? "bad" : blind ? "blind" : "good";
  setText(document.querySelector("title"), `${lost ? `(${lost} lost) ` : ""}Verification of the bridges`);
}

function tally(legs) {
  const keys = ["lost", "changed", "duplicated", "late", "unverifiable", "looped", "unwitnessed"];
  const parts = keys.map((key) => [key, total(legs, key)]).filter(([, n]) => n > 0).map(([key, n]) => `${n} ${kindOf(key).word}`);
  setText(byId("tally"), parts.length ? `Verdicts so far: ${parts.join(", ")}.` : "No verdicts but matched so far.");
}

function about() {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const since = state.since ? `Counted since ${clock(state.since)}. ` : "";
  setText(byId("about"), `${since}A message is called missing after ${duration(state.window ?? null)}. Times are those of ${zone}; point at one for UTC.`);
}

let asked = 0;
async function refreshVerdicts() {
  const wanted = new URLSearchParams([...new FormData(filters)].filter(([, value]) => value));
  const mine = ++asked;
  let verdicts = state.verdicts ?? [];
  if (wanted.size) {
    try {
      const answer = await fetch(`api/verdicts?${wanted}`);
      if (!answer.ok) return;
      verdicts = parse(await answer.text());
    } catch {
      return; // the connection's state is told elsewhere
    }
  }
  if (mine !== asked) return; // another answer is under way
  list.show(verdicts, state.window);
  byId("no-verdicts").hidden = verdicts.length > 0;
  setText(byId("no-verdicts"), wanted.size ? "None of this kind." : "None. Every message seen so far arrived as it should.");
}

for (const [kind, { word }] of Object.entries(KINDS)) filters.elements.kind.append(h("option", { value: kind }, word));
filters.addEventListener("change", refreshVerdicts);
filters.addEventListener("submit", (event) => event.preventDefault());
byId("lookup").addEventListener("submit", async (event) => {
  event.preventDefault();
  const id = byId("lookup").elements.id.value.trim();
  replace(byId("found"), id ? found(id, await lookUp(id), state.window) : null);
});

// One connection at a time; whatever ends it, another is tried, at longer and longer intervals.
let source = null;
let watchdog = 0;
let tries = 0;
let lastHeard = null;

function connect() {
  source = new EventSource("events");
  source.onmessage = (event) => {
    tries = 0;
    lastHeard = Date.now();
    watch();
    connection("live", "Live");
    take(parse(event.data));
  };
  source.onerror = lost;
  watch();
}

function watch() {
  clearTimeout(watchdog);
  watchdog = setTimeout(lost, SILENCE);
}

function lost() {
  clearTimeout(watchdog);
  source.close();
  connection("away", lastHeard ? `No connection since ${clock(lastHeard / 1000)}. Trying again …` : "No connection yet. Trying again …");
  setTimeout(connect, WAITS[Math.min(tries++, WAITS.length - 1)]);
}

function connection(name, text) {
  byId("connection").dataset.state = name;
  document.body.dataset.connection = name;
  setText(byId("connection"), text);
}

connect();
