// SPDX-License-Identifier: Apache-2.0
// Copyright 2026 The watchword authors

// Elements are made here and only here, and text only ever becomes text.

const SVG = "http://www.w3.org/2000/svg";

function build(e, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === false) continue;
    if (name.startsWith("on")) e.addEventListener(name.slice(2), value);
    else e.setAttribute(name, value === true ? "" : value);
  }
  e.append(...children.flat().filter((c) => c !== undefined && c !== false && c !== ""));
  return e;
}

export const el = (name, attributes, ...children) => build(document.createElement(name), attributes, children);
const svg = (name, attributes, ...children) => build(document.createElementNS(SVG, name), attributes, children);

// table gives a table that scrolls by itself where it is wider than the page.
export function table(caption, heads, rows) {
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    el("table", {},
      el("caption", { class: "hidden" }, caption),
      el("thead", {}, el("tr", {}, heads.map((h) => el("th", { scope: "col" }, h)))),
      el("tbody", {}, rows.map((r) => el("tr", {}, r.map((c, i) => el(i ? "td" : "th", i ? { class: typeof c === "string" && c.length > 20 && "wide" } : { scope: "row" }, c)))))));
}

// bars draws one bar for each [label, value], all to one scale; on a narrow
// screen shorter ones, so that the words stay as large as others.
export function bars(title, data) {
  const most = Math.max(1, ...data.map(([, n]) => n));
  const small = innerWidth < 560, row = 30, left = small ? 140 : 210, width = small ? 110 : 360, space = small ? 50 : 80;
  return svg("svg", { class: "bars", viewBox: `0 0 ${left + width + space} ${row * data.length}`, role: "img",
    "aria-label": `${title}: ${data.map(([l, n]) => `${l} ${n}`).join(", ")}` },
  data.map(([label, n, tone], i) => svg("g", { transform: `translate(0 ${i * row})` },
    svg("text", { x: left - 10, y: row / 2, class: "label" }, label),
    svg("rect", { x: left, y: 5, width: Math.max(2, n / most * width), height: row - 10, rx: 3, class: tone ?? "" }),
    svg("text", { x: left + Math.max(2, n / most * width) + 8, y: row / 2, class: "value" }, String(n)))));
}

// chip marks a word by how grave it is.
export const chip = (tone, text) => el("span", { class: `chip ${tone}` }, text);

// field gives an input with its label.
export function field(id, label, input) {
  input.id = id;
  return el("div", { class: "field" }, el("label", { for: id }, label), input);
}
