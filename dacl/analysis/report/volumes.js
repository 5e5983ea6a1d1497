// Scans and masks: read from the blocks of the file when a case is first asked for, drawn on a canvas.

const REPORT = JSON.parse(document.getElementById("report-data").textContent);
const cases = new Map();

/** Masks and image sources of a case; its block is parsed once. */
function caseData(number) {
  if (!cases.has(number)) {
    const block = JSON.parse(document.getElementById(`case-${number}`).textContent);
    const voxels = REPORT.cases[number].shape.reduce((product, n) => product * n, 1);
    cases.set(number, {
      images: block.images,
      truth: decodeRuns(block.truth, voxels),
      predictions: block.predictions.map((runs) => (runs === null ? null : decodeRuns(runs, voxels))),
    });
  }
  return cases.get(number);
}

/** Class, then length in base 128 with the lowest digit first; see `encode_runs`. */
function decodeRuns(text, voxels) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  const mask = new Uint8Array(voxels);
  let at = 0;
  for (let i = 0; i < bytes.length; ) {
    const label = bytes[i++];
    let length = 0;
    let unit = 1;
    while (bytes[i] > 127) {
      length += (bytes[i++] & 127) * unit;
      unit *= 128;
    }
    length += bytes[i++] * unit;
    mask.fill(label, at, at + length);
    at += length;
  }
  return mask;
}

async function loadImage(source) {
  const image = new Image();
  image.src = source;
  await image.decode();
  return image;
}

function sliceOf(mask, shape, z) {
  const pixels = shape[1] * shape[2];
  return mask.subarray(z * pixels, (z + 1) * pixels);
}

/** The box [x, y, width, height] around every foreground pixel of the masks with a margin; the slice where there is none. */
function foregroundBox(masks, height, width, margin = 0.3) {
  let [left, top, right, bottom] = [width, height, -1, -1];
  for (const mask of masks) {
    for (let i = 0; i < mask.length; i++) {
      if (mask[i]) {
        const x = i % width;
        const y = Math.floor(i / width) % height;
        left = Math.min(left, x);
        right = Math.max(right, x);
        top = Math.min(top, y);
        bottom = Math.max(bottom, y);
      }
    }
  }
  if (right < 0) return [0, 0, width, height];
  const air = Math.max(8, Math.round(margin * Math.max(right - left + 1, bottom - top + 1)));
  const [x, y] = [Math.max(0, left - air), Math.max(0, top - air)];
  return [x, y, Math.min(width, right + 1 + air) - x, Math.min(height, bottom + 1 + air) - y];
}

/**
 * Draw a slice into a square canvas.
 * `view`: image, truth, prediction (or null), width, height, aspect, box, and the layers asked for:
 * `colored` (the mask drawn in class colours), `outlined` (the mask drawn thin and white), `errors`, `fill`.
 */
function drawSlice(canvas, view) {
  const { image, width, height, aspect, box } = view;
  const context = canvas.getContext("2d");
  const size = canvas.width;
  const scale = size / Math.max(box[2], box[3] * aspect);
  const [sx, sy] = [scale, scale * aspect];
  const place = {
    x: (column) => (size - box[2] * sx) / 2 + (column - box[0]) * sx,
    y: (row) => (size - box[3] * sy) / 2 + (row - box[1]) * sy,
  };
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.globalAlpha = 1;
  context.fillStyle = "#000";
  context.fillRect(0, 0, size, size);
  context.save();
  context.beginPath();
  context.rect(place.x(box[0]), place.y(box[1]), box[2] * sx, box[3] * sy);
  context.clip();
  const spot = [place.x(0), place.y(0), width * sx, height * sy];
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = "high";
  context.globalAlpha = view.errors ? 0.6 : 1;
  context.drawImage(image, ...spot);
  context.globalAlpha = 1;
  context.imageSmoothingEnabled = false;
  const line = size / 400;
  if (view.errors && view.prediction) {
    context.drawImage(painted(width, height, errorColors(view.truth, view.prediction)), ...spot);
  } else if (view.colored && view.fill) {
    context.globalAlpha = 0.5;
    context.drawImage(painted(width, height, (i) => classColor(view.colored[i])), ...spot);
    context.globalAlpha = 1;
  } else if (view.colored) {
    for (const label of labelsOf(view.colored)) {
      stroke(context, outline(view.colored, label, width, height, place), classColor(label), 2 * line);
    }
  }
  if (view.outlined) {
    for (const label of labelsOf(view.outlined)) {
      stroke(context, outline(view.outlined, label, width, height, place), "#fff", line);
    }
  }
  context.restore();
}

function stroke(context, path, color, width) {
  context.lineJoin = "round";
  context.lineCap = "round";
  context.strokeStyle = color;
  context.lineWidth = width;
  context.stroke(path);
}

function labelsOf(mask) {
  return [...new Set(mask)].filter((label) => label > 0).sort();
}

function classColor(label) {
  return label ? REPORT.colors[(label - 1) % REPORT.colors.length] : null;
}

function errorColors(truth, prediction) {
  const { missed, spurious, confused } = REPORT.errors;
  return (i) => {
    if (truth[i] === prediction[i]) return null;
    if (prediction[i] === 0) return missed;
    return truth[i] === 0 ? spurious : confused;
  };
}

/** A canvas of one pixel per voxel; `colorOf` answers #rrggbb or null. */
function painted(width, height, colorOf) {
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    const color = colorOf(i);
    if (color) {
      const rgb = parseInt(color.slice(1), 16);
      pixels.data.set([rgb >> 16, (rgb >> 8) & 255, rgb & 255, 255], 4 * i);
    }
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Marching squares between pixel centres. Corners are bits 1, 2, 4, 8 (upper left, upper right, lower left, lower
// right); edges are t, r, b, l. Each entry lists pairs of edges to join.
const JOINED = ["", "tl", "tr", "lr", "lb", "tb", "trlb", "rb", "rb", "tlrb", "tb", "lb", "lr", "tr", "tl", ""];

/** The outline of one class, in canvas pixels. */
function outline(mask, label, width, height, place) {
  const path = new Path2D();
  const inside = (x, y) => x >= 0 && y >= 0 && x < width && y < height && mask[y * width + x] === label;
  for (let y = -1; y < height; y++) {
    for (let x = -1; x < width; x++) {
      const corners =
        Number(inside(x, y)) + 2 * inside(x + 1, y) + 4 * inside(x, y + 1) + 8 * inside(x + 1, y + 1);
      const edges = JOINED[corners];
      for (let i = 0; i < edges.length; i += 2) {
        path.moveTo(...edgePoint(edges[i], x, y, place));
        path.lineTo(...edgePoint(edges[i + 1], x, y, place));
      }
    }
  }
  return path;
}

/** The middle of an edge of the square whose upper left corner is the centre of pixel (x, y). */
function edgePoint(edge, x, y, place) {
  const column = { t: 1, b: 1, l: 0.5, r: 1.5 }[edge];
  const row = { t: 0.5, b: 1.5, l: 1, r: 1 }[edge];
  return [place.x(x + column), place.y(y + row)];
}
