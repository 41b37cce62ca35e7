"use strict";
// Without this script the page lacks tips, sorting and its two buttons, and nothing else.
const tip = document.getElementById("tip");
const say = (mark, x, y) => {
  tip.textContent = mark.dataset.tip;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  tip.style.left = Math.max(6, Math.min(x + 14, innerWidth - box.width - 6)) + "px";
  tip.style.top = Math.max(6, y + 18 + box.height > innerHeight ? y - box.height - 10 : y + 18) + "px";
};
const hush = () => {
  tip.hidden = true;
  for (const mark of document.querySelectorAll(".current")) mark.classList.remove("current");
};
document.addEventListener("pointermove", (event) => {
  const mark = event.target.closest("[data-tip]");
  if (mark) say(mark, event.clientX, event.clientY);
  else if (!document.querySelector(".current")) hush();
});
document.addEventListener("focusout", hush);
document.addEventListener("scroll", hush, { passive: true });

// A chart is one stop of the tab key; the arrow keys go from mark to mark in it.
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hush();
  const chart = event.target.closest("svg.chart");
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!chart || !step) return;
  const marks = [...chart.querySelectorAll("[data-tip]")];
  if (!marks.length) return;
  event.preventDefault();
  const now = marks.findIndex((mark) => mark.classList.contains("current"));
  const next = marks[now < 0 ? (step > 0 ? 0 : marks.length - 1) : (now + step + marks.length) % marks.length];
  hush();
  next.classList.add("current");
  const box = next.getBoundingClientRect();
  say(next, box.right, box.top);
});

const key = (row, column) => {
  const cell = row.cells[column];
  if (cell.dataset.key === undefined) return cell.classList.contains("text") ? cell.textContent : null;
  return cell.dataset.key === "" || isNaN(cell.dataset.key) ? cell.dataset.key : Number(cell.dataset.key);
};
const order = (a, b) =>
  typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
const sort = (table, column) => {
  const head = table.tHead.rows[0].cells[column];
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = [...table.tBodies[0].rows];
  const known = rows.filter((row) => key(row, column) !== null);
  known.sort((a, b) => (down ? -1 : 1) * order(key(a, column), key(b, column)));
  table.tBodies[0].append(...known, ...rows.filter((row) => key(row, column) === null));
};
for (const table of document.querySelectorAll("table[data-sortable]")) {
  [...table.tHead.rows[0].cells].forEach((cell, column) => {
    const rows = [...table.tBodies[0].rows];
    if (!rows.some((row) => row.cells[column].textContent.trim() && key(row, column) !== null)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = cell.textContent.trim();
    button.addEventListener("click", () => sort(table, column));
    cell.replaceChildren(button);
  });
}

// On paper nothing is folded away.
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  for (const part of folded) part.open = true;
});
addEventListener("afterprint", () => {
  for (const part of folded) part.open = false;
});

const root = document.documentElement;
document.querySelector(".tools").hidden = false;
document.getElementById("theme").addEventListener("click", () => {
  const system = matchMedia("(prefers-color-scheme: dark)").matches;
  const dark = root.classList.contains("dark") || (system && !root.classList.contains("light"));
  root.classList.remove("light", "dark");
  root.classList.add(dark ? "light" : "dark");
});
document.getElementById("save").addEventListener("click", () => {
  const text = JSON.stringify(JSON.parse(document.getElementById("data").textContent), null, 1);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "report.json";
  link.click();
  URL.revokeObjectURL(link.href);
});
