// SPDX-License-Identifier: MIT
// The parts of the page that are shown anew when their figures change: books, gate, map, witnesses.
import { foreign, h, table } from "./dom.js";
import { LEGS, WITNESSES, clock, count, duration, healthOf, plural, rate, utc } from "./format.js";

const ENTRIES = [
  ["matched", "matched"], ["lost", "lost"], ["unverifiable", "unverifiable"],
  ["quarantined", "quarantined"], ["loops", "dropped as loops"], ["in_flight", "in flight"],
];
const BESIDE = [
  ["late", "late"], ["duplicated", "duplicated"], ["changed", "changed"],
  ["looped", "came round by another way"], ["unwitnessed", "lost before the first witness"],
];

export function books(legs, window) {
  return Object.entries(LEGS).filter(([name]) => legs[name]).map(([name, { name: title }]) => book(title, legs[name], window));
}

function book(title, leg, window) {
  const { word, sign } = healthOf(leg);
  const sum = ENTRIES.reduce((total, [key]) => total + (leg.books[key] ?? 0), 0);
  const off = leg.books.in - sum;
  const line = (key, label, n, alarming) => h(alarming && n > 0 ? "tr.alarm" : "tr", {},
    h("th", { scope: "row" }, label), h("td.number", {}, count(n)));
  return h("article.card", {},
    h("h3", {}, title, " ", h("span.badge", { "data-health": leg.health }, h("span", { "aria-hidden": "true" }, sign), ` ${word}`)),
    leg.why ? h("p.why", {}, foreign(leg.why, 400)) : null,
    h("table.book", {},
      h("caption.hidden", {}, `Books ${title}`),
      h("tbody", {}, h("tr.in", {}, h("th", { scope: "row" }, "In"), h("td.number", {}, count(leg.books.in)))),
      h("tbody", {}, ENTRIES.map(([key, label]) => line(key, label, leg.books[key], key === "lost"))),
      h("tfoot", {}, h("tr", {},
        h("th", { scope: "row" }, "Sum ", off === 0
          ? h("span.balance", {}, "✓ balances")
          : h("span.balance.off", {}, `✗ off by ${count(off)}: an error of this program`)),
        h("td.number", {}, count(sum))))),
    h("dl.facts.beside", {},
      BESIDE.map(([key, label]) => fact(label, count(leg[key]))),
      fact("half arrive within", duration(leg.delay?.p50 ?? null)),
      fact("99 of 100 within", duration(leg.delay?.p99 ?? null)),
      fact("in, out", `${rate(leg.rate_in)}, ${rate(leg.rate_out)}`),
      fact("called missing after", duration(window))));
}

const NOT_TOLD = "The service has not told yet.";

export function gates(gate) {
  if (!gate) return h("p.muted", {}, NOT_TOLD);
  return Object.entries(LEGS).filter(([name]) => gate[name]).map(([name, { name: title }]) => {
    const { open, because } = gate[name];
    return h("article.card", {},
      h("h3", {}, `${title} bridge `, open
        ? h("span.badge", { "data-health": "good" }, h("span", { "aria-hidden": "true" }, "✓"), " yes")
        : h("span.badge", { "data-health": "warn" }, h("span", { "aria-hidden": "true" }, "✗"), " not yet")),
      because?.length
        ? h("ul", {}, because.map((reason) => h("li", {}, foreign(reason, 400))))
        : h("p.muted", {}, open ? "Nothing stands in the way." : "No reason was given."));
  });
}

const MAP = [
  { head: "Application" }, { head: "State" },
  { head: "ZeroMQ: hour · day · week", number: true }, { head: "last seen there" },
  { head: "AMQP: hour · day · week", number: true }, { head: "first seen there" },
  { head: "Consumers" }, { head: "Warnings" },
];

export function map(applications) {
  if (!applications) return h("p.muted", {}, NOT_TOLD);
  if (!applications.length) return h("p.muted", {}, "No application has been seen yet.");
  return table("Applications and where their messages originate", MAP, applications.map((one) => {
    const { zmq = {}, amqp = {} } = one;
    return [
      foreign(one.application || "(none)", 80), STATES[one.state] ?? foreign(one.state ?? "–", 80),
      traffic(zmq), when(zmq.last_seen), traffic(amqp), when(amqp.first_seen),
      consumers(one), warnings(one.warnings),
    ];
  }));
}

const traffic = ({ hour, day, week }) => [hour, day, week].map(count).join(" · ");

const STATES = { zmq: "on ZeroMQ", both: "on both", amqp: "on AMQP", quiet: "quiet", unknown: "not seen" };

function consumers({ consumers: queues, subscribers }) {
  const texts = (queues ?? []).map((one) => foreign(one, 120));
  if (subscribers > 0) texts.push(`${plural(subscribers, "subscriber")} on ZeroMQ`);
  return texts.length ? h("ul.plain", {}, texts.map((one) => h("li", {}, one))) : "–";
}

function warnings(texts = []) {
  if (!texts.length) return "–";
  return h("ul.plain.warnings", {}, texts.map((text) => h("li", {}, h("span", { "aria-hidden": "true" }, "! "), foreign(text, 400))));
}

// What the binding linter found, and what nobody could be asked about.
export function notes(findings, unknown) {
  const missing = Object.entries(unknown ?? {});
  return [
    findings?.length ? h("h3", {}, "Bindings to look at") : null,
    findings?.length ? h("ul", {}, findings.map((one) => h("li", {}, foreign(one.text ?? JSON.stringify(one), 400)))) : null,
    missing.length ? h("h3", {}, "Not known") : null,
    missing.length ? h("ul", {}, missing.map(([what, why]) => h("li", {}, foreign(what, 80), ": ", foreign(why, 400)))) : null,
  ];
}

export function seeing(witnesses) {
  const rows = Object.entries(WITNESSES).filter(([name]) => witnesses[name]).map(([name, label]) => {
    const { seeing: sees, since, blind_seconds: blind, detail } = witnesses[name];
    return [
      label,
      h("span.badge", { "data-health": sees ? "good" : "blind" }, h("span", { "aria-hidden": "true" }, sees ? "●" : "○"), sees ? " seeing" : " blind"),
      when(since), duration(blind ?? 0), parts(detail),
    ];
  });
  return table("What the verifier can see", [{ head: "Witness" }, { head: "State" }, { head: "Since" },
    { head: "Blind in all", number: true }, { head: "Connections" }], rows);
}

function parts(detail) {
  const entries = Object.entries(detail ?? {});
  if (!entries.length) return "–";
  const away = entries.filter(([, up]) => !up).length;
  return h("details", {},
    h("summary", {}, away ? `${count(away)} of ${plural(entries.length, "connection")} away` : `all ${plural(entries.length, "connection")} there`),
    h("ul.plain", {}, entries.map(([where, up]) => h("li", {}, `${up ? "● " : "○ away: "}`, foreign(where, 200)))));
}

const when = (at) => (at === null || at === undefined ? "–" : h("time", { datetime: utc(at), title: utc(at) }, clock(at)));
const fact = (name, value) => h("div", {}, h("dt", {}, name), h("dd", {}, value));
