// The page: who is asking, the live store, the lists, receipts for what was painted.
import { make } from "/ui/dom.js";
import { current, pick, speak, t } from "/ui/words.js";
import { AlarmList, sorted } from "./alarms.js";
import { ask, order, Problem } from "./api.js";
import { DeviceList } from "./devices.js";
import { problemText, showLogin } from "./login.js";
import { allow, isAudible, sound } from "./sound.js";
import { Store } from "./store.js";

const page = document.getElementById("page");
const spoken = document.getElementById("said");
let store = null;

async function start() {
  store?.stop();
  store = null;
  speak(current());
  document.title = t("title");
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
  const blocked = make("button", { class: "blocked", onclick: () => allow().then(() => show(store)) }, t("sound_blocked"));
  const counts = ["P1", "P2", "P3", "P4"].map((priority) => make("span", { class: `count ${priority.toLowerCase()}` }));
  const state = make("span", { class: "live" });
  const clock = make("time", { class: "clock" });
  const onProblem = (error) => {
    problem.textContent = problemText(error);
    if (error instanceof Problem && error.status === 401) start();
    setTimeout(() => { problem.textContent = ""; }, 8000);
  };
  const alarms = new AlarmList(me, onProblem);
  const devices = new DeviceList();
  const silence = me.rights.includes("silence")
    ? make("button", { onclick: () => order("/silence").catch(onProblem) }, t("silence")) : null;
  page.replaceChildren(
    make("header", {},
      make("h1", {}, me.estate, make("small", {}, me.gateway_id)), ...counts, make("span", { class: "space" }), state, silence, clock,
      make("span", { class: "me" }, me.name),
      make("button", { onclick: () => { other(); start(); } }, t("lang")),
      make("button", { onclick: () => ask("POST", "/logout").catch(() => null).then(start) }, t("logout"))),
    blocked, banner, problem,
    make("main", {}, make("div", {}, make("h2", {}, t("alarms")), alarms.node), make("div", {}, make("h2", {}, t("devices")), devices.node)));

  const told = new Map();
  function show(known) {
    document.documentElement.classList.toggle("stale", known.isStale);
    alarms.show(known);
    devices.show(known);
    const open = [...known.alarms.values()];
    counts.forEach((node, at) => {
      const number = open.filter((alarm) => alarm.priority === `P${at + 1}` && !["shelved", "suppressed"].includes(alarm.state)).length;
      node.textContent = `${t(`p${at + 1}`)} ${number}`;
      node.classList.toggle("some", number > 0);
    });
    state.textContent = known.isStale ? t("connecting") : t("live");
    clock.textContent = known.beat ? known.clockText(known.beat.at, true) : "";
    banner.hidden = false;
    if (known.isStale && known.beat) banner.textContent = t("stale", { s: Math.floor(known.silentS), at: known.clockText(known.beat.at) });
    else if (known.beat?.is_storage_failing) banner.textContent = t("storage");
    else if (known.beat && !known.beat.clock.synced) banner.textContent = t("clock");
    else banner.hidden = true;
    banner.classList.toggle("bad", known.isStale || Boolean(known.beat?.is_storage_failing));
    blocked.hidden = isAudible();
    const wanting = sorted(open).find((alarm) => alarm.state === "unack");
    sound(known.isStale && known.beat ? "stale" : wanting?.priority, performance.now() / 1000);
    if (!known.isStale) requestAnimationFrame(() => receipt(open, told));
  }

  store = new Store();
  store.listeners.add(show);
  store.follow(start);
  allow().then(() => store && show(store));
}

// An alarm is not told until it is painted: this says to the gateway what was shown, and whether it could be heard.
function receipt(open, told) {
  const visible = document.visibilityState === "visible";
  const audible = isAudible();
  const mark = (alarm) => `${alarm.seq} ${visible} ${audible}`;
  const fresh = open.filter((alarm) => alarm.state === "unack" && told.get(alarm.alarm_id) !== mark(alarm));
  for (const alarm of fresh) {
    if (!told.has(alarm.alarm_id) && ["P1", "P2"].includes(alarm.priority)) {
      spoken.append(make("p", {}, `${t(alarm.priority.toLowerCase())} ${pick(alarm.label)} ${pick(alarm.place)}`));
      while (spoken.children.length > 20) spoken.firstElementChild.remove();
    }
    told.set(alarm.alarm_id, mark(alarm));
  }
  if (fresh.length === 0) return;
  const receipts = fresh.slice(0, 200).map((alarm) => ({ alarm_id: alarm.alarm_id, seq: alarm.seq, visible, audible }));
  ask("POST", "/annunciated", { receipts }).catch(() => { for (const alarm of fresh) told.delete(alarm.alarm_id); });
}

start();
