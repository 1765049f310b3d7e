// SPDX-License-Identifier: MIT
// The latest verdicts, each with its evidence: the message's path, what changed in it, and the rest as it is.
import { foreign, h, replace } from "./dom.js";
import { LEGS, PLACES, clock, duration, json, kindOf, parse, utc } from "./format.js";

const SHORT = 80; // characters of an id or topic in the list; all of it is shown below

// A list that keeps what is open, and where the focus is, when it is told anew.
export class Verdicts {
  constructor(list) {
    this.list = list;
    this.shown = new Map(); // key → {text, item}
  }

  show(verdicts, window) {
    const before = this.shown;
    const fresh = before.size > 0;
    this.shown = new Map();
    for (const verdict of verdicts) {
      const key = json([verdict.id, verdict.leg, verdict.kind, verdict.judged_at]);
      const text = json(verdict);
      let entry = before.get(key);
      if (entry?.text !== text) {
        const open = entry?.item.firstChild.open ?? false;
        entry = { text, item: item(verdict, window, open, fresh && !entry) };
      }
      this.shown.set(key, entry);
    }
    const items = [...this.shown.values()].map((entry) => entry.item);
    for (const gone of [...this.list.children].filter((child) => !items.includes(child))) gone.remove();
    items.forEach((wanted, i) => {
      if (this.list.children[i] !== wanted) this.list.insertBefore(wanted, this.list.children[i] ?? null);
    });
  }
}

function item(verdict, window, open, fresh) {
  const { word, sign, health } = kindOf(verdict.kind);
  const summary = h("summary", {},
    h("span.badge", { "data-health": verdict.taken_back ? "none" : health }, h("span", { "aria-hidden": "true" }, sign), ` ${word}`),
    verdict.taken_back ? h("span.taken", {}, " taken back") : null,
    h("span.topic", {}, " ", foreign(verdict.topic || "(no topic)", SHORT)),
    h("span.id", {}, " ", foreign(verdict.id, SHORT)),
    h("span.when", {}, " ", time(verdict.judged_at), ` · ${LEGS[verdict.leg]?.name ?? "another leg"}`));
  const body = h("div.evidence");
  const details = h("details", {}, summary, body);
  details.addEventListener("toggle", () => {
    if (details.open && !body.hasChildNodes()) fill(body, verdict, window);
  });
  details.open = open;
  return h(fresh ? "li.fresh" : "li", {}, details);
}

async function fill(body, verdict, window) {
  const more = h("div", {}, h("p.muted", {}, "Looking for more on this message …"));
  const path = h("div", {}, told(storyOf([verdict], window)));
  body.append(
    h("dl.facts", {},
      fact("Id", foreign(verdict.id || "(not known)")), fact("Topic", foreign(verdict.topic || "(not known)")),
      fact("Application", foreign(verdict.application || "(not known)"))),
    h("h3", {}, "Path"), path, ...evidenceOf(verdict.evidence ?? {}), more);
  if (!verdict.id) return replace(more);
  const known = await lookUp(verdict.id);
  replace(path, told(pathOf(known, [verdict], window)));
  replace(more, known.text ? h("p.muted", {}, known.text) : null, copies(known));
  return undefined;
}

// What /api/message/ID knows; `text` says why it knows nothing.
export async function lookUp(id) {
  try {
    const answer = await fetch(`api/message/${encodeURIComponent(wellFormed(id))}`);
    if (answer.ok) return parse(await answer.text());
    return { text: answer.status === 404 ? "Nothing more is known of this message." : `The service says: ${(await answer.text()).trim()}` };
  } catch {
    return { text: "No connection to the service." };
  }
}

const wellFormed = (id) => String(id).replace(/\p{Surrogate}/gu, "\ufffd");

// All that is known of one message, for the form above the list.
export function found(id, known, window) {
  const { path, message, changes, seen, verdicts, text, id: _, ...rest } = known;
  const steps = pathOf(known, [], window);
  return h("article.card.evidence", {},
    h("h3", {}, "Message ", foreign(id, SHORT)),
    text ? h("p", {}, text) : null,
    steps.length ? told(steps) : null,
    (verdicts ?? []).flatMap((verdict) => evidenceOf(verdict.evidence ?? {})),
    ...evidenceOf(changes ? { changes, ...rest } : rest),
    copies(known));
}

// The path as the service tells it; else what all verdicts on the message say together.
function pathOf(known, verdicts, window) {
  if (known.path?.length) return known.path.map(step);
  return storyOf(known.verdicts?.length ? known.verdicts : verdicts, window);
}

function storyOf(verdicts, window) {
  const steps = verdicts.flatMap((verdict) => chapter(verdict, window)).filter(({ at }) => Number.isFinite(at));
  const told = new Map(steps.map((one) => [`${one.at} ${one.text}`, one]));
  return [...told.values()].sort((a, b) => a.at - b.at);
}

