// Around every page: top bar, rail, banners, toasts. What is urgent is told on every page, and so is how old it is.
import { ask } from "/ui/api.js";
import { askFor, openDialog } from "/ui/dialog.js";
import { announce } from "/ui/live.js";
import { listen } from "/ui/keys.js";
import { Icon, Mark } from "/ui/shapes.js";
import { allow, allowOnTouch, isAudible, mute, mutedS, sound, unmute } from "/ui/sound.js";
import { isKiosk, otherTheme } from "/ui/theme.js";
import { dayText, hms, nowMs, skewS, span, tick } from "/ui/time.js";
import { refusal, toast, Toasts } from "/ui/toast.js";
import { computed, effect, html, useEffect, useState } from "/ui/vendor/preact.js";
import { otherLanguage, pick, t } from "/ui/words.js";
import { ageS, isKnown, isLoaded, isStale, heardMs, isUnattended, lights, may, me, PRIORITIES, shown, silent, watch } from "./known.js";
import { OverviewPage } from "./overview.js";
import { go, link, route } from "./route.js";
import { Ring } from "./signs.js";

/** @typedef {(props: {id: string}) => unknown} Page @typedef {() => Promise<Page>} Fetch a page is fetched when it is first wanted, or when nothing else is to do */
/** @typedef {{name: string, right: string | null, icon: string, key: string, content: Fetch, one?: Fetch}} Place */

const WRONG_CLOCK_S = 30;
const QUIET_MS = 4000;
/** @type {Place[]} */
const PLACES = [
  { name: "overview", right: "read_gateways", icon: "M4 4h7v7H4zM13 4h7v4h-7zM13 10h7v10h-7zM4 13h7v7H4z", key: "1", content: async () => OverviewPage },
  { name: "alarms", right: "read_alarms", icon: "M12 3 22 20H2zM12 10v5M12 17.5v.01", key: "2", content: () => import("./alarms.js").then((all) => all.AlarmsPage) },
  { name: "cases", right: "read_cases", icon: "M4 5h16v15H4zM8 3v4M16 3v4M8 12l3 3 5-6", key: "3", content: () => import("./cases.js").then((all) => all.CasesPage), one: () => import("./case.js").then((all) => all.CasePage) },
  { name: "gateways", right: "read_gateways", icon: "M4 14h16v6H4zM8 17h.01M12 17h4M7 14l2-9h6l2 9", key: "4", content: () => import("./gateways.js").then((all) => all.GatewaysPage), one: () => import("./gateway.js").then((all) => all.GatewayPage) },
  { name: "releases", right: "read_gateways", icon: "M12 3v12M7 8l5-5 5 5M4 15v5h16v-5", key: "5", content: () => import("./releases.js").then((all) => all.ReleasesPage), one: () => import("./rollout.js").then((all) => all.RolloutPage) },
  { name: "statistics", right: "read_statistics", icon: "M4 20V4M4 20h16M8 16v-4M12 16V8M16 16v-6", key: "6", content: () => import("./statistics.js").then((all) => all.StatisticsPage) },
  { name: "city", right: "manage_city", icon: "M4 20V10l5-3v13M9 20V4l7 4v12M16 20v-9l4 2v7M2 20h20", key: "7", content: () => import("./city.js").then((all) => all.CityPage) },
  { name: "people", right: "manage_people", icon: "M8 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2 20c0-4 2.500-6 6-6s6 2 6 6M16 11a3 3 0 1 0 0-6M17 14c3 .3 5 2.300 5 6", key: "8", content: () => import("./people.js").then((all) => all.PeoplePage) },
  { name: "audit", right: "read_audit", icon: "M5 3h10l4 4v14H5zM14 3v5h5M8 13h8M8 17h5", key: "9", content: () => import("./audit.js").then((all) => all.AuditPage) },
];
/** Pages without a place in the rail. @type {Record<string, {right: string, in: string, content: Fetch}>} */
const OTHERS = { trace: { right: "read_alarms", in: "alarms", content: () => import("./trace.js").then((all) => all.TracePage) }, handover: { right: "read_gateways", in: "overview", content: () => import("./handover.js").then((all) => all.HandOverPage) } };

const clock = computed(() => (tick.value, hms(nowMs())));
const date = computed(() => (tick.value, dayText(nowMs())));
const mine = computed(() => (me.value, PLACES.filter((place) => place.right === null || may(place.right))));

let isBegun = false;

