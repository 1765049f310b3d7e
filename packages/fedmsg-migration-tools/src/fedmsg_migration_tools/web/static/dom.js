// SPDX-License-Identifier: MIT
// Elements and texts. Everything that is shown goes through here, as text: nothing on this page makes HTML of a string.

const SVG = "http://www.w3.org/2000/svg";

// h("td.number", {title: "…"}, "text", element, …): an element. Null children and attributes are left out.
export function h(name, attributes = {}, ...children) {
  return build(document.createElement(name.split(".")[0]), name, attributes, children);
}

export function s(name, attributes = {}, ...children) {
  return build(document.createElementNS(SVG, name.split(".")[0]), name, attributes, children);
}

function build(element, name, attributes, children) {
  const classes = name.split(".").slice(1);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes))
    if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value === true ? "" : value);
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

export const byId = (id) => document.getElementById(id);

// Writes only what differs, so that selections stay and screen readers are not told twice.
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function replace(element, ...children) {
  element.replaceChildren(...children.flat().filter(Boolean));
}

// Makes what is in a place like the new content, touching only what differs: what is open stays open, the focus, a
// selection and the reader's place stay where they are.
export function update(place, ...content) {
  const fresh = place.cloneNode(false);
  replace(fresh, ...content);
  updateChildren(place, fresh);
}

function updateChildren(old, fresh) {
  const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
  after.forEach((child, i) => (i < before.length ? updateNode(before[i], child) : old.append(child)));
  before.slice(after.length).forEach((child) => child.remove());
}

function updateNode(old, fresh) {
  if (old.nodeName !== fresh.nodeName) return old.replaceWith(fresh);
  if (old.nodeType === Node.TEXT_NODE) {
    if (old.data !== fresh.data) old.data = fresh.data;
    return undefined;
  }
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes])
    if (!fresh.hasAttribute(name) && !(old.nodeName === "DETAILS" && name === "open")) old.removeAttribute(name);
  return updateChildren(old, fresh);
}

// A table that becomes a list of cards on a phone; the roles keep it a table for screen readers there.
// columns: [{head, number?: bool}], rows: arrays of what is in the cells; the first cell of a row heads it.
export function table(label, columns, rows) {
  const head = columns.map((column) =>
    h(column.number ? "th.number" : "th", { scope: "col", role: "columnheader" }, column.head));
  const body = rows.map((cells) =>
    h("tr", { role: "row" }, cells.map((cell, i) => {
      const { head: name, number } = columns[i];
      return i === 0
        ? h("th", { scope: "row", role: "rowheader", "data-label": name }, cell)
        : h(number ? "td.number" : "td", { role: "cell", "data-label": name }, cell);
    })));
  return h("table.stacks", { role: "table", "aria-label": label },
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, head)),
    h("tbody", { role: "rowgroup" }, body));
}

// What cannot be seen, or turns the direction of what follows, is shown by its number: a hostile text must not look
// like another. Control characters, soft hyphen, zero widths, marks and overrides of direction, lone surrogates, tags.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\p{Surrogate}\u{e0000}-\u{e0fff}]/gu;

export function visible(text) {
  return String(text).replace(UNSEEN, (c) => `⟨U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
}

// Foreign text, by itself: its direction does not reach what is beside it.
export function foreign(text, most = Infinity) {
  const whole = visible(text);
  const short = whole.length > most ? `${whole.slice(0, most)} … (${whole.length} characters)` : whole;
  return h("bdi.foreign", {}, short);
}
