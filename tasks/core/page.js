// What pages do besides being read: tables are searched and sorted, and print shows what is folded.
"use strict";
(() => {
  const FEW = 7; // rows that are seen at a glance

  const make = (name, parts) => Object.assign(document.createElement(name), parts);

  const heads = (row) => row.cells[0].scope === "rowgroup";

  const searchable = (table) => {
    const groups = [...table.tBodies].map((body) => {
      const all = [...body.rows], title = all.filter(heads).map((row) => row.textContent).join(" ");
      return { body, rows: all.filter((row) => !heads(row)).map((row) => ({
        row, text: `${title} ${row.textContent}`.toLowerCase() })) };
    });
    const total = groups.reduce((sum, { rows }) => sum + rows.length, 0);
    if (total <= FEW) return;
    const line = make("p", { className: "search" });
    const count = make("output", { className: "quiet" });
    const field = make("input", { type: "search", placeholder: "Search", autocomplete: "off" });
    field.setAttribute("aria-label", `Search ${table.dataset.search}`);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const { body, rows } of groups) {
        const before = shown;
        for (const { row, text } of rows) {
          row.hidden = !words.every((word) => text.includes(word));
          shown += !row.hidden;
        }
        body.hidden = words.length > 0 && shown === before;
      }
      line.classList.toggle("filtered", words.length > 0);
      count.textContent = words.length ? `${shown} of ${total} with “${words.join(" ")}”` : "";
    });
    line.append(field, count);
    table.before(line);
  };

  const sortable = (table) => {
    const value = (row, column) => {
      const cell = row.cells[column];
      return cell.dataset.value === undefined ? cell.textContent.trim().toLowerCase()
        : Number(cell.dataset.value);
    };
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = make("button", { type: "button", textContent: head.textContent });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const down = head.ariaSort === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        for (const body of table.tBodies) {
          body.append(...[...body.rows].filter((row) => !heads(row)).sort((one, two) => {
            const [a, b] = [value(one, column), value(two, column)];
            return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
          }));
        }
      });
    });
  };

  for (const table of document.querySelectorAll("table[data-search]")) {
    searchable(table);
    if (table.tHead) sortable(table);
  }
  let folded = [];
  window.addEventListener("beforeprint", () => {
    folded = [...document.querySelectorAll("details:not([open])")];
    for (const fold of folded) fold.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const fold of folded) fold.open = false;
  });
})();
