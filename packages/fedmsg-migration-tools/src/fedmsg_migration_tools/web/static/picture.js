// SPDX-License-Identifier: MIT
// The picture: two worlds, two bridges between them, and on each arrow what goes over it. Drawn once for wide
// windows and once for narrow ones; the figures in it change, the drawing does not.
import { h, s, setText } from "./dom.js";
import { LEGS, WITNESSES, duration, healthOf, rate } from "./format.js";

// All places in units of the view box. An arrow is a path; its rate stands at `at`, its witness's state at `eye`.
const WIDE = {
  box: [1000, 330],
  worlds: [[0, 0, 262, 330, 131, "ZeroMQ (fedmsg)"], [640, 0, 360, 330, 820, "RabbitMQ (AMQP)"]],
  boxes: {
    publishers: [20, 56, 216, 72, "fedmsg publishers", ""],
    consumers: [20, 210, 216, 72, "Consumers not moved", "and the world outside"],
    zmq_to_amqp: [372, 48, 160, 88],
    amqp_to_zmq: [372, 202, 160, 88],
    zmq_topic: [660, 56, 126, 72, "zmq.topic", "exchange"],
    amq_topic: [660, 210, 126, 72, "amq.topic", "exchange"],
    moved: [858, 56, 126, 72, "Consumers", "that have moved"],
    movers: [858, 210, 126, 72, "Publishers", "that have moved"],
  },
  arrows: {
    "zmq_to_amqp.in": { path: "M236 92H364", at: [304, 80], witness: "publishers", eye: [304, 118] },
    "zmq_to_amqp.out": { path: "M532 92H652", at: [590, 80], witness: "zmq_topic", eye: [590, 118] },
    "amqp_to_zmq.in": { path: "M660 246H540", at: [594, 234], witness: "amq_topic", eye: [594, 272] },
    "amqp_to_zmq.out": { path: "M372 246H244", at: [304, 234], witness: "bridge_socket", eye: [304, 272] },
  },
  plain: ["M786 92H850", "M858 246H794", "M786 222L852 136"],
};
const TALL = {
  box: [340, 560],
  worlds: [[0, 0, 340, 104, 170, "ZeroMQ (fedmsg)"], [0, 362, 340, 198, 128, "RabbitMQ (AMQP)"]],
  boxes: {
    publishers: [8, 32, 156, 62, "fedmsg", "publishers"],
    consumers: [176, 32, 156, 62, "Consumers", "that have not moved"],
    zmq_to_amqp: [8, 188, 156, 92],
    amqp_to_zmq: [176, 188, 156, 92],
    zmq_topic: [8, 390, 156, 60, "zmq.topic", "exchange"],
    amq_topic: [176, 390, 156, 60, "amq.topic", "exchange"],
    moved: [8, 490, 156, 60, "Consumers", "that have moved"],
    movers: [176, 490, 156, 60, "Publishers", "that have moved"],
  },
  arrows: {
    "zmq_to_amqp.in": { path: "M44 94V180", at: [104, 136], witness: "publishers", eye: [104, 158] },
    "zmq_to_amqp.out": { path: "M44 280V382", at: [104, 318], witness: "zmq_topic", eye: [104, 340] },
    "amqp_to_zmq.in": { path: "M212 390V288", at: [272, 318], witness: "amq_topic", eye: [272, 340] },
    "amqp_to_zmq.out": { path: "M212 188V102", at: [272, 136], witness: "bridge_socket", eye: [272, 158] },
  },
  plain: ["M86 450V482", "M254 490V458", "M206 450L164 484"],
};
const BRIDGES = { zmq_to_amqp: ["ZeroMQ → AMQP", "bridge"], amqp_to_zmq: ["AMQP → ZeroMQ", "bridge"] };

export class Picture {
  constructor(figure) {
    this.drawings = [draw(WIDE, "wide"), draw(TALL, "tall")];
    this.caption = h("figcaption.hidden");
    figure.append(...this.drawings.map((drawing) => drawing.svg), this.caption);
  }

  show(legs, witnesses) {
    for (const drawing of this.drawings) fill(drawing, legs, witnesses);
    setText(this.caption, inWords(legs, witnesses));
  }
}

