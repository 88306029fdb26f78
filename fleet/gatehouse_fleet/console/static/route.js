// Which page is shown: `#/cases/12?light=red`. Every view has an address that can be kept, sent and gone back to.
import { computed, signal } from "/ui/vendor/preact.js";

/** @typedef {{page: string, id: string, query: Record<string, string>}} Route */

const hash = signal(location.hash);
addEventListener("hashchange", () => { hash.value = location.hash; });

/** @param {string} text @returns {Route} */
function parse(text) {
  const [path, query = ""] = text.replace(/^#\/?/, "").split("?");
  const [page, ...rest] = path.split("/");
  return { page: page || "overview", id: rest.map(plain).join("/"), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** @param {string} text */
function plain(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = computed(() => parse(hash.value));

/**
 * The address of a view; values that say nothing are left out.
 * @param {string} page
 * @param {string | number} [id]
 * @param {Record<string, string | number | null | undefined>} [query]
 */
export function link(page, id = "", query = {}) {
  const said = Object.entries(query).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const asked = new URLSearchParams(said.map(([name, value]) => [name, String(value)])).toString();
  return `#/${page}${id === "" ? "" : `/${encodeURIComponent(id)}`}${asked ? `?${asked}` : ""}`;
}

/** @param {string} address from `link` */
export function go(address) {
  location.hash = address;
}

/** Change conditions of the present view in place; going back leaves the view, not the last condition. @param {Record<string, string | number | null | undefined>} change */
export function narrow(change) {
  const { page, id, query } = route.peek();
  history.replaceState(null, "", link(page, id, { ...query, ...change }));
  hash.value = location.hash;
}
