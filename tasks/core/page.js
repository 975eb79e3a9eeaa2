// What pages do besides being read: tables are searched and sorted, and print shows what is folded.
"use strict";
(() => {
  const make = (name, parts) => Object.assign(document.createElement(name), parts);

  const searchable = (table) => {
    const groups = [...table.tBodies];
    const rows = groups.flatMap((group) => [...group.rows]).map((row) => ({
      row, text: row.textContent.toLowerCase() }));
    const count = make("output", { className: "quiet" });
    const field = make("input", { type: "search", placeholder: "Search", autocomplete: "off" });
    field.setAttribute("aria-label", `Search ${table.dataset.search}`);
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const { row, text } of rows) {
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
      }
      count.textContent = words.length ? `${shown} of ${rows.length}` : "";
    });
    const line = make("p", { className: "search" });
    line.append(field, count);
    table.before(line);
  };

  const sortable = (table) => {
    const body = table.tBodies[0];
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
        body.append(...[...body.rows].sort((one, two) => {
          const [a, b] = [value(one, column), value(two, column)];
          return (a < b ? -1 : a > b ? 1 : 0) * (down ? -1 : 1);
        }));
      });
    });
  };

  for (const table of document.querySelectorAll("table[data-search]")) {
    if (table.tBodies[0].rows.length > 7) searchable(table);
    if (table.tHead && table.tBodies.length === 1) sortable(table);
  }
  window.addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details")) fold.open = true;
  });
})();