// What one verdict and its evidence say, in order of time.
function chapter(verdict, window) {
  const { kind, seen_at: seen, evidence = {} } = verdict;
  const leg = LEGS[verdict.leg];
  const [origin, far] = [PLACES[leg?.origin] ?? "the origin", PLACES[leg?.far] ?? "the other end"];
  const by = [evidence.source ? `from ${evidence.source}` : null, Number.isFinite(Number(evidence.i ?? NaN)) ? `number ${evidence.i}` : null]
    .filter(Boolean).join(", ");
  const carriers = Array.isArray(evidence.carriers) && evidence.carriers.length ? `brought by ${evidence.carriers.join(", ")}` : "";
  const steps = [...begins()];
  for (const gap of Array.isArray(evidence.blind) ? evidence.blind : []) {
    const witness = PLACES[evidence.witness ?? gap.witness] ?? "one end";
    steps.push({ at: plainNumber(gap.begin), text: `the verifier does not see ${witness}`, more: [gap.why, gap.source].filter(Boolean).join(", "), blind: true });
    if (gap.end) steps.push({ at: plainNumber(gap.end), text: `it sees ${witness} again` });
  }
  const waited = verdict.window ?? window;
  if (["lost", "unverifiable"].includes(kind) && evidence.origin !== "unseen" && waited)
    steps.push({ at: seen + waited, text: `expected at ${far} by now, and not seen there`, bad: true });
  if (kind === "late" && evidence.delay) steps.push({ at: seen + Number(evidence.delay.source ?? evidence.delay), text: `seen at ${far}`, more: carriers });
  steps.push({
    at: verdict.judged_at,
    text: `called ${kindOf(kind).word}${verdict.taken_back ? "; taken back since" : ""}`,
    more: evidence.earlier ? `it had been called ${evidence.earlier}, which is taken back` : kind === "changed" ? carriers : "",
  });
  return steps;

  function* begins() {
    if (kind === "unwitnessed") {
      yield { at: seen, text: "numbers are missing, which neither end has seen", more: by };
    } else if (kind === "looped") {
      yield { at: plainNumber(evidence.first_seen_at), text: `first seen on the way ${LEGS[evidence.first_leg]?.name ?? "of the other leg"}` };
      yield { at: seen, text: `seen on the way ${leg?.name ?? ""} too`, more: by };
    } else if (kind === "duplicated") {
      yield { at: plainNumber(evidence.first_seen_at), text: `seen at ${origin}` };
      yield { at: seen, text: `seen at ${far} once more`, more: carriers };
    } else if (evidence.origin === "unseen") {
      yield { at: seen, text: `seen at ${far}, and not before at ${origin}`, more: carriers || by };
    } else {
      yield { at: seen, text: `seen at ${origin}`, more: by };
    }
  }
}

const plainNumber = (value) => Number(value?.source ?? value ?? NaN);

function step({ at, where, what, ...rest }) {
  const place = PLACES[where] ?? where;
  const more = Object.entries(rest).map(([key, value]) => `${key} ${typeof value === "string" ? value : json(value)}`);
  return { at, text: [what, place ? `at ${place}` : null].filter(Boolean).join(" "), more: more.join(", ") };
}

function told(steps) {
  const first = steps[0]?.at;
  return h("ol.path", {}, steps.map(({ at, text, more, bad, blind }) =>
    h(bad ? "li.bad" : blind ? "li.blind" : "li", {},
      time(at, { millis: true }),
      h("span.after", {}, at > first ? ` +${duration(at - first)} ` : " "),
      foreign(text, 2000), more ? h("span.muted", {}, " ", foreign(more, 2000)) : null)));
}

const TOLD = new Set(["blind", "first_seen_at", "first_leg", "earlier"]); // by the path, in words

function valueOf(key, value) {
  const at = plainNumber(value);
  if (key.endsWith("_at") && Number.isFinite(at)) return time(at, { millis: true });
  if (key === "witness") return foreign(PLACES[value] ?? value, SHORT);
  const plain = Array.isArray(value) && value.every((one) => typeof one === "string");
  return foreign(typeof value === "string" ? value : plain ? value.join(", ") : json(value), 4000);
}

// A list of {path, from, to} is a diff, wherever it is found; all else is shown as it is. The values of a diff are JSON
// texts; one that is missing or null was not there.
function evidenceOf(evidence) {
  const isDiff = (value) => Array.isArray(value) && value.length > 0 && value.every((one) => one && typeof one === "object" && "path" in one && ("from" in one || "to" in one));
  const diffs = Object.values(evidence).filter(isDiff).flat();
  const rest = Object.entries(evidence).filter(([key, value]) => !isDiff(value) && !TOLD.has(key) && value !== null
    && !(diffs.length && ["from", "to"].includes(key))); // hashes, for want of anything better
  return [
    diffs.length ? h("h3", {}, "What changed") : null,
    diffs.length ? diffTable(diffs) : null,
    rest.length ? h("h3", {}, "Evidence") : null,
    rest.length ? h("dl.facts", {}, rest.map(([key, value]) =>
      fact(foreign(key.replaceAll("_", " "), SHORT), valueOf(key, value)))) : null,
  ].filter(Boolean);
}

function diffTable(diffs) {
  const side = (tag, diff, key) => h(tag, {}, foreign(typeof diff[key] === "string" ? diff[key] : json(diff[key] ?? undefined), 4000));
  return h("table.diff", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Where"), h("th", { scope: "col" }, "From → to"))),
    h("tbody", {}, diffs.map((diff) => h("tr", {},
      h("th", { scope: "row" }, foreign(diff.path === "" ? "(all of it)" : Array.isArray(diff.path) ? diff.path.join(".") : diff.path, 400)),
      h("td", {}, h("div.sides", {}, labelled("−", "was", side("del", diff, "from")), labelled("+", "is now", side("ins", diff, "to"))))))));
}

const labelled = (sign, word, element) =>
  h("div", {}, h("span.sign", { "aria-hidden": "true" }, sign), h("span.hidden", {}, `${word}: `), element);

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

// The message itself, as far as the service still holds it: {message} or, by witness, {seen}.
function copies({ message, seen }) {
  const all = message === undefined ? [] : [["The whole message", message]];
  for (const [name, copy] of Object.entries(seen ?? {})) all.push([`As seen at ${PLACES[name] ?? "one end"}`, copy]);
  return all.map(([label, copy]) => h("details", {}, h("summary", {}, label),
    h("pre", { tabindex: "0", role: "group", "aria-label": label }, foreign(json(copy), 200_000))));
}

const time = (at, options) => h("time", { datetime: utc(at), title: utc(at) }, clock(at, options));
