// Thumbnails of the worst cases, drawn when they come into view and before printing.

function startGallery() {
  const waiting = new Set(document.querySelectorAll(".thumb"));
  const draw = (thumb) => {
    if (waiting.delete(thumb)) drawThumb(thumb);
  };
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          observer.unobserve(entry.target);
          draw(entry.target);
        }
      }
    },
    { rootMargin: "400px" },
  );
  for (const thumb of waiting) observer.observe(thumb);
  window.addEventListener("beforeprint", () => [...waiting].forEach(draw));
}

async function drawThumb(thumb) {
  const number = Number(thumb.dataset.case);
  const z = Number(thumb.dataset.slice);
  const { shape, aspect } = REPORT.cases[number];
  const { images, truth, predictions } = caseData(number);
  const masks = [truth, predictions[Number(thumb.dataset.run)]].map((mask) => sliceOf(mask, shape, z));
  const [height, width] = shape.slice(1);
  drawSlice(thumb.querySelector("canvas"), {
    image: await loadImage(images[z]),
    truth: masks[0],
    prediction: masks[1],
    outlined: masks[0],
    errors: true,
    width,
    height,
    aspect,
    box: foregroundBox(masks, height, width),
  });
}
