// Keeps the table as it is at the listener: only rows that changed are sent and drawn.
"use strict";
(() => {
  const head = document.getElementById("head"), body = document.getElementById("rows"), state = document.getElementById("state"), title = document.getElementById("answer");
  const fixed = head.children.length, shown = new Map();
  let version = 0, columns = [];

  const cell = (name, text, className) => {
    const e = document.createElement(name);
    e.textContent = text;
    if (className) e.className = className;
    return e;
  };

  const draw = (row) => {
    const tr = document.createElement("tr"), name = cell("th", ""), link = cell("a", row.name);
    link.href = "r/" + row.id;
    name.scope = "row";
    name.append(link, cell("p", row.answer, "soft"));
    tr.append(name, cell("td", row.role), cell("td", row.by), cell("td", row.at));
    for (const c of columns) {
      const at = row.cells[c.Key];
      tr.append(cell("td", at ? at.Text : "", at ? "mark-" + at.Class : ""));
    }
    tr.dataset.broken = Object.values(row.cells).some((c) => c.Class === "bad") ? "yes" : "";
    return tr;
  };

  const take = (now) => {
    if (now.columns.length !== columns.length) {
      columns = now.columns;
      while (head.children.length > fixed) head.lastChild.remove();
      for (const c of columns) {
        const th = cell("th", c.Words);
        th.scope = "col";
        head.append(th);
      }
      for (const [id, { row, tr }] of shown) {
        const again = draw(row);
        tr.replaceWith(again);
        shown.set(id, { row, tr: again });
      }
    }
    const all = new Set(now.ids);
    for (const [id, { tr }] of shown)
      if (!all.has(id)) {
        tr.remove();
        shown.delete(id);
      }
    for (const row of now.rows) {
      const tr = draw(row), old = shown.get(row.id);
      if (old) old.tr.replaceWith(tr);
      else body.prepend(tr);
      shown.set(row.id, { row, tr });
    }
    const broken = [...shown.values()].filter(({ tr }) => tr.dataset.broken).length;
    if (shown.size) title.textContent = shown.size + (shown.size === 1 ? " test" : " tests") + " so far; something is blocked in " + broken;
    version = now.version;
  };

  const ask = async () => {
    try {
      const r = await fetch("state?since=" + version, { cache: "no-store", credentials: "omit" });
      if (!r.ok) throw new Error(r.status);
      take(await r.json());
      state.textContent = "As it is now. Each name leads to its report.";
    } catch {
      state.textContent = "listen does not answer: it may have stopped. What is shown is as it was last.";
    }
    setTimeout(ask, 2000);
  };
  ask();
})();