export function Frame() {
  useEffect(() => {
    if (isBegun) return;
    isBegun = true;
    allowOnTouch();
    allow();
    setTimeout(fetchAll, QUIET_MS);
    effect(() => {
      const n = shown.value.filter((one) => isUnattended(one) && one.priority < "P3").length;
      document.title = `${n ? `(${n}) ` : ""}${t("fleet_title")}`;
    });
    effect(() => { document.documentElement.classList.toggle("stale", isStale.value); });
    watch((alarm, before) => {
      if (before || alarm.priority > "P2" || alarm.kind === "test") return;
      announce(`${t(alarm.priority.toLowerCase())} ${pick(alarm.words)} ${alarm.node_name}`);
      unmute();
    });
    // A gateway that falls silent is told once; alarms sound until somebody has them; silence of the server is told again and again.
    let quiet = new Set(silent.peek().map((one) => one.id));
    silent.subscribe((now) => {
      const fresh = now.filter((one) => one.presence === "silent" && !quiet.has(one.id));
      quiet = new Set(now.map((one) => one.id));
      if (isKnown.peek() && fresh.length) { announce(t("fleet_went_silent", { n: fresh.length, names: fresh.slice(0, 3).map((one) => one.id).join("、") })); sound(null); sound("chime"); }
    });
    effect(() => {
      tick.value;
      if (isStale.value) return sound(isKnown.value ? "stale" : null);
      const worst = shown.value.find((one) => isUnattended(one) && one.priority < "P3");
      return worst ? sound(worst.priority) : undefined;
    });
    listen([
      ...PLACES.map((place) => ({ key: place.key, words: t(`fleet_page_${place.name}`), does: () => { if (mine.value.includes(place)) go(link(place.name)); } })),
      { key: "m", words: t("silence"), does: () => mute() },
      { key: "/", words: t("fleet_search"), does: () => /** @type {HTMLElement | null} */ (document.querySelector("main input[type=search]"))?.focus() },
      { key: "?", words: t("fleet_help"), does: help },
    ]);
  }, []);
  return html`<div class="frame"><${Top} /><${Banners} /><div class="below"><${Rail} /><${Content} /></div><${Toasts} /></div>`;
}

function Content() {
  const { page, id } = route.value;
  const place = PLACES.find((one) => one.name === page);
  const right = place ? place.right : OTHERS[page]?.right;
  if (!place && !OTHERS[page]) return html`<main class="empty"><b>${t("fleet_no_page")}</b><a class="button" href=${link(mine.value[0]?.name ?? "overview")}>${t(`fleet_page_${mine.value[0]?.name ?? "overview"}`)}</a></main>`;
  // What the server would refuse is not asked for.
  if (right && !may(right)) return html`<main class="empty"><b>${t("fleet_not_allowed")}</b>${mine.value[0] && html`<a class="button" href=${link(mine.value[0].name)}>${t(`fleet_page_${mine.value[0].name}`)}</a>`}</main>`;
  return html`<${Fetched} fetch=${place ? (id && place.one) || place.content : OTHERS[page].content} key=${`${page}/${id}`} id=${id} />`;
}

/** @type {Map<Fetch, Page>} */
const fetched = new Map([[PLACES[0].content, OverviewPage]]);

/** @param {{fetch: Fetch, id: string}} props */
function Fetched({ fetch, id }) {
  const [, again] = useState(0);
  const Page = fetched.get(fetch);
  useEffect(() => {
    if (Page) return;
    keep(fetch).then(() => again(1), () => again(2));
  }, []);
  return Page ? html`<${Page} id=${id} />` : html`<main class="page"><p class="quiet pad">${t("fleet_reading")}</p></main>`;
}

/** @param {Fetch} fetch */
async function keep(fetch) {
  if (!fetched.has(fetch)) fetched.set(fetch, await fetch());
}

/** Every page is there before the server is gone: later nothing could be fetched any more. */
async function fetchAll() {
  for (const place of [...mine.value, ...Object.values(OTHERS)]) for (const fetch of [place.content, "one" in place ? place.one : undefined]) if (fetch) await keep(fetch).catch(() => {});
}

function Top() {
  const who = /** @type {import("./known.js").Me} */ (me.value);
  return html`<header class="top">
    <div class="brand"><b>${t("fleet_title")}</b><span>${who.full_name} · ${pick({ zh: who.role_label, en: who.role_label_en })}</span></div>
    ${may("read_alarms") && html`<nav class="chips" aria-label=${t("fleet_counts")}>${PRIORITIES.map((p) => html`<${Chip} p=${p} />`)}</nav>`}
    <${States} /><span class="space"></span>
    <span class=${isStale.value ? "live bad" : "live"}><i></i>${t(isStale.value ? (isKnown.value ? "lost" : "connecting_short") : "live")}</span>
    ${may("read_alarms") && html`<button class="sounding" onClick=${() => (isAudible.value ? mute() : allow())} title="M" aria-label=${t("silence")}><${Icon} name=${isAudible.value && !mutedS.value ? "sound" : "mute"} /><span>${isAudible.value ? (mutedS.value ? t("muted", { s: mutedS.value }) : t("silence")) : t("fleet_sound_off")}</span></button>`}
    <div class="clock"><b>${clock}</b><span>${date}</span></div><${Menu} /></header>`;
}

