// SPDX-License-Identifier: MIT
// The latest verdicts, each with its evidence: the message's path, what changed in it, and the rest as it is.
import { foreign, h, replace } from "./dom.js";
import { LEGS, WITNESSES, clock, duration, json, kindOf, parse, utc } from "./format.js";

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
  const path = h("div", {}, told(storyOf(verdict, window)));
  body.append(
    h("dl.facts", {},
      fact("Id", foreign(verdict.id)), fact("Topic", foreign(verdict.topic || "(no topic)")),
      fact("Application", foreign(verdict.application || "(none)"))),
    h("h3", {}, "Path"), path, ...evidenceOf(verdict.evidence ?? {}), more);
  const found = await lookUp(verdict.id);
  if (found.path?.length) replace(path, told(found.path.map(step)));
  replace(more, found.text ? h("p.muted", {}, found.text) : null, found.message === undefined ? null : whole(found.message));
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
export function found(id, known) {
  const { path, message, changes, verdicts, text, ...rest } = known;
  return h("article.card.evidence", {},
    h("h3", {}, "Message ", foreign(id, SHORT)),
    text ? h("p", {}, text) : null,
    path?.length ? told(path.map(step)) : null,
    (verdicts ?? []).map((verdict) => h("p", {}, `${kindOf(verdict.kind).word}, `, time(verdict.judged_at), `, ${LEGS[verdict.leg]?.name ?? ""}`)),
    ...evidenceOf(changes ? { changes, ...rest } : rest),
    message === undefined ? null : whole(message));
}

// The path as the verdict itself tells it, for messages of which nothing else is kept.
function storyOf(verdict, window) {
  const leg = LEGS[verdict.leg];
  const [origin, far] = [WITNESSES[leg?.origin] ?? "the origin", WITNESSES[leg?.far] ?? "the other end"];
  const waited = verdict.window ?? window;
  const steps = [];
  if (verdict.seen_at !== null) steps.push({ at: verdict.seen_at, text: verdict.kind === "unwitnessed" ? "the gap was noticed" : `seen at ${origin}` });
  if (["lost", "unverifiable"].includes(verdict.kind) && verdict.seen_at !== null && waited)
    steps.push({ at: verdict.seen_at + waited, text: `expected at ${far} until then, and not seen there`, bad: true });
  const verdictText = `called ${kindOf(verdict.kind).word}`;
  steps.push({ at: verdict.judged_at, text: verdict.taken_back ? `${verdictText}; taken back since` : verdictText });
  return steps.sort((a, b) => a.at - b.at);
}

function step({ at, where, what, ...rest }) {
  const place = WITNESSES[where] ?? where;
  const more = Object.entries(rest).map(([key, value]) => `${key} ${typeof value === "string" ? value : json(value)}`);
  return { at, text: [what, place ? `at ${place}` : null].filter(Boolean).join(" "), more: more.join(", ") };
}

function told(steps) {
  const first = steps[0]?.at;
  return h("ol.path", {}, steps.map(({ at, text, more, bad }) =>
    h(bad ? "li.bad" : "li", {},
      time(at, { millis: true }),
      h("span.after", {}, at > first ? ` +${duration(at - first)} ` : " "),
      foreign(text, 2000), more ? h("span.muted", {}, " ", foreign(more, 2000)) : null)));
}

// A list of {path, from, to} is a diff, wherever it is found; all else is shown as it is.
function evidenceOf(evidence) {
  const isDiff = (value) => Array.isArray(value) && value.length > 0 && value.every((one) => one && typeof one === "object" && "path" in one && ("from" in one || "to" in one));
  const diffs = Object.values(evidence).filter(isDiff).flat();
  const rest = Object.entries(evidence).filter(([, value]) => !isDiff(value));
  return [
    diffs.length ? h("h3", {}, "What changed") : null,
    diffs.length ? diffTable(diffs) : null,
    rest.length ? h("h3", {}, "Evidence") : null,
    rest.length ? h("dl.facts", {}, rest.map(([key, value]) =>
      fact(foreign(key.replaceAll("_", " "), SHORT), foreign(typeof value === "string" ? value : json(value), 4000)))) : null,
  ].filter(Boolean);
}

function diffTable(diffs) {
  const side = (tag, diff, key) => h(tag, {}, foreign(json(key in diff ? diff[key] : undefined), 4000));
  return h("table.diff", {},
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Where"), h("th", { scope: "col" }, "From → to"))),
    h("tbody", {}, diffs.map((diff) => h("tr", {},
      h("th", { scope: "row" }, foreign(diff.path === "" ? "(all of it)" : Array.isArray(diff.path) ? diff.path.join(".") : diff.path, 400)),
      h("td", {}, h("div.sides", {}, labelled("−", "was", side("del", diff, "from")), labelled("+", "is now", side("ins", diff, "to"))))))));
}

const labelled = (sign, word, element) =>
  h("div", {}, h("span.sign", { "aria-hidden": "true" }, sign), h("span.hidden", {}, `${word}: `), element);

const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));

const whole = (message) => h("details", {}, h("summary", {}, "The whole message"),
  h("pre", { tabindex: "0", role: "group", "aria-label": "The whole message" }, foreign(json(message), 200_000)));

const time = (at, options) => h("time", { datetime: utc(at), title: utc(at) }, clock(at, options));
