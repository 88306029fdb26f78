// One slot of the wizard: what is to be done now, large; what has been done, small beside it; the line that does it, below.
import { confirm, openDialog } from "/ui/dialog.js";
import { Icon } from "/ui/shapes.js";
import { stopwatch, when } from "/ui/time.js";
import { toast } from "/ui/toast.js";
import { html, signal } from "/ui/vendor/preact.js";
import { pick, t } from "/ui/words.js";
import { Line } from "./command.js";
import { mend } from "./frame.js";
import { bench, cancel, handsDone, isStale, run, runAndTell, secondsSince, watchOf } from "./shop.js";

/** @typedef {import("./shop.js").Slot} SlotState @typedef {import("./shop.js").Run} Run @typedef {import("./shop.js").Step} Step */

const STEPS = ["flash", "identify", "provision", "self_test", "test", "calibrate", "label"];
const SINGLE = ["identify", "flash", "provision", "test", "calibrate"];
/** Faults after which the same board may be made anew, if that is meant. */
const TAKE_OVER = ["wrong_kind", "other_serial"];
/** Faults of the rig, not of the board: somebody has to say what was mended. */
const OF_THE_RIG = ["rig_broken", "power_stays_on", "instrument_silent"];

export const selected = signal(localStorage.getItem("slot") ?? "");
selected.subscribe((name) => localStorage.setItem("slot", name));

/** Rooms as they were typed or scanned, and runs whose end has been taken note of; kept over a reload. */
const rooms = signal(kept("rooms"));
const noted = signal(kept("noted"));

/** @param {string} name @returns {Record<string, string>} */
function kept(name) {
  try {
    return JSON.parse(localStorage.getItem(name) ?? "{}");
  } catch {
    return {};
  }
}

/** @param {typeof rooms} store @param {string} name @param {string} board @param {string} value */
function keep(store, name, board, value) {
  store.value = { ...store.value, [board]: value };
  localStorage.setItem(name, JSON.stringify(store.value));
}

/** @param {string} board */
export function roomOf(board) {
  return rooms.value[board] ?? "";
}

/** What the slot is at. @param {SlotState} slot @returns {"plug" | "ready" | "running" | "hands" | "passed" | "failed"} */
function phase({ place, run: last }) {
  if (last?.state === "running") return last.asked ? "hands" : "running";
  if (last && noted.value[place.name] !== last.id) return last.state === "passed" ? "passed" : "failed";
  return place.is_present === false ? "plug" : "ready";
}

/** @param {SlotState} slot */
export function canBegin(slot) {
  return phase(slot) === "ready" && !watchOf(slot.place.name);
}

/** What Enter does in this slot; null while there is nothing to do but wait. @param {SlotState} slot @returns {(() => unknown) | null} */
export function primary(slot) {
  const { place, run: last } = slot;
  switch (phase(slot)) {
    case "ready": return () => make(place.name);
    case "hands": return last && (() => handsDone(last));
    case "passed": return last && (() => next(slot));
    case "failed": return last && (() => again(last));
    default: return null;
  }
}

/** @param {string} board @param {Record<string, unknown>} [more] */
function make(board, more = {}) {
  return run({ verb: "make", board, room: roomOf(board), ...more });
}

/** @param {Run} last */
function again(last) {
  return run({ verb: last.verb, board: last.board, room: roomOf(last.board) });
}

/** The next board: this run has been taken note of, and its room is used up. @param {SlotState} slot */
function next(slot) {
  const { place, run: last } = slot;
  if (last) keep(noted, "noted", place.name, last.id);
  keep(rooms, "rooms", place.name, "");
}

/** @param {{slot: SlotState, number: number}} props */
export function Slot({ slot, number }) {
  const { place, run: last } = slot;
  const at = phase(slot);
  const shown = at === "ready" || at === "plug" ? null : last;
  const choose = () => { selected.value = place.name; };
  return html`<section class=${`slot is-${at} ${selected.value === place.name ? "is-chosen" : ""}`} id=${`slot-${place.name}`} tabindex="-1" aria-label=${`${place.name} ${t(`kind_${place.kind}`)}`}
      onFocusIn=${choose} onPointerDown=${choose}>
    <header><span class="number" aria-hidden="true">${number}</span><h2>${t(`kind_${place.kind}`)} <small>${place.name}</small></h2>
      <span class="space"></span><span class="where">${place.is_present === false ? t("port_gone") : place.at === "simulated" ? t("port_simulated") : place.at}</span></header>
    <div class="body">
      <${Steps} run=${shown} />
      <div class="now">${at === "plug" ? html`<${Plug} slot=${slot} />`
        : at === "ready" ? html`<${Ready} slot=${slot} />`
        : at === "running" ? html`<${Running} run=${/** @type {Run} */ (last)} />`
        : at === "hands" ? html`<${Hands} run=${/** @type {Run} */ (last)} />`
        : at === "passed" ? html`<${Passed} slot=${slot} run=${/** @type {Run} */ (last)} />`
        : html`<${Failed} slot=${slot} run=${/** @type {Run} */ (last)} />`}</div>
    </div>
    ${shown && html`<${Line} line=${shown.command} />`}
  </section>`;
}

