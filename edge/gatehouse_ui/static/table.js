// A table of any length: only the rows in sight are in the page. Rows have one height; the head stays.
import { html, useEffect, useLayoutEffect, useRef, useState } from "./vendor/preact.js";

/**
 * @template Row
 * @typedef {{key: string, title: string, cell: (row: Row) => unknown, width?: string, isNumber?: boolean, sort?: (a: Row, b: Row) => number}} Column
 */

const SPARE = 6;

/**
 * @template Row
 * @param {{rows: Row[], columns: Column<Row>[], rowKey: (row: Row) => string, label: string, height?: number, rowClass?: (row: Row) => string,
 *   onOpen?: (row: Row) => void, selected?: string | null, sorted?: {key: string, isDown: boolean}, onSort?: (key: string) => void}} props
 */
export function Table({ rows, columns, rowKey, label, height = 44, rowClass = () => "", onOpen, selected = null, sorted, onSort }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [view, setView] = useState({ top: 0, tall: 800 });
  useLayoutEffect(() => {
    const node = /** @type {HTMLDivElement} */ (box.current);
    const look = () => setView({ top: node.scrollTop, tall: node.clientHeight });
    const watcher = new ResizeObserver(look);
    watcher.observe(node);
    return () => watcher.disconnect();
  }, []);
  const first = Math.max(0, Math.floor(view.top / height) - SPARE);
  const last = Math.min(rows.length, Math.ceil((view.top + view.tall) / height) + SPARE);
  useEffect(() => {
    const at = selected === null ? -1 : rows.findIndex((row) => rowKey(row) === selected);
    const node = box.current;
    if (at < 0 || !node) return;
    if (at * height < node.scrollTop) node.scrollTop = at * height;
    else if ((at + 2) * height > node.scrollTop + node.clientHeight) node.scrollTop = (at + 2) * height - node.clientHeight;
  }, [selected]);
  const grid = { gridTemplateColumns: columns.map((column) => column.width ?? "minmax(0, 1fr)").join(" ") };
  return html`<div class="table" role="table" aria-label=${label} aria-rowcount=${rows.length + 1} ref=${box}
      onScroll=${(/** @type {Event} */ event) => { const node = /** @type {HTMLDivElement} */ (event.currentTarget); setView({ top: node.scrollTop, tall: node.clientHeight }); }} tabindex="0">
    <div class="tr head" role="row" aria-rowindex="1" style=${grid}>${columns.map((column) => html`
      <div role="columnheader" class=${column.isNumber ? "number" : ""} aria-sort=${sorted?.key === column.key ? (sorted.isDown ? "descending" : "ascending") : undefined}>
        ${onSort && column.sort ? html`<button class="plain" onClick=${() => onSort(column.key)}>${column.title}${sorted?.key === column.key ? (sorted.isDown ? " ↓" : " ↑") : ""}</button>` : column.title}</div>`)}</div>
    <div role="rowgroup" style=${{ height: `${rows.length * height}px`, position: "relative" }}>
      ${rows.slice(first, last).map((row, at) => html`<div key=${rowKey(row)} role="row" aria-rowindex=${first + at + 2} data-key=${rowKey(row)}
        class=${`tr ${rowClass(row)} ${rowKey(row) === selected ? "on" : ""} ${onOpen ? "opens" : ""}`} style=${{ ...grid, top: `${(first + at) * height}px`, height: `${height}px` }}
        onClick=${onOpen && (() => onOpen(row))}>
        ${columns.map((column) => html`<div role="cell" class=${column.isNumber ? "number" : ""}>${column.cell(row)}</div>`)}</div>`)}
    </div></div>`;
}
