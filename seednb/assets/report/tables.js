"use strict";
(() => {
  const find = (selector) => [...document.querySelectorAll(selector)];

  // pandas writes the index's name in a header row of its own; it fits into the empty corner.
  find(".output table thead").forEach((head) => {
    const [names, index] = head.rows;
    if (head.rows.length !== 2 || names.cells.length !== index.cells.length) return;
    const fits = [...index.cells].every((cell, i) => !cell.textContent.trim() || !names.cells[i].textContent.trim());
    if (!fits) return;
    [...index.cells].forEach((cell, i) => { names.cells[i].textContent ||= cell.textContent; });
    index.remove();
  });

  // "20.8 [19.6, 22.1]": a narrow column may break before the interval, not inside it.
  const keepIntervalTogether = (cell) => {
    const [value, interval] = cell.textContent.trim().split(/\s(?=\[)/);
    if (!interval || cell.childElementCount) return;
    const whole = document.createElement("span");
    whole.className = "whole";
    whole.textContent = interval;
    cell.replaceChildren(`${value} `, whole);
  };

  // Columns of numbers are set flush right, columns of sentences get room. A cell that spans rows is
  // missing at the left of the later ones, so columns are counted from the right.
  const number = /^[+\-−]?[\d.,]+(e[+-]?\d+)?\s?%?(\s\[.*\])?$|^[–-]$|^$|^nan$/i;
  find(".output table").forEach((table) => {
    table.querySelectorAll("th").forEach((cell) => {
      if (!cell.childElementCount) cell.innerHTML = cell.innerHTML.replaceAll("_", "_<wbr>");
    });
    const rows = [...table.tBodies].flatMap((body) => [...body.rows]);
    const width = Math.max(0, ...rows.map((row) => row.cells.length));
    for (let column = 0; column < width; column += 1) {
      const cells = rows.map((row) => row.cells[row.cells.length - width + column]).filter((cell) => cell?.tagName === "TD");
      if (cells.some((cell) => cell.textContent.length > 40)) cells.forEach((cell) => cell.classList.add("text"));
      if (cells.every((cell) => cell.textContent.length < 18)) cells.forEach((cell) => cell.classList.add("short"));
      if (cells.length && cells.every((cell) => number.test(cell.textContent.trim()))) {
        const heads = [...(table.tHead?.rows ?? [])].filter((row) => row.cells.length === width);
        [...cells, ...heads.map((row) => row.cells[column])].forEach((cell) => cell.classList.add("number"));
        cells.forEach(keepIntervalTogether);
      }
    }
  });

  // Sorting: a button in each heading; up, down, and back to the order of the page. Rows stay in
  // their group. A cell's value is its data-value, else the number it starts with, else its text.
  const collator = new Intl.Collator("en", { numeric: true });
  const leading = /^[+-]?(\d[\d,]*\.?\d*|\.\d+)(e[+-]?\d+)?/i;
  const value = (cell) => {
    const text = (cell.dataset.value ?? cell.textContent).trim().replaceAll("−", "-");
    if (!text || /^([–-]|nan|none)$/i.test(text)) return null;
    const found = leading.exec(text);
    return found ? Number(found[0].replaceAll(",", "")) : text;
  };
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return collator.compare(String(a), String(b));
  };
  const sortable = (table) => {
    const bodies = [...table.tBodies].filter((body) => body.rows.length > 1);
    const rows = bodies.flatMap((body) => [...body.rows]).filter((row) => !row.matches(".group"));
    const spans = rows.some((row) => [...row.cells].some((cell) => cell.rowSpan > 1 || cell.colSpan > 1));
    const head = table.tHead?.rows;
    return head?.length === 1 && !spans && rows.length > 2
      && rows.every((row) => row.cells.length === head[0].cells.length);
  };
  const order = (body, column, direction, original) => {
    const rows = original.filter((row) => !row.matches(".group"));
    if (direction) {
      const values = new Map(rows.map((row) => [row, value(row.cells[column])]));
      rows.sort((a, b) => {
        const [x, y] = [values.get(a), values.get(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        return direction * compare(x, y);
      });
    }
    body.append(...original.filter((row) => row.matches(".group")), ...rows);
  };
  find(":is(.output, .scroll) table").filter((table) => !table.closest(".seednb") && sortable(table)).forEach((table) => {
    const heads = [...table.tHead.rows[0].cells];
    const original = new Map([...table.tBodies].map((body) => [body, [...body.rows]]));
    table.classList.add("sortable");
    heads.forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const next = { none: "ascending", ascending: "descending", descending: null };
        const state = next[head.getAttribute("aria-sort") ?? "none"];
        heads.forEach((each) => each.removeAttribute("aria-sort"));
        if (state) head.setAttribute("aria-sort", state);
        const direction = { ascending: 1, descending: -1 }[state] ?? 0;
        original.forEach((rows, body) => order(body, column, direction, rows));
      });
    });
  });
})();