/** @param {{p: import("/ui/shapes.js").Priority}} props */
function Chip({ p }) {
  const all = shown.value.filter((one) => one.priority === p);
  const n = all.length;
  return html`<a class=${`button chip ${p.toLowerCase()} ${n ? "has" : ""}`} href=${link("alarms", "", { priority: p })}>
    <${Mark} p=${p} size=${20} look=${n ? "full" : "off"} /><span>${t(p.toLowerCase())}</span><b>${isKnown.value ? n : "–"}</b></a>`;
}

/** Silent gateways and overdue cases: they weigh as much as alarms. */
function States() {
  const n = silent.value.filter((one) => one.presence === "silent").length;
  const red = lights.value?.red ?? 0;
  return html`<nav class="chips states" aria-label=${t("fleet_states")}>
    <a class=${`button chip ${n ? "has silent" : ""}`} href=${link("gateways", "", { presence: "silent" })}><${Ring} isOff=${!n} /><span>${t("fleet_silent_gateways")}</span><b>${isKnown.value ? n : "–"}</b></a>
    ${may("read_cases") && html`<a class=${`button chip ${red ? "has overdue" : ""}`} href=${link("cases", "", { light: "red" })}><i class=${`lamp ${red ? "red" : "off"}`}></i><span>${t("fleet_overdue_cases")}</span><b>${lights.value ? red : "–"}</b></a>`}</nav>`;
}

function Rail() {
  const { page } = route.value;
  const here = OTHERS[page]?.in ?? page;
  return html`<nav class="rail" aria-label=${t("pages")}>${mine.value.map((place) => html`<a href=${link(place.name)} aria-current=${place.name === here ? "page" : undefined} title=${place.key}>
    <svg class="icon" width="22" height="22" viewBox="0 0 24 24" aria-hidden="true"><path d=${place.icon} /></svg><span>${t(`fleet_page_${place.name}`)}</span></a>`)}</nav>`;
}

function Menu() {
  if (isKiosk) return null;
  return html`<details class="menu"><summary class="button" aria-label=${t("more")}><${Icon} name="more" /></summary><div class="card">
    <a class="button" href=${link("handover")}>${t("fleet_page_handover")}</a><button onClick=${help}>${t("fleet_help")} <kbd>?</kbd></button>
    <button onClick=${otherTheme}>${t("other_theme")}</button><button onClick=${otherLanguage} lang=${t("other_lang")}>${t("lang")}</button>
    <button onClick=${changePassword}>${t("fleet_own_password")}</button><button onClick=${() => ask("POST", "/logout").catch(() => null).then(() => location.reload())}>${t("logout")}</button></div></details>`;
}

async function changePassword() {
  const said = await askFor(t("fleet_own_password"), { old: { label: t("fleet_old_password"), type: "password" }, new: { label: t("fleet_new_password_is"), type: "password", hint: t("fleet_password_hint", { n: 10 }) } });
  if (said) ask("PUT", "/me/password", said).then(() => toast(t("fleet_done_now")), refusal);
}

function help() {
  const rows = [...mine.value.map((place) => [place.key, t(`fleet_page_${place.name}`)]), ["/", t("fleet_search")], ["J K", t("fleet_key_move")], ["Enter", t("fleet_key_open")], ["H", t("fleet_halt")], ["M", t("silence")], ["Esc", t("fleet_key_close")]];
  openDialog(t("fleet_help"), html`<dl class="facts keys">${rows.map(([key, words]) => html`<dt><kbd>${key}</kbd></dt><dd>${words}</dd>`)}</dl><form method="dialog" class="buttons"><button class="strong">${t("done")}</button></form>`);
}

function Banners() {
  return html`<div class="banners">
    ${isStale.value && isKnown.value && html`<div class="banner stale" role="alert"><b>${t("fleet_stale", { s: Math.round(ageS.value) })}</b><span>${t("fleet_stale_more", { at: hms(heardMs.value) })}</span></div>`}
    ${isStale.value && !isKnown.value && html`<div class="banner stale" role="alert"><b>${t(isLoaded.value ? "fleet_connecting_live" : "fleet_connecting")}</b></div>`}
    ${Math.abs(skewS.value) > WRONG_CLOCK_S && html`<div class="banner">${t("fleet_skew", { s: span(Math.abs(skewS.value)) })}</div>`}
    ${!["overview", "alarms"].includes(route.value.page) && may("read_alarms") && html`<${Urgent} />`}</div>`;
}

/** What wants somebody now, on a page that does not show the list. */
function Urgent() {
  const urgent = shown.value.filter((one) => one.state === "unack" && one.priority === "P1");
  if (!urgent.length) return null;
  return html`<a class="banner alarm" href=${link("overview")}>${urgent.slice(0, 3).map((one) => html`<span><b>${pick(one.words)}</b> <bdi>${one.node_name}</bdi></span>`)}
    ${urgent.length > 3 && html`<span>${t("and_more", { n: urgent.length - 3 })}</span>`}</a>`;
}
