// 总览: where help is needed now. Silent gateways first, districts by their worst, the map, and the alarms as they come.
import { Mark } from "/ui/shapes.js";
import { nowMs, span, tick, when } from "/ui/time.js";
import { html, signal, useComputed } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { AlarmCard } from "./alarm_card.js";
import { awayMark, byGateway, communities, districts, gatewayCount, isBad, isCut, isKnown, isStale, heardMs, lights, may, nameOf, ofGateway, open, PRIORITIES, shown, silent, standing, standings, worseFirst } from "./known.js";
import { FleetMap } from "./map.js";
import { link, narrow, route } from "./route.js";
import { Ring } from "./signs.js";

/** @typedef {import("./known.js").Community} Community @typedef {import("./known.js").Standing} Standing */

const MOST_CARDS = 40;
const MOST_SILENT = 12;
const MOST_ROWS = 60;
const isWide = signal(false);

export function OverviewPage() {
  const chosen = Number(route.value.query.district) || null;
  const one = Number(route.value.query.community) || null;
  return html`<main class=${`overview ${may("read_alarms") ? "" : "without"}`}><h1 class="unseen">${t("fleet_page_overview")}</h1>
    <section class="side" aria-label=${t("fleet_districts")}><${Districts} chosen=${chosen} one=${one} /></section>
    <section class="middle" aria-label=${t("fleet_map")}><${FleetMap} district=${chosen} community=${one} onChoose=${(/** @type {number | null} */ id) => narrow({ community: id })} /><${Figures} /></section>
    ${may("read_alarms") && html`<section class="feed" aria-label=${t("alarms")}><${Feed} district=${chosen} community=${one} /></section>`}</main>`;
}

/** @param {{chosen: number | null, one: number | null}} props */
function Districts({ chosen, one }) {
  if (!isKnown.value) return html`<p class="quiet pad">${t("fleet_reading")}</p>`;
  const all = [...communities.value.values()];
  const rows = districts.value.map((district) => ({ district, inside: all.filter((each) => each.district_id === district.id) }))
    .map((row) => ({ ...row, standing: standing(row.inside) })).sort((a, b) => worseFirst(a.standing, b.standing) || nameOf(a.district).localeCompare(nameOf(b.district)));
  const outside = all.filter((each) => each.district_id === null);
  return html`<${Silent} />
    <header class="listhead"><h2>${t("fleet_districts")}</h2><span class="quiet">${t("fleet_worst_first")}</span></header>
    <ul class="places">${rows.map(({ district, standing: stands, inside }) => html`<li key=${district.id}>
      <button class=${`place ${district.id === chosen ? "on" : ""}`} aria-expanded=${district.id === chosen} onClick=${() => narrow({ district: district.id === chosen ? null : district.id, community: null })}>
        <span class="name"><b>${nameOf(district)}</b><small>${t("fleet_n_communities", { n: inside.length })}</small></span><${Stands} one=${stands} /></button>
      ${district.id === chosen && html`<${Communities} some=${inside} one=${one} />`}</li>`)}
      ${outside.length > 0 && html`<li key="none"><${Communities} some=${outside} one=${one} /></li>`}</ul>
    ${chosen === null && html`<${Worst} all=${all} one=${one} />`}
    ${!rows.length && !outside.length && html`<p class="quiet pad">${t("fleet_no_places")}</p>`}`;
}

/** @param {{some: Community[], one: number | null}} props */
function Communities({ some, one }) {
  const known = standings.value;
  const rows = [...some].sort((a, b) => worseFirst(/** @type {Standing} */ (known.get(a.id)), /** @type {Standing} */ (known.get(b.id))) || nameOf(a).localeCompare(nameOf(b)));
  return html`<ul class="places inner">${rows.slice(0, MOST_ROWS).map((each) => html`<li key=${each.id}><button class=${`place ${each.id === one ? "on" : ""}`} aria-pressed=${each.id === one} onClick=${() => narrow({ community: each.id === one ? null : each.id })}>
      <span class="name"><bdi>${nameOf(each)}</bdi></span><${Stands} one=${known.get(each.id)} /></button></li>`)}
    ${rows.length > MOST_ROWS && html`<li class="quiet pad">${t("and_more", { n: rows.length - MOST_ROWS })}</li>`}</ul>`;
}