/** @param {{run: Run | null}} props */
function Steps({ run: last }) {
  const steps = last?.steps ?? STEPS.map((name) => /** @type {Step} */ ({ name, state: "waiting", share: 0, began_s: 0, took_s: 0 }));
  return html`<ol class="steps">${steps.map((step, at) => html`<li key=${step.name} class=${`is-${step.state}`} aria-current=${step.state === "running" ? "step" : undefined}>
    <${StepMark} step=${step} number=${at + 1} /><span>${t(`step_${step.name}`)}</span>
    ${step.state === "running" ? html`<b>${Math.round(step.share * 100)}%</b>` : step.took_s > 0 && html`<small>${t("seconds", { s: step.took_s.toFixed(1) })}</small>`}
    ${step.state === "running" && html`<i class="bar"><i style=${{ width: `${step.share * 100}%` }}></i></i>`}</li>`)}</ol>`;
}

/** @param {{step: Step, number: number}} props */
function StepMark({ step, number }) {
  const words = step.state === "passed" ? "✓" : step.state === "failed" ? "✗" : String(number);
  return html`<span class="dot" role="img" aria-label=${t(`step_is_${step.state}`)}>${words}</span>`;
}

/** @param {{slot: SlotState}} props */
function Plug({ slot }) {
  return html`<div class="say"><h3>${t("plug_board")}</h3><p>${t("plug_where", { at: slot.place.at })}</p></div>`;
}

/** @param {{slot: SlotState}} props */
function Ready({ slot }) {
  const { name } = slot.place;
  const watch = watchOf(name);
  const id = `room-${name}`;
  return html`<form class="ready" onSubmit=${(/** @type {SubmitEvent} */ event) => { event.preventDefault(); make(name); }}>
    <label for=${id}>${t("room")}<input id=${id} value=${roomOf(name)} maxlength="64" autocomplete="off" spellcheck="false" placeholder=${t("room_hint")}
      onInput=${(/** @type {InputEvent} */ event) => keep(rooms, "rooms", name, /** @type {HTMLInputElement} */ (event.target).value)} /></label>
    <button class="strong big" disabled=${isStale.value}>${t("begin")} <kbd>Enter</kbd></button>
    ${watch && html`<p class="quiet">${t("watch_will_stop", { verb: t(`verb_${watch.verb}`) })}</p>`}
    <${More} slot=${slot} />
  </form>`;
}

/** Single steps and instruments, for whoever knows which. @param {{slot: SlotState}} props */
function More({ slot }) {
  const { name, kind } = slot.place;
  return html`<details class="more"><summary class="button">${t("single_steps")}</summary><div class="card">
    ${SINGLE.filter((verb) => verb !== "calibrate" || kind === "gas" || (kind === "lift" && bench.value?.materials.has_floors)).map((verb) => html`<button type="button" key=${verb} disabled=${isStale.value} onClick=${() => (verb === "identify" ? identify(name) : run({ verb, board: name, room: roomOf(name) }))}>${t(`verb_${verb}`)}</button>`)}
    <a class="button" href=${`#/console/${name}`}>${t("tab_console")}</a>${kind === "gas" && html`<a class="button" href=${`#/registers/${name}`}>${t("tab_registers")}</a>`}</div></details>`;
}

/** Ask the board who it is, and show it. @param {string} board */
async function identify(board) {
  toast(t("identifying"));
  const told = await runAndTell({ verb: "identify", board });
  const found = told?.boards[0]?.identity;
  if (!found) return;
  const facts = { chip: found.chip, mac: found.mac, serial: found.serial, application: [found.kind, found.version, found.slot].filter(Boolean).join(" · "), micropython: found.micropython };
  openDialog(board, html`<dl class="facts"><dt>${t("board_state")}</dt><dd>${t(`board_${found.state}`)}</dd>
    ${Object.entries(facts).map(([name, value]) => html`<dt key=${name}>${t(`fact_${name}`)}</dt><dd class="mono">${value || "–"}</dd>`)}</dl>`);
}

/** @param {string} serial */
async function print(serial) {
  if (await runAndTell({ verb: "label", serial, is_printed: true })) toast(t("printed"));
}

