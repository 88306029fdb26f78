// Around every page of the gateway's console: top bar, banners, sound, toasts. An alarm is told on every page, not on the duty screen alone.
import { ask } from "/ui/api.js";
import { Icon, Mark } from "/ui/shapes.js";
import { allow, isAudible, mutedS } from "/ui/sound.js";
import { isKiosk, otherTheme } from "/ui/theme.js";
import { dayText, hms, nowMs, serviceNow, skewS, span, stopwatch, tick } from "/ui/time.js";
import { Toasts } from "/ui/toast.js";
import { computed, effect, html, signal, useEffect } from "/ui/vendor/preact.js";
import { otherLanguage, pick, t } from "/ui/words.js";
import { ageS, beat, isKnown, isStale, isUnattended, may, me, shown } from "./desk.js";
import { beginSounding, painted, silence } from "./sounding.js";
import { keepUp } from "./kiosk.js";

/** Name, path, and the right it takes. @type {[string, string, string][]} */
const PAGES = [
  ["duty", "/", "watch"], ["replay", "/replay", "read_journal"], ["devices", "/devices", "watch"], ["handover", "/handover", "read_journal"], ["drills", "/drills", "test"],
  ["cameras", "/cameras", "calibrate"], ["people", "/people", "manage_users"],
];
/** @type {import("/ui/shapes.js").Priority[]} */
const PRIORITIES = ["P1", "P2", "P3", "P4"];
const WRONG_CLOCK_S = 30;

/** The priority the list is narrowed to; null for all. */
export const filter = signal(/** @type {import("/ui/shapes.js").Priority | null} */ (null));
const counts = computed(() => PRIORITIES.map((p) => shown.value.filter((alarm) => alarm.priority === p).length));
const clock = computed(() => (tick.value, beat.value ? hms(nowMs()) : ""));
const date = computed(() => (tick.value, dayText(nowMs())));

let isBegun = false;

/** @param {{page: string, children: unknown}} props */
export function Frame({ page, children }) {
  useEffect(() => {
    if (isBegun) return;
    isBegun = true;
    beginSounding();
    keepUp();
    effect(() => {
      const n = shown.value.filter(isUnattended).length;
      document.title = `${n ? `(${n}) ` : ""}${me.value?.estate ?? ""} · ${t("title")}`;
    });
    effect(() => { document.documentElement.classList.toggle("stale", isStale.value); });
  }, []);
  return html`<div class="frame"><${Top} page=${page} /><${Banners} page=${page} />${children}<${Toasts} /></div>`;
}

/** @param {{page: string}} props */
function Top({ page }) {
  const who = /** @type {import("./desk.js").Me} */ (me.value);
  return html`<header class="top">
    <div class="brand"><b>${who.estate}</b><span>${t("title")}<i> · ${who.name}</i></span></div>
    <nav class="chips" aria-label=${t("priorities")}>${PRIORITIES.map((p, at) => html`<${Chip} p=${p} n=${counts.value[at]} page=${page} />`)}</nav>
    ${!isKiosk && html`<nav class="pages" aria-label=${t("pages")}>${PAGES.filter(([, , right]) => may(right)).map(([name, path]) => html`<a href=${path} aria-current=${name === page ? "page" : undefined}>${t(`page_${name}`)}</a>`)}</nav>`}
    <span class="space"></span>
    <${Fleet} />
    <span class=${isStale.value ? "live bad" : "live"}><i></i>${t(isStale.value ? (isKnown.value ? "lost" : "connecting_short") : "live")}</span>
    <button class=${isAudible.value ? "silence" : "silence warned"} onClick=${silence} disabled=${isStale.value} title="M"><${Icon} name=${isAudible.value && !mutedS.value ? "sound" : "mute"} /><span>${mutedS.value ? t("muted", { s: mutedS.value }) : t("silence")}</span></button>
    <div class="clock"><b>${clock}</b><span>${date}</span></div>
    <${Menu} /></header>`;
}