/** Communities in which something is wrong, whatever their district. @param {{all: Community[], one: number | null}} props */
function Worst({ all, one }) {
  const known = standings.value;
  const rows = all.filter((each) => isBad(/** @type {Standing} */ (known.get(each.id))));
  if (!rows.length) return null;
  return html`<header class="listhead"><h2>${t("fleet_need_help")}</h2><span class="quiet">${t("fleet_n_communities", { n: rows.length })}</span></header><${Communities} some=${rows} one=${one} />`;
}

/** Counts of what is not as it should be; nothing where all is. @param {{one: Standing | undefined}} props */
function Stands({ one }) {
  if (!one) return null;
  const said = PRIORITIES.filter((p) => one.open[p]);
  return html`<span class="stands">
    ${one.silent > 0 && html`<span class="count silent"><${Ring} size=${16} />${one.silent}<i class="unseen">${t("fleet_presence_silent")}</i></span>`}
    ${said.map((p) => html`<span class="count"><${Mark} p=${p} size=${16} look=${one.unattended[p] ? "full" : "hollow"} />${one.open[p]}<i class="unseen">${t(p.toLowerCase())}</i></span>`)}
    ${(one.lights?.red ?? 0) > 0 && html`<span class="count"><i class="lamp red"></i>${one.lights?.red}<i class="unseen">${t("fleet_overdue_cases")}</i></span>`}
    ${one.gateways === 0 ? html`<span class="quiet">${t("fleet_no_gateway")}</span>` : !said.length && !one.silent && !one.lights?.red && html`<span class="quiet">${one.never > 0 ? t("fleet_presence_never") : t("fleet_all_normal")}</span>`}</span>`;
}

/** Gateways nobody hears: nothing watches there, so they stand above everything, with what they said last. */
function Silent() {
  const rows = silent.value;
  if (!rows.length) return null;
  const cut = isWide.value ? rows.length : 4;
  return html`<section class="silentgroup" aria-label=${t("fleet_silent_gateways")}><header class="listhead"><h2><${Ring} /> ${t("fleet_silent_gateways")} ${rows.length}</h2><span class="quiet">${t("fleet_kept_last")}</span></header>
    <ul>${rows.slice(0, Math.min(cut, MOST_SILENT)).map((mark) => html`<${SilentRow} key=${mark.id} mark=${mark} />`)}</ul>
    ${rows.length > 4 && html`<button class="plain more" aria-expanded=${isWide.value} onClick=${() => { isWide.value = !isWide.value; }}>${isWide.value ? t("fleet_fewer") : t("and_more", { n: rows.length - 4 })}</button>`}
    ${rows.length > MOST_SILENT && isWide.value && html`<a class="button" href=${link("gateways", "", { presence: "silent" })}>${t("fleet_all_silent", { n: rows.length })}</a>`}</section>`;
}

/** @param {{mark: import("./known.js").Mark}} props */
function SilentRow({ mark }) {
  const place = byGateway.value.get(mark.id);
  const last = ofGateway.value.get(mark.id) ?? [];
  const since = useComputed(() => (tick.value, mark.last_contact_at ? span((nowMs() - Date.parse(mark.last_contact_at)) / 1000) : ""));
  return html`<li class="silentrow"><a href=${link("gateways", mark.id)}><bdi>${nameOf(place) || mark.id}</bdi><small>${t(`fleet_presence_${mark.presence}`)} ${since} · ${t("fleet_last_contact", { at: when(mark.last_contact_at) })}</small></a>
    <span class="stands old">${PRIORITIES.map((p) => [p, last.filter((one) => one.priority === p).length]).filter(([, n]) => n).map(([p, n]) => html`<span class="count"><${Mark} p=${p} size=${16} look="hollow" />${n}<i class="unseen">${t(String(p).toLowerCase())}</i></span>`)}
      ${may("read_alarms") && !last.length && html`<small class="quiet">${t("fleet_had_none")}</small>`}</span></li>`;
}

