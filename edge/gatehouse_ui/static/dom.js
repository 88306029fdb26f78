// Builds the page from nodes, never from markup text: what a device or a person wrote is shown, not run.

/** Return an element: `make("button", {class: "ack", disabled: true, onclick: f}, "text", node)`. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Make `parent` hold exactly `rows` (nodes with data-key), moving what is there already so that focus stays. */
export function keep(parent, rows) {
  const before = document.activeElement;
  rows.forEach((row, at) => {
    if (parent.children[at] !== row) parent.insertBefore(row, parent.children[at] ?? null);
  });
  while (parent.children.length > rows.length) parent.lastElementChild.remove();
  if (before && before !== document.activeElement && parent.contains(before)) before.focus();
}
