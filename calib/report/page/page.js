"use strict";
// Sorting, choosing rows, tips of charts, and the map. Without it the page shows the same, in one order.
(() => {
  const root = document.documentElement;
  const tip = document.getElementById("tip");
  const said = document.getElementById("said");
  root.dataset.js = "1";

  const number = (text) => parseFloat(text.replace("\u2212", "-").replace(/^\D*?(?=[-+.\d])/, ""));

  function sort(table, column, button) {
    const head = button.closest("th");
    const numeric = head.classList.contains("number");
    const before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : numeric; // the largest number first, names from A
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const sign = down ? -1 : 1;
    const keyed = table.all.map((row, place) => {
      const text = row.cells[column].textContent;
      return { row, place, key: numeric ? number(text) : text };
    });
    keyed.sort((one, other) => {
      if (numeric) {
        const none = Number.isNaN(one.key) - Number.isNaN(other.key); // cells without a number stay last
        return none || sign * (one.key - other.key) || one.place - other.place;
      }
      return sign * one.key.localeCompare(other.key, "en", { numeric: true }) || one.place - other.place;
    });
    table.all = keyed.map((item) => item.row);
    show(table);
  }

  function show(table) {
    const rows = table.all.filter((row) => !table.chosen || row.cells[table.column].textContent === table.chosen);
    table.tBodies[0].replaceChildren(...rows);
    if (table.counter) table.counter.textContent = `${rows.length} rows`;
  }

  function filter(table) {
    const column = Number(table.dataset.filter);
    const names = [...new Set(table.all.map((row) => row.cells[column].textContent))];
    if (names.length < 2) return;
    const select = document.createElement("select");
    for (const name of ["", ...names]) {
      const option = new Option(name ? (name.length > 60 ? `${name.slice(0, 59)}…` : name) : "all", name);
      select.add(option);
    }
    const label = document.createElement("label");
    label.append(`${table.tHead.rows[0].cells[column].textContent} `, select);
    table.counter = document.createElement("output");
    table.column = column;
    const line = document.createElement("div");
    line.className = "filter";
    line.append(label, table.counter);
    table.closest(".box").before(line);
    select.addEventListener("change", () => { table.chosen = select.value; show(table); });
    show(table);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    table.all = [...table.tBodies[0].rows];
    if (table.dataset.filter) filter(table);
    if (table.all.length < 3) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => sort(table, column, button));
    });
  }

  function place(x, y) {
    tip.hidden = false;
    const left = x + 14 + tip.offsetWidth > innerWidth ? x - 14 - tip.offsetWidth : x + 14;
    const top = y + 16 + tip.offsetHeight > innerHeight ? y - 12 - tip.offsetHeight : y + 16;
    tip.style.left = `${Math.max(4, Math.min(left, innerWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${Math.max(4, top)}px`;
  }
  const hide = () => { tip.hidden = true; };

  for (const chart of document.querySelectorAll("svg.chart:not(.map)")) {
    const point = (event) => {
      const on = event.target.closest("[data-tip]");
      if (!on) return hide();
      tip.textContent = on.dataset.tip;
      place(event.clientX, event.clientY);
    };
    chart.addEventListener("pointermove", point);
    chart.addEventListener("pointerdown", point);
    chart.addEventListener("pointerleave", hide);
  }

  const field = document.querySelector("[data-map]");
  if (field) map(field);

  function map(field) {
    const data = JSON.parse(document.getElementById("map-data").textContent);
    const drawing = field.querySelector("svg");
    const ring = drawing.querySelector(".ring");
    const layers = ["plate", "call"].map((by) => [...drawing.querySelectorAll(`.by-${by} use`)]);
    const xs = layers[0].map((mark) => Number(mark.getAttribute("x")));
    const ys = layers[0].map((mark) => Number(mark.getAttribute("y")));
    const order = xs.map((_, i) => i).sort((i, j) => xs[i] - xs[j] || ys[i] - ys[j] || i - j);
    const visible = { plate: null, call: null };
    let now = -1;

    const shown = (i) => {
      const by = document.getElementById("colour-plate").checked ? "plate" : "call";
      return visible[by] === null || data[by][i] === visible[by];
    };
    const words = (i) => {
      const name = data.call[i] < 0 ? "none" : data.classes[data.call[i]];
      const what = { k: `label: ${name}`, u: `call: ${name}`, a: `no answer (likeliest: ${name})` }[data.state[i]];
      return `sample ${data.sample[i]}\nplate ${data.plates[data.plate[i]]}\n${what}`;
    };
    function mark(i, x, y) {
      now = i;
      ring.setAttribute("cx", xs[i]);
      ring.setAttribute("cy", ys[i]);
      tip.textContent = words(i);
      place(x, y);
    }
    function leave() {
      now = -1;
      ring.setAttribute("cx", -99);
      ring.setAttribute("cy", -99);
      hide();
    }
    function point(event) {
      const box = drawing.getBoundingClientRect();
      const scale = drawing.viewBox.baseVal.width / box.width;
      const x = (event.clientX - box.left) * scale, y = (event.clientY - box.top) * scale;
      let best = -1, least = (18 * scale) ** 2;
      for (let i = 0; i < xs.length; i++) {
        const distance = (xs[i] - x) ** 2 + (ys[i] - y) ** 2;
        if (distance < least && shown(i)) { least = distance; best = i; }
      }
      if (best < 0) leave(); else mark(best, event.clientX, event.clientY);
    }
    field.addEventListener("pointermove", point);
    field.addEventListener("pointerdown", point);
    field.addEventListener("pointerleave", leave);
    field.addEventListener("blur", leave);
    field.addEventListener("keydown", (event) => {
      const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
      if (event.key === "Escape") return leave();
      if (!(event.key in steps)) return;
      event.preventDefault();
      const there = order.filter(shown);
      if (!there.length) return;
      const next = now < 0 ? 0 : there.indexOf(now) + steps[event.key];
      const i = there[Math.max(0, Math.min(next, there.length - 1))];
      const box = drawing.getBoundingClientRect();
      const scale = box.width / drawing.viewBox.baseVal.width;
      mark(i, box.left + xs[i] * scale, box.top + ys[i] * scale);
      said.textContent = words(i);
    });
    document.getElementById("colour-plate").closest("fieldset").addEventListener("change", leave);

    for (const entry of document.querySelectorAll("[data-show]")) {
      const [by, which] = entry.dataset.show.split(" ");
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-pressed", "false");
      button.append(...entry.childNodes);
      entry.append(button);
      button.addEventListener("click", () => {
        const on = button.getAttribute("aria-pressed") !== "true";
        for (const other of entry.parentNode.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
        button.setAttribute("aria-pressed", String(on));
        visible[by] = on ? Number(which) : null;
        layers[by === "plate" ? 0 : 1].forEach((use, i) => use.classList.toggle("off", on && data[by][i] !== Number(which)));
      });
    }
  }
})();
