// 值守, the duty screen.
import { ask } from "/ui/api.js";
import { openDialog } from "/ui/dialog.js";
import { listen } from "/ui/keys.js";
import { html, useEffect } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { actByKey } from "./actions.js";
import { AlarmList, current, move } from "./alarm_list.js";
import { devices, may } from "./desk.js";
import { Detail } from "./detail.js";
import { buildings, Facade } from "./facade.js";
import { filter } from "./frame.js";
import { sought } from "./search.js";
import { silence } from "./sounding.js";
import { start } from "./start.js";
import { Valves } from "./valves.js";

/** @typedef {import("/ui/shapes.js").Priority} Priority */

/** @type {import("/ui/keys.js").Key[]} */
const KEYS = [
  { key: "j", words: "key_down", does: () => move(1) },
  { key: "k", words: "key_up", does: () => move(-1) },
  ...["A", "S", "N", "R"].map((key) => ({ key: key.toLowerCase(), words: `key_${key.toLowerCase()}`, does: () => actByKey(current.peek(), key) })),
  { key: "m", words: "key_m", does: silence },
  { key: "p", words: "key_p", does: () => { if (may("read_journal")) open("/handover", "_blank", "noopener"); else print(); } },
  ...["0", "1", "2", "3", "4"].map((n) => ({ key: n, words: "key_filter", does: () => { filter.value = n === "0" ? null : /** @type {Priority} */ (`P${n}`); } })),
  { key: "/", words: "key_search", does: () => document.getElementById("search")?.focus() },
  { key: "?", words: "key_help", does: help },
];

function help() {
  const rows = KEYS.filter((key) => key.words !== "key_filter").map((key) => [key.key.toUpperCase(), t(key.words)]);
  openDialog(t("keys_title"), html`<dl class="facts">${[...rows, ["0–4", t("key_filter")], ["Esc", t("key_escape")]].map(([key, words]) => html`<dt><kbd>${key}</kbd></dt><dd>${words}</dd>`)}</dl>`);
}

function Duty() {
  useEffect(() => listen(KEYS), []);
  return html`<main class="duty"><div class="left"><div class="stage"><${Facade} /><${Health} /></div><${Valves} /><${Detail} /></div><${AlarmList} /></main>`;
}

/** How many of what are watched, and how many of them cannot be heard. */
function Health() {
  const all = [...devices.value.values()];
  const groups = [["watched_gas", "gas"], ["watched_button", "button"], ["watched_lift", "lift"], ["watched_camera", "camera"]].map(([words, kind]) => ({ words, list: all.filter((device) => device.kind === kind) }));
  return html`<div class="health">${groups.filter((group) => group.list.length > 0).map(({ words, list }) => {
    const silent = list.filter((device) => device.state === "silent" || device.state === "unknown").length;
    const faulty = list.filter((device) => device.state === "fault").length;
    return html`<span><em>${t(words)}</em> <b>${list.length}</b>${silent > 0 && html`<i class="pill dashed">${t("state_silent")} ${silent}</i>`}${faulty > 0 && html`<i class="pill fault">${t("state_fault")} ${faulty}</i>`}</span>`;
  })}<span class="space"></span>
    <input id="search" type="search" placeholder=${t("search")} aria-label=${t("search")} value=${sought} onInput=${(/** @type {InputEvent} */ event) => { sought.value = /** @type {HTMLInputElement} */ (event.target).value; }}
      onKeyDown=${(/** @type {KeyboardEvent} */ event) => { if (event.key === "Escape") { sought.value = ""; /** @type {HTMLInputElement} */ (event.target).blur(); } }} /></div>`;
}

await start({ name: "duty", sections: [], content: Duty, prepare: async () => { buildings.value = (await ask("GET", "/site")).buildings; } });