function Figures() {
  if (!isKnown.value) return html`<div class="figures"></div>`;
  const all = standing([...communities.value.values()]);
  const online = gatewayCount.value - all.silent - all.stopped - all.never;
  const places = [...standings.value.values()].filter(isBad).length;
  return html`<dl class="figures">
    <div><dd>${communities.value.size}</dd><dt>${t("fleet_communities")}</dt></div>
    <div class=${places ? "bad" : ""}><dd>${places}</dd><dt>${t("fleet_need_help")}</dt></div>
    <div><dd>${online}<small>/${gatewayCount.value}</small></dd><dt>${t("fleet_gateways_online")}</dt></div>
    ${may("read_alarms") && html`<div><dd>${shown.value.length}</dd><dt>${t("fleet_open_alarms")}</dt></div>`}
    ${lights.value && html`<div class="lightfig"><dd><i class=${`lamp ${lights.value.red ? "red" : "off"}`}></i>${lights.value.red} <i class=${`lamp ${lights.value.yellow ? "yellow" : "off"}`}></i>${lights.value.yellow} <i class="lamp off"></i>${lights.value.green}</dd><dt>${t("fleet_case_lights")}</dt></div>`}</dl>`;
}

/** @param {{district: number | null, community: number | null}} props */
function Feed({ district, community }) {
  if (!isKnown.value) return html`<div class="empty"><b>${t("fleet_reading")}</b></div>`;
  const inside = new Set([...communities.value.values()].filter((one) => (community ? one.id === community : !district || one.district_id === district)).flatMap((one) => one.gateways.map((mark) => mark.id)));
  const isAll = !district && !community;
  const rows = isAll ? shown.value : shown.value.filter((one) => inside.has(one.gateway_id));
  const hidden = open.value.filter((one) => (isAll || inside.has(one.gateway_id))).length - rows.length;
  const waiting = rows.filter((one) => one.state === "unack" || one.state === "rtn").length;
  const place = community ? communities.value.get(community) : districts.value.find((one) => one.id === district);
  return html`<header class="listhead"><h2>${t("alarms")}${place && html` · <bdi>${nameOf(place)}</bdi>`}</h2><span class="quiet">${t("unacked", { n: waiting, all: rows.length })}</span><span class="space"></span>
      ${!isAll && html`<button onClick=${() => narrow({ district: null, community: null })}>${t("fleet_show_all")}</button>`}</header>
    ${isCut.value && html`<p class="banner">${t("fleet_alarms_cut")}</p>`}
    ${rows.length ? html`<ol class="list">${rows.slice(0, MOST_CARDS).map((alarm) => html`<${AlarmCard} key=${alarm.alarm_id} alarm=${alarm} />`)}</ol>` : html`<${None} inside=${inside} />`}
    <footer class="listfoot">${rows.length > MOST_CARDS && html`<a class="button" href=${link("alarms")}>${t("and_more", { n: rows.length - MOST_CARDS })}</a>`}
      ${hidden > 0 && html`<a href=${link("alarms", "", { show: "hidden" })}>${t("fleet_hidden_alarms", { n: hidden })}</a>`}</footer>`;
}

/** "No alarms" is only said of gateways that are heard. @param {{inside: Set<string>}} props */
function None({ inside }) {
  // Also what stopped, and what was never heard: nobody knows what is there.
  const quiet = [...inside].filter((id) => awayMark(id) !== undefined).length;
  return html`<div class="empty calm"><svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="9.500" /><path d="m7.500 12.500 3 3 6-7" /></svg>
    <b>${t("none")}</b><span>${t("fleet_heard_from", { n: inside.size - quiet, all: inside.size })}${quiet ? ` · ${t("fleet_not_heard_from", { n: quiet })}` : ""}</span>
    <span>${isStale.value ? t("as_of", { at: when(heardMs.value) }) : ""}</span></div>`;
}
