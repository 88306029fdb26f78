// What a screen reader is told at once. The region stands in the page from the beginning, empty: readers ignore one that comes later.

const KEPT = 20;

/** Say `text` once, at once. Needs `<div id="said" class="unseen" role="log" aria-live="assertive"></div>`. @param {string} text */
export function announce(text) {
  const region = document.getElementById("said");
  if (!region) return;
  const line = document.createElement("p");
  line.textContent = text;
  region.append(line);
  while (region.children.length > KEPT) region.firstElementChild?.remove();
}
