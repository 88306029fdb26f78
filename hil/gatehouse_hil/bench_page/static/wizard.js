// From a bare board to a labelled device: a slot for each place of the rig. Enter goes on in the slot that is chosen; 1 to 9 choose one.
import { listen } from "/ui/keys.js";
import { html, useEffect } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { Line } from "./command.js";
import { bench, isStale, run } from "./shop.js";
import { Materials } from "./materials.js";
import { Slot, canBegin, primary, roomOf, selected } from "./slot.js";

const TAKES_ENTER = ["BUTTON", "A", "SUMMARY", "INPUT", "TEXTAREA", "SELECT"];

export function Wizard() {
  useEffect(() => {
    const unlisten = listen(Array.from({ length: 9 }, (_, at) => ({ key: String(at + 1), words: "slot", does: () => choose(at) })));
    addEventListener("keydown", enter);
    return () => { unlisten(); removeEventListener("keydown", enter); };
  }, []);
  const slots = bench.value?.places ?? [];
  const ready = slots.filter(canBegin);
  return html`<div class="wizard">
    <${Materials} />
    ${ready.length > 1 && html`<div class="all"><p>${t("all_ready", { n: ready.length })}</p>
      <button onClick=${() => ready.forEach((slot) => begin(slot.place.name))} disabled=${isStale.value}>${t("begin_all", { n: ready.length })}</button></div>`}
    <div class=${`slots n${Math.min(slots.length, 4)}`}>${slots.map((slot, at) => html`<${Slot} key=${slot.place.name} slot=${slot} number=${at + 1} />`)}</div>
    <${Ports} />
  </div>`;
}

/** @param {string} board */
function begin(board) {
  return run({ verb: "make", board, room: roomOf(board) });
}

/** Ports that no place of the rig uses: a board that was plugged in somewhere else. */
function Ports() {
  const now = bench.value;
  const free = now?.ports.filter((port) => !port.board && port.path.match(/USB|ACM|by-id/)) ?? [];
  if (!now || now.backend !== "local") return null;
  return html`<section class="ports" aria-label=${t("ports_free")}><h2>${t("ports_free")}</h2>
    ${free.length === 0 ? html`<p class="quiet">${t("ports_none")}</p>` : html`<ul>${free.map((port) => html`<li key=${port.path}><p>${port.says}</p><${Line} line=${`- {name: ${unused(now)}, kind: gas, port: ${port.path}}`} /></li>`)}</ul><p class="quiet">${t("ports_do")}</p>`}
    <${Line} line="gatehouse-bench list" /></section>`;
}

/** A name no board has yet. @param {import("./shop.js").Bench} now */
function unused(now) {
  const taken = new Set(now.places.map((slot) => slot.place.name));
  for (let n = 1; ; n += 1) if (!taken.has(`board-${n}`)) return `board-${n}`;
}

/** @param {number} at */
function choose(at) {
  const slot = bench.value?.places[at];
  if (!slot) return;
  selected.value = slot.place.name;
  document.getElementById(`slot-${slot.place.name}`)?.focus();
}

/** @param {KeyboardEvent} event */
function enter(event) {
  const at = event.target;
  if (event.key !== "Enter" || event.repeat || event.ctrlKey || event.altKey || event.metaKey || isStale.value || document.querySelector("dialog[open]")) return;
  if (at instanceof HTMLElement && TAKES_ENTER.includes(at.tagName)) return;
  const slot = bench.value?.places.find((one) => one.place.name === selected.value) ?? (bench.value?.places.length === 1 ? bench.value.places[0] : null);
  const does = slot && primary(slot);
  if (!does) return;
  event.preventDefault();
  does();
}
