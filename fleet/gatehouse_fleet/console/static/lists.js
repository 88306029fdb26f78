// Lists that the server gives page by page, and moving through rows with J and K.
import { ask } from "/ui/api.js";
import { listen } from "/ui/keys.js";
import { problemText } from "/ui/api.js";
import { html, useEffect, useRef, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";

const PAGE = 200;
const AGAIN_MS = 4000;

/**
 * @template Row
 * @typedef {{rows: Row[], isAll: boolean, isReading: boolean, isRead: boolean, problem: string, more: () => void, again: () => void}} List
 */

/**
 * Read a paged list; `isWhole` reads every page one after the other. What was read stays shown while it is read again.
 * @template Row
 * @param {string} path with its conditions; null reads nothing
 * @param {{isWhole?: boolean, on?: unknown, limit?: number}} [how] `on`: read again when this changes
 * @returns {List<Row>}
 */
export function useList(path, { isWhole = false, on = 0, limit = PAGE } = {}) {
  const [state, setState] = useState({ rows: /** @type {any[]} */ ([]), next: /** @type {string | null} */ (null), isReading: true, isRead: false, problem: "", path: "" });
  const run = useRef(0);
  const read = async (/** @type {any[]} */ before, /** @type {string | null} */ after) => {
    const mine = (run.current += 1);
    setState((now) => ({ ...now, isReading: true }));
    let [rows, next] = [before, after];
    try {
      do {
        const page = await ask("GET", `${path}${path.includes("?") ? "&" : "?"}limit=${limit}${next ? `&after=${next}` : ""}`);
        if (mine !== run.current) return;
        rows = [...rows, ...page.items];
        next = page.next ?? null;
        // The first page is shown at once, the rest as it comes; a list read again replaces the old one when it is whole.
        if (!isWhole || !next || !state.isRead || state.path !== path) setState({ rows, next, isReading: Boolean(isWhole && next), isRead: true, problem: "", path });
      } while (isWhole && next);
    } catch (error) {
      if (mine !== run.current) return;
      setState((now) => ({ ...now, isReading: false, problem: problemText(error) }));
      setTimeout(() => { if (mine === run.current) read(before, after); }, AGAIN_MS);
    }
  };
  useEffect(() => {
    read([], null);
    return () => { run.current += 1; };
  }, [path, on]);
  return { rows: state.rows, isAll: state.next === null, isReading: state.isReading, isRead: state.isRead && state.path === path, problem: state.problem, more: () => read(state.rows, state.next), again: () => read([], null) };
}

/**
 * Read one thing; `on`: again when this changes.
 * @param {string | null} path @param {unknown} [on]
 * @returns {{value: any, problem: string, again: () => void}}
 */
export function useOne(path, on = 0) {
  const [state, setState] = useState({ value: /** @type {any} */ (null), problem: "", path: /** @type {string | null} */ ("") });
  const run = useRef(0);
  const read = () => {
    if (!path) return;
    const mine = (run.current += 1);
    ask("GET", path).then((value) => { if (mine === run.current) setState({ value, problem: "", path }); },
      (error) => { if (mine === run.current) setState((now) => ({ ...now, problem: problemText(error), path })); });
  };
  useEffect(() => { read(); return () => { run.current += 1; }; }, [path, on]);
  return { value: state.path === path ? state.value : null, problem: state.problem, again: read };
}

/**
 * Move through rows with J, K and Enter. Returns the key of the chosen row.
 * @param {string[]} keys @param {(key: string) => void} open @param {string | null} [first]
 */
export function useRows(keys, open, first = null) {
  const [chosen, choose] = useState(first);
  const now = useRef({ keys, chosen, open });
  now.current = { keys, chosen, open };
  useEffect(() => {
    const move = (/** @type {number} */ by) => {
      const at = now.current.chosen === null ? -1 : now.current.keys.indexOf(now.current.chosen);
      const next = now.current.keys[Math.max(0, Math.min(now.current.keys.length - 1, at + by))];
      if (next !== undefined) choose(next);
    };
    return listen([
      { key: "j", words: "", does: () => move(1) },
      { key: "k", words: "", does: () => move(-1) },
      { key: "Enter", words: "", does: () => { if (now.current.chosen !== null) now.current.open(now.current.chosen); } },
    ]);
  }, []);
  return { chosen, choose };
}

/** What stands under or instead of a list. @param {{list: List<any>, none: string}} props */
export function ListFoot({ list, none }) {
  if (list.problem && !list.rows.length) return html`<div class="empty"><b>${list.problem}</b></div>`;
  if (!list.isRead) return html`<p class="quiet pad">${t("fleet_reading")}</p>`;
  if (!list.rows.length) return html`<div class="empty"><b>${none}</b></div>`;
  return html`<div class="listfoot">${list.problem && html`<span class="problem">${list.problem}</span>`}${list.isAll ? html`<span class="quiet">${t("fleet_n_rows", { n: list.rows.length })}</span>` : html`<button onClick=${list.more} disabled=${list.isReading}>${t("fleet_read_more")}</button>`}</div>`;
}

/** @param {{label: string, value: string, choices: [string, string][], onChange: (value: string) => void}} props */
export function Choice({ label, value, choices, onChange }) {
  return html`<label class="choice">${label}<select value=${value} onChange=${(/** @type {Event} */ event) => onChange(/** @type {HTMLSelectElement} */ (event.currentTarget).value)}>
    ${choices.map(([key, words]) => html`<option value=${key} selected=${key === value}>${words}</option>`)}</select></label>`;
}

/** `value`, but changing at most every `ms`: a flood of news is not a flood of questions. @template T @param {T} value @param {number} [ms] @returns {T} */
export function useCalm(value, ms = 1500) {
  const [calm, setCalm] = useState(value);
  const state = useRef({ at: 0, later: /** @type {ReturnType<typeof setTimeout> | undefined} */ (undefined), value });
  state.current.value = value;
  useEffect(() => {
    const now = state.current;
    if (now.later !== undefined) return;
    const wait = Math.max(0, now.at + ms - performance.now());
    now.later = setTimeout(() => { now.later = undefined; now.at = performance.now(); setCalm(now.value); }, wait);
  }, [value]);
  useEffect(() => () => clearTimeout(state.current.later), []);
  return calm;
}
