"use strict";
(() => {
  const one = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const names = JSON.parse(one("#names")?.textContent ?? "[]");
  document.documentElement.classList.add("js");

  // The ranked table: a row is a tbody with its reasons, so that both move together.
  const table = one("#ranked");
  const heads = table ? [...table.tHead.rows[0].cells] : [];
  const bodies = table ? [...table.tBodies] : [];
  const key = (body, column) => body.rows[0].cells[column].dataset.sort;

  function order(column, down) {
    const numeric = bodies.every((body) => !isNaN(key(body, column)));
    const compare = (a, b) => (numeric ? a - b : a.localeCompare(b, undefined, { numeric: true }));
    return [...bodies].sort((one, other) => {
      const [a, b] = [key(one, column), key(other, column)];
      if (a === "" || b === "") return (a === "") - (b === ""); // what is not known is last, in both orders
      return (down ? -1 : 1) * compare(a, b);
    });
  }

  function sort(head) {
    const before = head.getAttribute("aria-sort");
    const down = before ? before === "ascending" : head.dataset.first === "desc";
    heads.forEach((each) => each.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    table.append(...order(head.cellIndex, down));
  }

  function open(body, shown) {
    body.classList.toggle("open", shown);
    one("th button", body).setAttribute("aria-expanded", String(shown));
  }

  function filter() {
    const words = one("#find").value.toLowerCase().split(/\s+/).filter(Boolean);
    const kind = one("#which").value;
    for (const body of bodies) {
      const fits = words.every((word) => body.dataset.text.includes(word));
      body.hidden = !fits || (kind !== "" && !body.dataset.is.split(" ").includes(kind));
    }
    const shown = bodies.filter((body) => !body.hidden).length;
    one("#shown").textContent = shown === bodies.length ? "" : `${shown} of ${bodies.length} rows`;
  }

  if (table) {
    heads.forEach((head) => one("button", head).addEventListener("click", () => sort(head)));
    bodies.forEach((body) => one("th button", body).addEventListener("click", () => open(body, !body.classList.contains("open"))));
    one("#find").addEventListener("input", filter);
    one("#which").addEventListener("change", filter);
    one("#open-all").addEventListener("click", (event) => {
      const shown = event.target.textContent === "open all";
      bodies.forEach((body) => open(body, shown));
      event.target.textContent = shown ? "close all" : "open all";
    });
  }

  // What belongs to a row is highlighted everywhere; in plots its name is shown.
  const tip = document.createElement("div");
  tip.id = "tip";
  tip.hidden = true;
  document.body.append(tip);

  function point(event) {
    const found = event.target.closest ? event.target.closest("[data-row]") : null;
    all(".hot").forEach((each) => each.classList.remove("hot"));
    tip.hidden = !found || !found.closest("svg");
    if (!found) return;
    all(`[data-row="${found.dataset.row}"]`).forEach((each) => each.classList.add("hot"));
    tip.textContent = names[found.dataset.row];
    const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 6);
    tip.style.left = `${Math.max(6, left)}px`;
    tip.style.top = `${event.clientY + 16}px`;
  }
  document.addEventListener("pointermove", point);
  document.addEventListener("pointerdown", point);
  all("svg [data-row] > title").forEach((title) => title.remove()); // shown by the tip instead

  // On paper everything is open.
  const closed = all("details").filter((each) => !each.open);
  addEventListener("beforeprint", () => closed.forEach((each) => (each.open = true)));
  addEventListener("afterprint", () => closed.forEach((each) => (each.open = false)));

  // Any two metrics against each other. Places are between 0 and 1; only the drawing is done here.
  const holder = one("#pareto");
  const axes = holder ? JSON.parse(one("#axes").textContent) : [];
  const box = { width: 440, height: 300, left: 62, right: 10, top: 10, bottom: 46 };
  const across = (at) => box.left + at * (box.width - box.left - box.right);
  const up = (at) => box.height - box.bottom - at * (box.height - box.bottom - box.top);

  function draw(name, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  }

  function colour(row) {
    const chip = one(`#ranked tbody[data-row="${row}"] .chip`);
    return chip ? chip.style.getPropertyValue("--c") : "var(--muted)";
  }

  function frame(x, y) {
    const text = (content, attributes) => draw("text", { "font-size": 10, ...attributes }, content);
    const line = (x1, y1, x2, y2) => draw("line", { x1, y1, x2, y2, stroke: "var(--grid)" });
    return [
      ...x.ticks.flatMap(([at, label]) => [
        line(across(at), up(0), across(at), up(1)),
        text(label, { x: across(at), y: up(0) + 14, "text-anchor": "middle" }),
      ]),
      ...y.ticks.flatMap(([at, label]) => [
        line(across(0), up(at), across(1), up(at)),
        text(label, { x: across(0) - 5, y: up(at) + 3.5, "text-anchor": "end" }),
      ]),
      text(x.label, { x: across(0.5), y: box.height - 12, "text-anchor": "middle" }),
      text(y.label, { x: 12, y: up(0.5), "text-anchor": "middle", transform: `rotate(-90 12 ${up(0.5)})` }),
    ];
  }

  function best(x, y, rows) {
    const cost = (axis, row) => (axis.better === "higher" ? -1 : 1) * axis.points[row][0];
    const sorted = [...rows].sort((a, b) => cost(x, a) - cost(x, b) || cost(y, a) - cost(y, b));
    return sorted.filter((row, at) => sorted.slice(0, at).every((other) => cost(y, row) < cost(y, other)));
  }

  function mark(x, y, row) {
    const [h, v] = [x.points[row], y.points[row]];
    const thin = { stroke: colour(row), "stroke-width": 1 };
    const at = { cx: across(h[0]), cy: up(v[0]), r: 3.6, fill: h[3] && v[3] ? colour(row) : "var(--surface)", ...thin };
    return draw("g", { "data-row": row },
      draw("line", { x1: across(h[1]), x2: across(h[2]), y1: up(v[0]), y2: up(v[0]), ...thin }),
      draw("line", { x1: across(h[0]), x2: across(h[0]), y1: up(v[1]), y2: up(v[2]), ...thin }),
      draw("circle", at));
  }

  function redraw() {
    const [x, y] = [axes[one("#axis-across").value], axes[one("#axis-up").value]];
    const rows = Object.keys(x.points).filter((row) => row in y.points);
    const steps = best(x, y, rows).flatMap((row, at, found) => {
      const corner = `${across(x.points[row][0])},${up(y.points[row][0])}`;
      return at ? [`${across(x.points[row][0])},${up(y.points[found[at - 1]][0])}`, corner] : [corner];
    });
    const front = draw("polyline", { points: steps.join(" "), fill: "none", stroke: "var(--muted)", "stroke-dasharray": "3 2" });
    const told = `${y.label} against ${x.label}`;
    holder.replaceChildren(draw("svg", { viewBox: `0 0 ${box.width} ${box.height}`, role: "img", "aria-label": told },
      draw("title", {}, told), ...frame(x, y), front, ...rows.reverse().map((row) => mark(x, y, row))));
  }
  if (axes.length) ["across", "up"].forEach((name) => one(`#axis-${name}`).addEventListener("change", redraw));
})();
