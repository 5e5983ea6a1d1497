// The viewer: one case at a time, the reference and every run side by side on the same slice.

const LAYERS = [
  { key: "t", name: "Reference", layer: "truth", on: true },
  { key: "p", name: "Prediction", layer: "prediction", on: true },
  { key: "e", name: "Errors", layer: "errors", on: false },
  { key: "f", name: "Fill", layer: "fill", on: false },
  { key: "z", name: "Zoom", layer: "zoom", on: false },
];
const DRAG_PIXELS = 24;

function makeViewer(root) {
  const narrow = matchMedia(NARROW).matches;
  const state = { case: 0, z: 0, ready: false, box: null };
  const layers = Object.fromEntries(LAYERS.map(({ layer, on }) => [layer, on]));
  // On a narrow screen one panel at first: the first run, over which the reference lies as a thin line.
  const panels = [
    makePanel("Reference", null, !narrow),
    ...REPORT.runs.map((run, number) => makePanel(run.name, number, !narrow || number === 0)),
  ];
  const list = makeCaseList((number) => show(number));
  const slider = element("input", { type: "range", min: 1, max: 1, value: 1, "aria-label": "Slice" });
  const place = element("output", { class: "place", "aria-live": "polite" });
  const legend = element("ul", { class: "legend" });
  const stage = element(
    "div",
    {
      class: "stage", tabindex: 0, role: "group", "aria-describedby": "viewer-keys",
      "aria-label": "Slices; arrow keys go through them",
    },
    ...panels.map((panel) => panel.figure),
  );
  const layerButtons = LAYERS.map(({ key, name, layer }) =>
    toggle(key, name, () => layers[layer], () => (layers[layer] = !layers[layer])),
  );
  const panelButtons = panels.map((panel, number) => {
    const flip = () => (panel.figure.hidden = !panel.figure.hidden);
    return toggle(number < 10 ? String(number) : null, panel.name, () => !panel.figure.hidden, flip);
  });
  const controls = element("div", { class: "controls" }, group("Layers", layerButtons), group("Panels", panelButtons));
  root.append(
    list.box,
    element("div", { class: "main" }, controls, stage, element("div", { class: "travel" }, slider, place), legend, help()),
  );

  function group(name, buttons) {
    const word = element("span", { class: "word", "aria-hidden": "true" }, name);
    return element("div", { role: "group", "aria-label": name }, word, ...buttons);
  }

  function toggle(key, name, get, flip) {
    const button = element("button", { type: "button", "aria-keyshortcuts": key }, name);
    if (key) button.append(" ", element("kbd", {}, key.toUpperCase()));
    const label = () => button.setAttribute("aria-pressed", String(get()));
    button.addEventListener("click", () => {
      flip();
      label();
      draw();
    });
    label();
    return button;
  }

  function show(number, z = null) {
    const changed = number !== state.case || state.box === null;
    state.case = number;
    const { shape, name } = REPORT.cases[number];
    if (changed) {
      const { truth } = caseData(number);
      state.box = foregroundBox([truth], shape[1], shape[2]);
      slider.max = shape[0];
      list.mark(number);
      panels.forEach((panel) => panel.caption(number));
      legend.replaceChildren(...legendItems(number));
      stage.setAttribute("aria-label", `Slices of ${name}; arrow keys go through them`);
    }
    move(z ?? startSlice(number));
  }

  function startSlice(number) {
    const { worst, shape } = REPORT.cases[number];
    return worst.find((z) => z !== null) ?? Math.floor(shape[0] / 2);
  }

  function move(z) {
    const { shape, name } = REPORT.cases[state.case];
    state.z = Math.min(Math.max(z, 0), shape[0] - 1);
    slider.value = state.z + 1;
    slider.setAttribute("aria-valuetext", `slice ${state.z + 1} of ${shape[0]}`);
    place.value = `${name}, slice ${state.z + 1} of ${shape[0]}`;
    draw();
  }

  async function draw() {
    if (!state.ready) return;
    const { case: number, z } = state;
    const { shape, aspect } = REPORT.cases[number];
    const [, height, width] = shape;
    const { images, truth, predictions } = caseData(number);
    const image = await loadImage(images[z]);
    if (number !== state.case || z !== state.z) return; // another slice was asked for meanwhile
    const truthHere = sliceOf(truth, shape, z);
    const box = layers.zoom ? state.box : [0, 0, width, height];
    for (const panel of panels) {
      const mask = panel.run === null ? truth : predictions[panel.run];
      const shown = mask === null ? null : sliceOf(mask, shape, z);
      panel.outside(shown, width, box);
      if (panel.figure.hidden) continue;
      panel.fit();
      const ofRun = panel.run !== null;
      drawSlice(panel.canvas, {
        image, width, height, aspect, box,
        truth: truthHere,
        prediction: ofRun ? shown : null,
        colored: (ofRun ? layers.prediction : layers.truth) ? shown : null,
        outlined: ofRun && layers.truth ? truthHere : null,
        errors: ofRun && shown !== null && layers.errors,
        fill: layers.fill,
      });
    }
  }

  const go = (number, z) => {
    show(number, z);
    stage.focus({ preventScroll: true });
  };
  const keys = {
    ArrowUp: () => move(state.z - 1), ArrowLeft: () => move(state.z - 1),
    ArrowDown: () => move(state.z + 1), ArrowRight: () => move(state.z + 1),
    Home: () => move(0), End: () => move(Infinity),
    j: () => show(list.neighbour(1)), k: () => show(list.neighbour(-1)),
  };
  root.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "SELECT") return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const button = controls.querySelector(`[aria-keyshortcuts="${CSS.escape(key)}"]`);
    // Arrows mean what they always mean in a slider or a list.
    const own = key.length > 1 && event.target !== stage;
    if (own || !(button || keys[key])) return;
    event.preventDefault();
    if (button) button.click();
    else keys[key]();
  });
  slider.addEventListener("input", () => move(Number(slider.value) - 1));
  // Only once the stage has been chosen: a page that is scrolled past it must not get stuck there.
  stage.addEventListener("wheel", (event) => {
    const step = Math.sign(event.deltaY);
    const last = REPORT.cases[state.case].shape[0] - 1;
    if (document.activeElement !== stage || state.z + step < 0 || state.z + step > last) return;
    event.preventDefault();
    move(state.z + step);
  }, { passive: false });
  drag(stage, (steps) => move(state.z + steps));
  new ResizeObserver(() => draw()).observe(stage);

  return {
    start() {
      if (!REPORT.cases.length) return;
      state.ready = true;
      show(list.neighbour(0));
    },
    /** Show a slice with the panel of this run, and bring the viewer into sight. */
    open(number, z, run) {
      if (panels[run + 1].figure.hidden) panelButtons[run + 1].click();
      document.getElementById("viewer").scrollIntoView();
      go(number, z);
    },
  };
}

/** Sideways movement of a finger or a pressed mouse as steps. */
function drag(target, step) {
  let from = null;
  target.addEventListener("pointerdown", (event) => (from = event.clientX));
  target.addEventListener("pointermove", (event) => {
    if (from === null || !event.buttons) return;
    const steps = Math.trunc((event.clientX - from) / DRAG_PIXELS);
    if (steps) {
      from += steps * DRAG_PIXELS;
      step(steps);
    }
  });
  for (const end of ["pointerup", "pointercancel"]) target.addEventListener(end, () => (from = null));
}