/** @param {{p: import("/ui/shapes.js").Priority, n: number, page: string}} props */
function Chip({ p, n, page }) {
  const inner = html`<${Mark} p=${p} size=${20} look=${n ? "full" : "off"} /><span>${t(p.toLowerCase())}</span><b>${n}</b>`;
  const look = `chip ${p.toLowerCase()} ${n ? "has" : ""}`;
  if (page !== "duty") return html`<a class=${`button ${look}`} href="/">${inner}</a>`;
  return html`<button class=${look} aria-pressed=${filter.value === p} onClick=${() => { filter.value = filter.value === p ? null : p; }}>${inner}</button>`;
}

/** The way to the city's platform: named when something is wrong with it, quiet when not. */
function Fleet() {
  const fleet = beat.value?.fleet;
  if (!fleet || fleet.state === "off" || isStale.value) return null;
  if (fleet.state === "up") return html`<span class="live fleet"><${Icon} name="link" />${fleet.queued ? t("fleet_sending", { n: fleet.queued }) : t("fleet_up")}</span>`;
  const since = computed(() => (tick.value, stopwatch(serviceNow() - fleet.since_s)));
  // The label is a sentence; its first part says what is wrong.
  return html`<span class="boxed fleet" title=${pick(fleet.label)}><${Icon} name="cut" /><span><b>${pick(fleet.label).split(/[，;]/)[0]} ${since}</b><small><i>${t("fleet_local")}</i>${fleet.queued ? html`<i class="queued">${t("fleet_queued", { n: fleet.queued })}</i>` : ""}</small></span></span>`;
}

function Menu() {
  if (isKiosk) return null;
  return html`<details class="menu"><summary class="button" aria-label=${t("more")}><${Icon} name="more" /></summary><div class="card">
    <button onClick=${otherTheme}>${t("other_theme")}</button><button onClick=${otherLanguage} lang=${t("other_lang")}>${t("lang")}</button>
    <button onClick=${() => ask("POST", "/logout").catch(() => null).then(() => location.reload())}>${t("logout")}</button></div></details>`;
}

/** @param {{page: string}} props */
function Banners({ page }) {
  const now = beat.value;
  return html`<div class="banners">
    ${isStale.value && isKnown.value && html`<div class="banner stale" role="alert"><b>${t("stale", { s: Math.round(ageS.value) })}</b><span>${t("stale_more", { at: hms(now?.at) })}</span></div>`}
    ${isStale.value && !isKnown.value && html`<div class="banner stale" role="alert"><b>${t("never")}</b></div>`}
    ${!isAudible.value && html`<button class="banner warn blocked" onClick=${allow}>${t("sound_blocked")}</button>`}
    ${now?.is_storage_failing && html`<div class="banner warn" role="alert">${t("storage")}</div>`}
    ${now && !now.clock.synced && html`<div class="banner">${t("clock")}</div>`}
    ${Math.abs(skewS.value) > WRONG_CLOCK_S && html`<div class="banner">${t("skew", { s: span(Math.abs(skewS.value)) })}</div>`}
    ${page !== "duty" && html`<${Urgent} />`}</div>`;
}

/** What wants somebody now, on a page that does not show the list. */
function Urgent() {
  const urgent = shown.value.filter((alarm) => alarm.state === "unack" && (alarm.priority === "P1" || alarm.priority === "P2"))
    .sort((a, b) => Number(a.kind === "test") - Number(b.kind === "test")); // a drill takes no place from a real one
  useEffect(() => { for (const alarm of urgent.slice(0, 3)) painted(alarm); });
  if (urgent.length === 0) return null;
  return html`<div role="alert"><a class="banner alarm" href="/">${urgent.slice(0, 3).map((alarm) => html`<span>${alarm.kind === "test" ? `${t("kind_test")} · ` : ""}${t(alarm.priority.toLowerCase())} ${pick(alarm.label)} ${pick(alarm.place)}</span>`)}
    ${urgent.length > 3 && html`<span>${t("and_more", { n: urgent.length - 3 })}</span>`}<span>${t("go_to_duty")}</span></a></div>`;
}
