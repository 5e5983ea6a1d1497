// The list of cases beside the viewer.

/** The cases as a list box, in an order that can be chosen. */
function makeCaseList(choose) {
  const orders = REPORT.runs.flatMap((run, number) => [
    [`lowest Dice of ${run.name}`, (a, b) => compareDice(a, b, number)],
    [`highest Dice of ${run.name}`, (a, b) => -compareDice(a, b, number)],
  ]);
  orders.push(["name", (a, b) => REPORT.cases[a].name.localeCompare(REPORT.cases[b].name, undefined, { numeric: true })]);
  const select = element("select", { id: "case-order" }, ...orders.map(([text], i) => element("option", { value: i }, text)));
  const list = element("ul", { role: "listbox", tabindex: 0, "aria-label": "Cases, with mean Dice of every run" });
  const options = REPORT.cases.map((entry, number) =>
    element(
      "li", { role: "option", id: `case-option-${number}`, "aria-selected": "false" },
      element("span", {}, entry.name),
      element("span", { class: "dice" }, entry.mean.map(percent).join("  ")),
    ),
  );
  let order = REPORT.cases.map((_, number) => number);
  let marked = null;
  const arrange = () => {
    order = [...order].sort(orders[select.value][1]);
    list.replaceChildren(...order.map((number) => options[number]));
  };
  const neighbour = (step) => {
    const at = marked === null ? 0 : order.indexOf(marked);
    return order[Math.min(Math.max(at + step, 0), order.length - 1)];
  };
  select.addEventListener("change", () => {
    arrange();
    choose(order[0]);
  });
  options.forEach((option, number) => option.addEventListener("click", () => choose(number)));
  list.addEventListener("keydown", (event) => {
    const step = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity, PageUp: -10, PageDown: 10 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    choose(neighbour(step));
  });
  arrange();
  return {
    box: element("div", { class: "cases" }, element("label", { for: "case-order" }, "Order"), select, list),
    neighbour,
    mark(number) {
      if (marked !== null) options[marked].setAttribute("aria-selected", "false");
      marked = number;
      const option = options[number];
      option.setAttribute("aria-selected", "true");
      list.setAttribute("aria-activedescendant", option.id);
      // Not scrollIntoView, which would move the page too.
      const hidden = option.offsetTop < list.scrollTop || option.offsetTop + option.offsetHeight > list.scrollTop + list.clientHeight;
      if (hidden) list.scrollTop = option.offsetTop - list.clientHeight / 2;
    },
  };
}

/** A case without Dice, which this run may not have been judged on, stands at the low end. */
function compareDice(first, second, run) {
  return (REPORT.cases[first].mean[run] ?? -1) - (REPORT.cases[second].mean[run] ?? -1);
}
