// Elements made by the script; text goes in as text nodes, so that nothing out of the data becomes markup.

const NARROW = "(max-width: 40rem)";

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== false && value !== null) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

function percent(value) {
  return value === null || value === undefined ? "–" : (100 * value).toFixed(1);
}
