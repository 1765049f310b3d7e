// SPDX-License-Identifier: MIT
// Delays over time, drawn by uPlot; the same figures are in a table below, for those who cannot see a canvas.
import { h, table, update } from "./dom.js";
import { LEGS, count, duration } from "./format.js";

const HEIGHT = 210;
const ROWS = 60; // of the table: an hour

export class Charts {
  constructor(place, minutes) {
    this.minutes = minutes;
    this.history = [];
    this.legs = Object.entries(LEGS).map(([name, leg]) => {
      const canvas = h("div.chart", { role: "img", "aria-label": `Delays ${leg.spoken}; the table below has the figures` });
      const none = h("p.muted.none", {}, "Nothing measured yet.");
      const lost = h("p.legend", { hidden: true }, h("span", { "aria-hidden": "true" }, "▮ "), "minutes in which messages were lost");
      place.append(h("div.card", {}, h("h3", {}, leg.name), none, canvas, lost));
      return { name, canvas, lost, none, plot: null };
    });
    new ResizeObserver(() => this.resize()).observe(place);
    // The colours are the style sheet's, and a canvas has to be told when they change.
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw());
  }

  show(history) {
    this.history = history;
    for (const leg of this.legs) {
      leg.none.hidden = history.some((one) => one[leg.name]?.p99 !== null && one[leg.name]?.p99 !== undefined);
      leg.lost.hidden = !history.some((one) => one[leg.name]?.lost > 0);
      if (leg.plot) leg.plot.setData(series(history, leg.name));
      else this.draw(leg);
    }
    update(this.minutes, tableOf(history.slice(-ROWS).reverse()));
  }

  resize() {
    for (const { plot, canvas } of this.legs)
      if (plot && plot.width !== canvas.clientWidth) plot.setSize({ width: canvas.clientWidth, height: HEIGHT });
  }

  redraw() {
    for (const leg of this.legs) this.draw(leg);
  }

  draw(leg) {
    leg.plot?.destroy();
    if (typeof uPlot === "undefined" || !leg.canvas.clientWidth) return;
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line"), width: 1 } };
    const line = (label, stroke, dash) => ({ label, stroke, dash, width: 2, points: { size: 5 }, spanGaps: false, value: (_, v) => duration(v) });
    leg.plot = new uPlot({
      width: leg.canvas.clientWidth,
      height: HEIGHT,
      scales: { x: { time: true }, y: { distr: 3, range: (_, low, high) => [Math.min(low ?? 0.001, 0.001), Math.max((high ?? 1) * 2, 1)] } },
      axes: [
        { ...axis, values: (_, ticks) => ticks.map((at) => minute(at)), space: 60 },
        { ...axis, values: (_, ticks) => ticks.map((v) => (v === null || Math.abs(Math.log10(v) % 1) > 1e-6 ? "" : duration(v))), size: 62 },
      ],
      series: [
        { label: "Minute", value: (_, at) => (at === null ? "–" : minute(at)) },
        line("Half within", colour("--line-1")),
        line("99 of 100 within", colour("--line-2"), [6, 4]),
      ],
      cursor: { drag: { x: false, y: false }, points: { size: 7 } },
      hooks: { drawClear: [(plot) => shade(plot, this.history, leg.name, colour("--bad-shade"))] },
    }, series(this.history, leg.name), leg.canvas);
  }
}

// Hours and minutes, in the zone of the one who looks.
const minute = (at) => new Date(at * 1000).toTimeString().slice(0, 5);

// Nothing was measured in a minute: a gap. A logarithm has no zero: the least that is drawn is half a millisecond.
const positive = (value) => (Number.isFinite(value) && value !== null ? Math.max(value, 0.0005) : null);

function series(history, name) {
  return [history.map((one) => one.at), history.map((one) => positive(one[name]?.p50)), history.map((one) => positive(one[name]?.p99))];
}

// The minutes in which something was lost, behind the lines.
function shade(plot, history, name, colour) {
  const { left, top, width, height } = plot.bbox;
  plot.ctx.save();
  plot.ctx.fillStyle = colour;
  for (const one of history) {
    if (!(one[name]?.lost > 0)) continue;
    const from = Math.max(plot.valToPos(one.at - 30, "x", true), left);
    const to = Math.min(plot.valToPos(one.at + 30, "x", true), left + width);
    if (to > from) plot.ctx.fillRect(from, top, Math.max(to - from, 3 * devicePixelRatio), height);
  }
  plot.ctx.restore();
}

function tableOf(minutes) {
  const columns = [{ head: "Minute" }];
  for (const { name } of Object.values(LEGS))
    for (const what of ["in", "lost", "half within", "99 of 100"]) columns.push({ head: `${name} ${what}`, number: true });
  return table("The last hour, minute by minute", columns, minutes.map((one) => [
    minute(one.at),
    ...Object.keys(LEGS).flatMap((name) => {
      const leg = one[name] ?? {};
      return [count(leg.in), count(leg.lost), duration(leg.p50 ?? null), duration(leg.p99 ?? null)];
    }),
  ]));
}