/** @param {{run: Run}} props */
function Running({ run: last }) {
  const step = last.steps.find((one) => one.state === "running");
  const isWriting = step?.name === "flash";
  return html`<div class="say"><h3>${step ? t(`doing_${step.name}`) : t("doing_prepare")}</h3>
    <p class="clockwork">${stopwatch(secondsSince(last.began_at))}${last.room && html` · ${last.room}`}</p>
    ${isWriting && html`<p class="keep">${t("keep_plugged")}</p>`}
    ${isWriting && html`<p class="said mono">${last.said.at(-1) ?? ""}</p>`}</div>
    <div class="do"><button onClick=${() => stop(last, isWriting)} disabled=${isStale.value}>${t("stop")}</button></div>`;
}

/** @param {Run} last @param {boolean} isWriting */
async function stop(last, isWriting) {
  const isMeant = await confirm(t("stop_title", { board: last.board }), { text: t(isWriting ? "stop_writing" : "stop_plain"), done: t("stop"), isDanger: true });
  if (isMeant) await cancel(last.id);
}

/** @param {{run: Run}} props */
function Hands({ run: last }) {
  return html`<div class="say hands"><p class="quiet">${t("hands_wanted")}</p><h3>${pick(last.asked)}</h3></div>
    <div class="do"><button class="strong big" onClick=${() => handsDone(last)} disabled=${isStale.value}>${t("hands_done")} <kbd>Enter</kbd></button>
    <button onClick=${() => stop(last, false)} disabled=${isStale.value}>${t("stop")}</button></div>`;
}

/** @param {{slot: SlotState, run: Run}} props */
function Passed({ slot, run: last }) {
  const end = /** @type {import("./shop.js").Ended} */ (last.ended);
  const canPrint = bench.value?.has_printer;
  return html`<div class="result"><div><h3><${Icon} name="check" size=${30} />${t("run_passed")}</h3>
      <p class="serial mono">${end.serial}</p><p>${last.room ? `${t("room")} ${last.room} · ` : ""}${when(end.ended_at)}</p>
      ${end.trouble && html`<p class="trouble">${end.trouble}</p>`}</div>
    ${end.has_label && html`<img class="sticker" src=${`/api/labels/${end.serial}.svg`} alt=${t("label_of", { serial: end.serial })} width="200" height="150" />`}</div>
    <div class="do"><button class="strong big" onClick=${() => next(slot)}>${t("next_board")} <kbd>Enter</kbd></button>
      ${end.has_label && (canPrint
        ? html`<button onClick=${() => print(end.serial)} disabled=${isStale.value}>${t("print_label")}</button>`
        : html`<a class="button" href=${`/api/labels/${end.serial}.svg`} target="_blank" rel="noopener">${t("open_label")}</a>`)}
      <a class="button" href=${`#/matrix/${end.serial}`}>${t("see_record")}</a></div>`;
}

/** @param {{slot: SlotState, run: Run}} props */
function Failed({ slot, run: last }) {
  const { ended: end } = last;
  const failed = last.steps.find((step) => step.state === "failed");
  const isOfRig = end && OF_THE_RIG.includes(end.fault);
  const words = pick(end) || t(`run_${last.state}_do`);
  return html`<div class="say failed"><h3><span aria-hidden="true">✗</span>${t(`run_${last.state}`)}${failed && ` · ${t(`step_${failed.name}`)}`}</h3><p class="sentence">${words}</p></div>
    <div class="do">
      ${isOfRig ? html`<button class="strong big" onClick=${() => mend(end.facts.part)} disabled=${isStale.value}>${t("bench_mended")}</button>
          <button onClick=${() => again(last)} disabled=${isStale.value}>${t("again")}</button>`
        : html`<button class="strong big" onClick=${() => again(last)} disabled=${isStale.value}>${t("again")} <kbd>Enter</kbd></button>`}
      ${end && TAKE_OVER.includes(end.fault) && html`<button onClick=${() => takeOver(last)} disabled=${isStale.value}>${t("take_over")}</button>`}
      <button onClick=${() => next(slot)}>${t("other_board")}</button>
      ${end?.record ? html`<a class="button" href=${`#/matrix/${end.serial}`}>${t("see_record")}</a>` : null}</div>`;
}

/** @param {Run} last */
async function takeOver(last) {
  const isMeant = await confirm(t("take_over"), { text: t("take_over_text"), done: t("take_over"), isDanger: true });
  if (isMeant) await run({ verb: last.verb, board: last.board, room: roomOf(last.board), take_over: true });
}
// words: board_loader board_runtime board_application fact_chip fact_mac fact_serial fact_application fact_micropython
// words: run_passed run_failed run_cancelled run_lost run_cancelled_do run_lost_do run_failed_do
