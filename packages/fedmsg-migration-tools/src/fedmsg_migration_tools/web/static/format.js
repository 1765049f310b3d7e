// SPDX-License-Identifier: MIT
// Numbers, times and names, as people read them.

export const LEGS = {
  zmq_to_amqp: { name: "ZeroMQ → AMQP", spoken: "ZeroMQ to AMQP", origin: "publishers", far: "zmq_topic" },
  amqp_to_zmq: { name: "AMQP → ZeroMQ", spoken: "AMQP to ZeroMQ", origin: "amq_topic", far: "bridge_socket" },
};

export const WITNESSES = {
  publishers: "fedmsg publishers",
  zmq_topic: "exchange zmq.topic",
  amq_topic: "exchange amq.topic",
  bridge_socket: "socket of the AMQP-to-ZeroMQ bridge",
};

// The same, within a sentence.
export const PLACES = {
  publishers: "the fedmsg publishers",
  zmq_topic: "zmq.topic",
  amq_topic: "amq.topic",
  bridge_socket: "the bridge's socket",
};

// The word and the sign stand beside the colour, everywhere.
export const HEALTH = {
  good: { word: "good", sign: "✓" },
  warn: { word: "warning", sign: "!" },
  bad: { word: "bad", sign: "✗" },
  blind: { word: "blind", sign: "?" },
};
export const healthOf = (leg) => HEALTH[leg.health] ?? { word: "unknown", sign: "?" };

export const KINDS = {
  lost: { word: "lost", sign: "✗", health: "bad" },
  changed: { word: "changed", sign: "≠", health: "bad" },
  unwitnessed: { word: "lost before the first witness", sign: "✗", health: "bad" },
  duplicated: { word: "duplicated", sign: "×2", health: "warn" },
  looped: { word: "came round by another way", sign: "↻", health: "warn" },
  late: { word: "late", sign: "+", health: "warn" },
  unverifiable: { word: "unverifiable", sign: "?", health: "blind" },
  quarantined: { word: "quarantined", sign: "–", health: "none" },
  loop: { word: "dropped as a loop", sign: "–", health: "none" },
};
export const kindOf = (kind) => KINDS[kind] ?? { word: String(kind).replace(/[^\w ]/g, "·").slice(0, 40), sign: "·", health: "none" };

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
export const count = (n) => (Number.isFinite(n) ? whole.format(n) : "–");

export function rate(n) {
  if (!Number.isFinite(n)) return "–";
  return `${n >= 100 ? whole.format(n) : n.toFixed(1)}/s`;
}

// Seconds, to three digits: 0.004 → 4 ms; 90 → 1 min 30 s.
export function duration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "–";
  if (seconds === 0) return "0 s";
  if (seconds < 0.001) return "< 1 ms";
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const parts = [];
  let rest = Math.round(seconds);
  for (const [size, name] of units) {
    if (rest >= size || parts.length) parts.push(`${Math.floor(rest / size)} ${name}`);
    rest %= size;
    if (parts.length === 2) break;
  }
  return parts.filter((part) => !part.startsWith("0 ")).join(" ");
}

const two = (n) => String(n).padStart(2, "0");

// Seconds since the epoch, in the zone of the one who looks; with the date if that is not today.
export function clock(at, { millis = false } = {}) {
  if (at === null || !Number.isFinite(at)) return "–";
  const date = new Date(at * 1000);
  const fraction = millis ? `.${String(date.getMilliseconds()).padStart(3, "0")}` : "";
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${fraction}`;
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  const today = new Date();
  if (date.toDateString() === today.toDateString()) return time;
  return `${day} ${millis ? time : time.slice(0, -3)}`;
}

export const utc = (at) => (at !== null && Number.isFinite(at) ? new Date(at * 1000).toISOString() : "");

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

// A number as it stood in the JSON text, where JavaScript's own would show another: 1.0, or 2**63.
export class Exact {
  constructor(source) { this.source = source; }
}

const CONTENT = new Set(["evidence", "message", "changes", "seen"]); // messages' own numbers, to be shown as they were

export function parse(text) {
  return figures(JSON.parse(text, (key, value, context) =>
    typeof value === "number" && context?.source !== undefined && context.source !== String(value)
      ? new Exact(context.source) : value));
}

// Our own figures may come as 12.0: numbers, for reckoning.
function figures(value) {
  if (value instanceof Exact) return Number(value.source);
  if (value !== null && typeof value === "object")
    for (const key of Object.keys(value)) if (!CONTENT.has(key)) value[key] = figures(value[key]);
  return value;
}

// JSON text again, indented; `undefined` is what is not there.
export function json(value, indent = "") {
  if (value === undefined) return "(not there)";
  if (value instanceof Exact) return value.source;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const inner = `${indent}  `;
  const entries = Array.isArray(value)
    ? value.map((item) => inner + json(item, inner))
    : Object.entries(value).map(([key, item]) => `${inner}${JSON.stringify(key)}: ${json(item, inner)}`);
  const [open, close] = Array.isArray(value) ? "[]" : "{}";
  return entries.length ? `${open}\n${entries.join(",\n")}\n${indent}${close}` : open + close;
}
