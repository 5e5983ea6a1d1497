// Tables that sort by a click or by Enter on their headings, and filters of their rows.

function startTables() {
  for (const table of document.querySelectorAll("table[data-sortable]")) makeSortable(table);
  for (const filters of document.querySelectorAll("[data-table]")) startFilters(filters);
}

function makeSortable(table) {
  table.querySelectorAll("thead th").forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    heading.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => sortBy(table, column));
  });
}

/** Ascending first, then descending; what is undefined stays last either way. */
function sortBy(table, column) {
  const headings = [...table.querySelectorAll("thead th")];
  const descending = headings[column].getAttribute("aria-sort") === "ascending";
  for (const heading of headings) heading.setAttribute("aria-sort", "none");
  headings[column].setAttribute("aria-sort", descending ? "descending" : "ascending");
  const body = table.tBodies[0];
  const keyed = [...body.rows].map((row) => ({ row, key: sortKey(row.cells[column]) }));
  keyed.sort((first, second) => {
    if (first.key === null || second.key === null) return (first.key === null) - (second.key === null);
    const order =
      typeof first.key === "number"
        ? first.key - second.key
        : first.key.localeCompare(second.key, undefined, { numeric: true });
    return descending ? -order : order;
  });
  body.append(...keyed.map(({ row }) => row));
}

/** A number where the cell has `data-value`, its text otherwise; null where there is nothing. */
function sortKey(cell) {
  const value = cell.dataset.value ?? cell.textContent.trim();
  if (value === "") return null;
  return cell.dataset.value === undefined ? value : Number(value);
}

function startFilters(filters) {
  const table = document.getElementById(filters.dataset.table);
  const rows = [...table.tBodies[0].rows];
  const selects = [...filters.querySelectorAll("select")];
  const count = filters.querySelector("output");
  // A narrow screen has no room for the column of runs, which one run does not need.
  const runs = selects.find((select) => select.dataset.filter === "run");
  if (runs && matchMedia(NARROW).matches) runs.value = "0";
  const apply = () => {
    for (const select of selects) table.classList.toggle(`only-${select.dataset.filter}`, select.value !== "");
    let shown = 0;
    for (const row of rows) {
      row.hidden = selects.some((select) => select.value && row.dataset[select.dataset.filter] !== select.value);
      shown += !row.hidden;
    }
    count.textContent = `${shown} of ${rows.length} rows`;
  };
  for (const select of selects) select.addEventListener("change", apply);
  filters.classList.remove("invisible");
  apply();
}
