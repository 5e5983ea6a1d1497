// Starts everything: colours, the section links, tables, and, once the pictures are read, viewer and gallery.

function start() {
  startTheme();
  startNavigation();
  startTables();
  const viewer = makeViewer(document.getElementById("viewer-root"));
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-case]");
    if (link && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      viewer.open(Number(link.dataset.case), Number(link.dataset.slice), Number(link.dataset.run));
    }
  });
  const pictures = () => {
    viewer.start();
    startGallery();
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", pictures);
  else pictures();
}

function startTheme() {
  const root = document.documentElement;
  const button = document.getElementById("theme");
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const label = () => {
    button.textContent = dark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${dark() ? "light" : "dark"} colours`);
  };
  const kept = stored("dacl-theme");
  if (kept === "dark" || kept === "light") root.dataset.theme = kept;
  button.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    store("dacl-theme", root.dataset.theme);
    label();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
  label();
  button.classList.remove("invisible"); // its place was kept
}

// A browser may forbid storage to a file; the choice then lasts as long as the page.
function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // see `stored`
  }
}

/** Mark the link of the section that is being read. */
function startNavigation() {
  const links = new Map([...document.querySelectorAll(".bar nav a")].map((link) => [link.hash.slice(1), link]));
  const observer = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (entry.isIntersecting) {
          for (const link of links.values()) link.removeAttribute("aria-current");
          const link = links.get(entry.target.id);
          link.setAttribute("aria-current", "true");
          link.closest("ul").scrollLeft = link.offsetLeft - 48;
        }
      }
    },
    { rootMargin: "-20% 0px -75% 0px" },
  );
  for (const id of links.keys()) observer.observe(document.getElementById(id));
}
