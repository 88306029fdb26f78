// Keys of a page (brief §9): one table, which is also its help. No key works while somebody types or a dialog is open.

/** @typedef {{key: string, words: string, does: () => void}} Key */

/** @param {Event} event */
function isTyping(event) {
  const at = event.target;
  return at instanceof HTMLElement && (at.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(at.tagName));
}

/**
 * Listen to these keys; `words` says what one does. Returns how to stop.
 * @param {Key[]} keys
 */
export function listen(keys) {
  const known = new Map(keys.map((key) => [key.key, key]));
  /** @param {KeyboardEvent} event */
  const press = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || isTyping(event) || document.querySelector("dialog[open]")) return;
    const key = known.get(event.key.length === 1 ? event.key.toLowerCase() : event.key);
    if (!key) return;
    event.preventDefault();
    key.does();
  };
  addEventListener("keydown", press);
  return () => removeEventListener("keydown", press);
}
