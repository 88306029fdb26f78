// The page: who is asking, the live store, the lists, receipts for what was painted.
import { make } from "/ui/dom.js";
import { current, pick, speak, t } from "/ui/words.js";
import { AlarmList, mark, sorted } from "./alarms.js";
import { ask, order, Problem } from "./api.js";
import { DeviceList } from "./devices.js";
import { problemText, showLogin } from "./login.js";
import { allow, isAudible, sound } from "./sound.js";
import { Store } from "./store.js";
import { ValveList } from "./valves.js";

const PROBLEM_MS = 12000;
const page = document.getElementById("page");
const spoken = document.getElementById("said");
let store = null;

async function start() {
  store?.stop();
  store = null;
  speak(current());
  document.title = t("title");
  document.documentElement.classList.remove("stale");
  try {
    showDesk(await ask("GET", "/me"));
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) return later();
    try {
      showLogin(page, await ask("GET", "/setup"), start, () => { other(); start(); });
    } catch {
      later();
    }
  }
}

function later() {
  page.replaceChildren(make("p", { class: "wait" }, t("never")));
  setTimeout(start, 2000);
}

function other() {
  speak(current() === "zh" ? "en" : "zh");
}

function showDesk(me) {
  const banner = make("p", { class: "banner", role: "status", hidden: true });
  const problem = make("p", { class: "problem", role: "alert" });
  const blocked = make("button", { class: "blocked", hidden: true, onclick: () => allow().then(() => show(store)) }, t("sound_blocked"));
  const counts = ["P1", "P2", "P3", "P4"].map((priority) => {
    const number = make("b", {}, "0");
    return { number, node: make("span", { class: `count ${priority.toLowerCase()}` }, mark(priority), t(priority.toLowerCase()), number) };
  });
  const state = make("span", { class: "live" });
  const fleet = make("span", { class: "fleet", hidden: true });
  const clock = make("time", { class: "clock" });
  const date = make("small");
  const summary = make("small");
  let forget = null;
  // A refusal of before must not look like the answer to what is being done now.
  page.onclick = () => { problem.textContent = ""; };
  const onProblem = (error) => {
    problem.textContent = problemText(error);
    if (error instanceof Problem && error.status === 401) start();
    clearTimeout(forget);
    forget = setTimeout(() => { problem.textContent = ""; }, PROBLEM_MS);
  };
  const alarms = new AlarmList(me, onProblem);
  const valves = new ValveList(me, onProblem);
  const devices = new DeviceList(me);
  const silence = me.rights.includes("silence")
    ? make("button", { onclick: () => order("/silence").catch(onProblem) }, t("silence")) : null;
  page.replaceChildren(
    make("header", {},
      make("h1", {}, me.estate, make("small", {}, `${me.gateway_id} · ${me.name}`)), make("div", { class: "counts" }, ...counts.map((count) => count.node)),
      make("span", { class: "space" }), fleet, state, silence,
      make("button", { onclick: () => { other(); start(); } }, t("lang")),
      make("button", { onclick: () => ask("POST", "/logout").catch(() => null).then(start) }, t("logout")),
      make("div", { class: "when" }, clock, date)),
    blocked, banner, problem,
    make("main", {},
      make("div", {}, make("h2", {}, t("alarms"), summary), alarms.node),
      make("div", { class: "side" }, valves.node, make("div", {}, make("h2", {}, t("devices")), devices.node))));

  const told = new Map();
  let heard = 0;
  function show(known) {
    if (known !== store || known === null) return;
    document.documentElement.classList.toggle("stale", known.isStale);
    alarms.show(known);
    valves.show(known);
    devices.show(known);
    const open = [...known.alarms.values()];
    const shown = open.filter((alarm) => !["shelved", "suppressed"].includes(alarm.state));
    counts.forEach(({ node, number }, at) => {
      const count = shown.filter((alarm) => alarm.priority === `P${at + 1}`).length;
      number.textContent = String(count);
      node.classList.toggle("some", count > 0);
    });
    summary.textContent = known.hasSnapshot ? t("unacked", { n: shown.filter((alarm) => ["unack", "rtn"].includes(alarm.state)).length, all: open.length }) : "";
    state.textContent = known.isStale ? t(known.beat ? "lost" : "connecting") : t("live");
    const way = known.beat?.fleet;
    fleet.hidden = !way || way.state === "off" || known.isStale;
    if (way) fleet.textContent = way.queued > 0 ? `${pick(way.label)} (${way.queued})` : pick(way.label);
    fleet.classList.toggle("bad", Boolean(way) && !["up", "connecting"].includes(way.state));
    const now = known.beat ? known.clockText(known.beat.at, true) : "";
    clock.textContent = now.slice(11);
    date.textContent = now.slice(0, 10);
    for (const button of silence ? [silence] : []) button.disabled = known.isStale;
    showBanner(banner, known);
    blocked.hidden = isAudible();
    const wanting = sorted(open).find((alarm) => alarm.state === "unack");
    sound(known.isStale && known.beat ? "stale" : wanting?.priority, performance.now() / 1000);
    if (known.snapshots !== heard) {
      // A gateway that has started again may not know any more what was painted before.
      heard = known.snapshots;
      told.clear();
    }
    if (!known.isStale) requestAnimationFrame(() => receipt(open, told));
  }

  store = new Store();
  store.listeners.add(show);
  store.follow(start);
  allow().then(() => show(store));
}

function showBanner(banner, known) {
  banner.hidden = false;
  if (known.isStale && known.beat) {
    banner.replaceChildren(t("stale", { s: Math.floor(known.silentS) }), make("small", {}, t("stale_more", { at: known.clockText(known.beat.at) })));
  } else if (known.beat?.is_storage_failing) banner.textContent = t("storage");
  else if (known.beat && !known.beat.clock.synced) banner.textContent = t("clock");
  else banner.hidden = true;
  banner.classList.toggle("bad", (known.isStale && known.beat !== null) || Boolean(known.beat?.is_storage_failing));
}

// An alarm is not told until it is painted: this says to the gateway what was shown, and whether it could be heard.
function receipt(open, told) {
  const visible = document.visibilityState === "visible";
  const audible = isAudible();
  const shown = (alarm) => `${alarm.seq} ${visible} ${audible}`;
  const fresh = open.filter((alarm) => alarm.state === "unack" && told.get(alarm.alarm_id) !== shown(alarm));
  for (const alarm of fresh) {
    if (!told.has(alarm.alarm_id) && ["P1", "P2"].includes(alarm.priority)) {
      spoken.append(make("p", {}, `${t(alarm.priority.toLowerCase())} ${pick(alarm.label)} ${pick(alarm.place)}`));
      while (spoken.children.length > 20) spoken.firstElementChild.remove();
    }
    told.set(alarm.alarm_id, shown(alarm));
  }
  if (fresh.length === 0) return;
  const receipts = fresh.slice(0, 200).map((alarm) => ({ alarm_id: alarm.alarm_id, seq: alarm.seq, visible, audible }));
  ask("POST", "/annunciated", { receipts }).catch(() => { for (const alarm of fresh) told.delete(alarm.alarm_id); });
}

start();
