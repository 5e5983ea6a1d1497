// The panels of the viewer, its legend and its list of keys.

/** One canvas with its caption; `run` is null for the reference. */
function makePanel(name, run, shown) {
  const canvas = element("canvas", { width: 400, height: 400, role: "img", "aria-label": name });
  const scores = element("span", { class: "scores" });
  const outside = element("span", { class: "outside" });
  const figure = element("figure", { hidden: !shown }, canvas, element("figcaption", {}, element("strong", {}, name), scores, outside));
  return {
    name, run, canvas, figure,
    caption(number) {
      const { classes, dice, mean } = REPORT.cases[number];
      if (run === null) {
        scores.textContent = "annotation";
      } else if (Object.keys(dice[run]).length === 0) {
        scores.textContent = "not judged on this case";
      } else if (mean[run] === null) {
        scores.textContent = "Dice undefined: every class absent from both";
      } else {
        const each = classes.map((label) => `${label} ${percent(dice[run][label])}`);
        scores.textContent = `Dice ${percent(mean[run])} % (${each.join(", ")})`;
      }
      canvas.setAttribute("aria-label", `${name}: ${scores.textContent}`);
    },
    /** Say what the zoom hides, or it would hide mistakes. */
    outside(mask, width, [left, top, w, h]) {
      let pixels = 0;
      if (mask !== null) {
        mask.forEach((label, i) => {
          const [x, y] = [i % width, Math.floor(i / width)];
          pixels += label > 0 && (x < left || y < top || x >= left + w || y >= top + h);
        });
      }
      outside.textContent = pixels ? `${pixels} pixels outside the view` : "";
    },
    fit() {
      const size = Math.round(canvas.clientWidth * devicePixelRatio) || 400;
      if (canvas.width !== size) canvas.width = canvas.height = size;
    },
  };
}

function legendItems(number) {
  const swatch = (color) => {
    const mark = element("i", { class: color === "#FFFFFF" ? "swatch edged" : "swatch" });
    mark.style.setProperty("--color", color);
    return mark;
  };
  const names = REPORT.cases[number].classes.map((name, i) => [classColor(i + 1), name]);
  const errors = { missed: "missed", spurious: "spurious", confused: "wrong class" };
  return [
    ...names.map(([color, name]) => element("li", {}, swatch(color), name)),
    element("li", {}, element("i", { class: "swatch thin" }), "reference over a prediction"),
    ...Object.entries(errors).map(([key, text]) => element("li", {}, swatch(REPORT.errors[key]), `error: ${text}`)),
  ];
}

function help() {
  const said = [
    [["↑", "↓"], "or the wheel, once the picture is chosen, or a sideways swipe: slices"],
    [["Home", "End"], "first and last slice"],
    [["J", "K"], "next and previous case"],
    [["T", "P", "E", "F", "Z"], "layers"],
    [["0", "1", "…"], "panels"],
  ];
  const items = said.map(([keys, text]) => element("li", {}, ...keys.flatMap((key) => [element("kbd", {}, key), " "]), text));
  return element("ul", { class: "keys", id: "viewer-keys" }, ...items);
}
