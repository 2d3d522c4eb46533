"use strict";
// Makes the picture answer and the table sort; all that it knows it reads from the page.
(() => {
  const id = (name) => document.getElementById(name);
  for (const time of document.querySelectorAll("time")) {
    time.title = time.textContent;
    time.textContent = new Date(time.dateTime).toLocaleString();
  }
  const all = id("all"), table = id("table"), body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  const rows = [...body.rows];
  const cell = (row, at) => row.cells[at].textContent;
  const TOTAL = heads.length - 1;

  // The picture: which hosts are in a row, by pointer or by arrow keys.
  const bars = id("bars");
  if (bars) {
    const count = +bars.dataset.rows, hosts = rows.length, readout = id("readout");
    const cursor = bars.appendChild(document.createElement("div"));
    cursor.className = "cursor";
    cursor.hidden = true;
    bars.tabIndex = 0;
    for (const [name, value] of [["role", "slider"], ["aria-orientation", "vertical"], ["aria-label", "Row of the picture"],
      ["aria-valuemin", 1], ["aria-valuemax", count], ["aria-valuenow", 1]]) bars.setAttribute(name, value);
    readout.hidden = false;
    readout.textContent = "Point at the picture, or use the arrow keys in it, to see which hosts are where.";
    let at = -1, slowest = null;
    const show = (row) => {
      if (row === at) return;
      at = row;
      const members = rows.slice(Math.floor(row * hosts / count), Math.floor((row + 1) * hosts / count));
      slowest = members.reduce((a, b) => +cell(b, TOTAL) > +cell(a, TOTAL) ? b : a);
      const first = cell(members[0], 0), last = cell(members[members.length - 1], 0);
      const parts = [];
      for (let i = 3; i < TOTAL; i++) {
        const time = cell(slowest, i);
        if (time && +time > 0) parts.push(`${heads[i].textContent} ${time} s`);
      }
      const never = members.filter((row) => row.classList.contains("never")).length;
      const bad = members.filter((row) => !row.classList.contains("ok")).length - never;
      const words = (members.length > 1 ? `${first} to ${last}, ${members.length} hosts, ${bad ? bad + " failed" : "none failed"}${never ? `, ${never} not started` : ""}; slowest ` : "")
        + `${cell(slowest, 0)}: ${cell(slowest, 1)}` + (parts.length ? ` (${parts.join(", ")}; ${cell(slowest, TOTAL)} s in all)` : "");
      readout.textContent = words;
      bars.setAttribute("aria-valuenow", row + 1);
      bars.setAttribute("aria-valuetext", words);
      const height = picture().height / count;
      cursor.hidden = false;
      cursor.style.top = `${row * height}px`;
      cursor.style.height = `${height}px`;
    };
    const picture = () => [...bars.querySelectorAll(".view > svg")].map((svg) => svg.getBoundingClientRect()).find((box) => box.height > 0);
    bars.addEventListener("pointermove", (event) => {
      const box = picture();
      const row = Math.floor((event.clientY - box.top) / box.height * count);
      if (row >= 0 && row < count) show(row);
    });
    bars.addEventListener("keydown", (event) => {
      // With another key held they are the browser's: Alt and an arrow go back a page.
      if (event.altKey || event.ctrlKey || event.metaKey) return;
      const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: 20, PageUp: -20, Home: -count, End: count }[event.key];
      if (step) {
        event.preventDefault();
        show(Math.min(count - 1, Math.max(0, at + step)));
      } else if (event.key === "Enter") go();
    });
    const go = () => {
      if (!slowest) return;
      all.open = true;
      filter("");
      body.querySelector(".here")?.classList.remove("here");
      slowest.classList.add("here");
      slowest.tabIndex = -1;
      slowest.focus({ preventScroll: true });
      slowest.scrollIntoView({ block: "center" });
    };
    bars.addEventListener("click", go);
  }

  // The table: sorted by any column, and less what is not looked for.
  const order = new Map(rows.map((row, at) => [row, at]));
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const key = column === 0 ? (row) => order.get(row) : column === 1 ? (row) => cell(row, 1)
        : (row) => cell(row, column) === "" ? -1 : +cell(row, column);
      const keys = new Map(rows.map((row) => [row, key(row)]));
      const sorted = [...rows].sort((a, b) => {
        const x = keys.get(a), y = keys.get(b);
        return (x < y ? -1 : x > y ? 1 : order.get(a) - order.get(b)) * (up ? 1 : -1);
      });
      body.append(...sorted);
    });
  });
  const field = id("filter"), found = id("found");
  function filter(text) {
    field.value = text;
    const wanted = text.toLowerCase();
    let left = 0;
    for (const row of rows) {
      row.hidden = wanted !== "" && !(cell(row, 0) + " " + cell(row, 1)).toLowerCase().includes(wanted);
      left += row.hidden ? 0 : 1;
    }
    found.textContent = wanted === "" ? "" : `${left.toLocaleString()} found`;
  }
  field.parentElement.hidden = false;
  field.addEventListener("input", () => filter(field.value));

  // On paper nothing can be opened. What was closed before is closed after.
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")].filter((part) => part !== all);
    for (const part of closed) part.open = true;
  });
  addEventListener("afterprint", () => {
    for (const part of closed) part.open = false;
  });
})();