function draw(layout, name) {
  const texts = {};
  const groups = {};
  const svg = s(`svg.${name}`, { viewBox: `0 0 ${layout.box.join(" ")}`, "aria-hidden": "true", focusable: "false" });
  for (const [x, y, width, height, middle, label] of layout.worlds)
    svg.append(s("rect.world", { x, y, width, height, rx: 14 }), s("text.label", { x: middle, y: y + 22 }, label));
  for (const path of layout.plain) svg.append(s("path.plain", { d: path }), head(path, "plain"));
  for (const [key, arrow] of Object.entries(layout.arrows)) {
    const group = s("g.arrow", {}, s("path.line", { d: arrow.path }), s("path.flow", { d: arrow.path }), head(arrow.path, "tip"));
    texts[key] = s("text.rate", { x: arrow.at[0], y: arrow.at[1] }, "–");
    texts[arrow.witness] = s("text.eye", { x: arrow.eye[0], y: arrow.eye[1] }, "");
    groups[key] = group;
    svg.append(group, texts[key], texts[arrow.witness]);
  }
  for (const [key, [x, y, width, height, first, second]] of Object.entries(layout.boxes)) {
    const middle = x + width / 2;
    const rounded = key.endsWith("_topic") ? height / 2 : 10;
    const lines = BRIDGES[key] ?? [first, second];
    const top = y + height / 2 + (BRIDGES[key] ? -18 : lines[1] ? -4 : 5);
    const group = s(BRIDGES[key] ? "g.bridge" : "g.place", {},
      s("rect", { x, y, width, height, rx: rounded }),
      s("text.name", { x: middle, y: top }, lines[0]),
      s("text.sub", { x: middle, y: top + 18 }, lines[1]));
    if (BRIDGES[key]) {
      texts[key] = s("text.health", { x: middle, y: top + 42 }, "");
      groups[key] = group;
      group.append(texts[key]);
    }
    svg.append(group);
  }
  return { svg, texts, groups };
}

// An arrow's head, at the end of its path, in the direction of its last stretch.
function head(path, kind) {
  const [, x0, y0, command, rest] = /^M(\S+) (\S+)([HVL])(.*)$/.exec(path);
  const to = rest.split(" ").map(Number);
  const [x, y] = { H: [to[0], +y0], V: [+x0, to[0]], L: to }[command];
  const angle = (Math.atan2(y - y0, x - x0) * 180) / Math.PI;
  return s(`path.${kind}-head`, { d: "M9 0L-3 -6.5V6.5Z", transform: `translate(${x} ${y}) rotate(${angle})` });
}

function fill({ texts, groups }, legs, witnesses) {
  for (const [name, leg] of Object.entries(legs)) {
    if (!LEGS[name]) continue;
    const { word, sign } = healthOf(leg);
    setText(texts[name], `${sign} ${word}`);
    groups[name].dataset.health = leg.health;
    for (const [end, value] of [["in", leg.rate_in], ["out", leg.rate_out]]) {
      const group = groups[`${name}.${end}`];
      setText(texts[`${name}.${end}`], rate(value));
      group.dataset.health = leg.health;
      group.dataset.flows = value > 0;
    }
  }
  for (const [name, witness] of Object.entries(witnesses)) {
    if (!WITNESSES[name]) continue;
    setText(texts[name], witness.seeing ? "● seen" : "○ not seen");
    texts[name].dataset.seeing = witness.seeing;
  }
}

function inWords(legs, witnesses) {
  const parts = Object.entries(LEGS).filter(([name]) => legs[name]).map(([name, { spoken }]) => {
    const leg = legs[name];
    return `${spoken}: ${healthOf(leg).word}, ${rate(leg.rate_in)} in, ${rate(leg.rate_out)} out.`;
  });
  const blind = Object.entries(WITNESSES).filter(([name]) => witnesses[name] && !witnesses[name].seeing)
    .map(([name, label]) => `${label} is not seen, ${duration(witnesses[name].blind_seconds)} in all.`);
  return [...parts, ...blind].join(" ");
}
