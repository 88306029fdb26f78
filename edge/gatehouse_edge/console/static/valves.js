// Gas valves: shut by the gateway at once; opened by two people on site, never by one and never from afar.
import { keep, make } from "/ui/dom.js";
import { pick, t } from "/ui/words.js";
import { order } from "./api.js";
import { askFor } from "./ask.js";
import { countdown, span } from "./say.js";

const CONFIRM_S = 120;

export class ValveList {
  constructor(me, onProblem) {
    this.me = me;
    this.onProblem = onProblem;
    this.rows = new Map();
    this.list = make("ul", { class: "valves" });
    this.node = make("section", { "aria-label": t("valves"), hidden: true }, make("h2", {}, t("valves")), this.list);
  }

  /** Show what the store knows; nothing while no valve was ever moved. */
  show(store) {
    this.node.hidden = store.valves.length === 0;
    keep(this.list, store.valves.map((valve) => this.row(valve, store)));
  }

  row(valve, store) {
    const mark = JSON.stringify(valve);
    let parts = this.rows.get(valve.id);
    if (parts?.mark !== mark) parts = { ...this.build(valve, store), mark };
    this.rows.set(valve.id, parts);
    const left = valve.request ? CONFIRM_S - (store.now() - valve.request.at_s) : 0;
    parts.age.textContent = t("ago", { s: span(store.now() - valve.since_s) });
    parts.asked.hidden = left <= 0;
    parts.asked.textContent = left > 0 ? t("valve_asked", { name: valve.request.actor.name, s: countdown(left) }) : "";
    if (parts.confirm) parts.confirm.hidden = left <= 0;
    if (parts.request) parts.request.hidden = left > 0;
    for (const button of [parts.request, parts.confirm]) if (button) button.disabled = store.isStale;
    return parts.node;
  }

  build(valve, store) {
    const can = (right) => this.me.rights.includes(right) && valve.is_closed;
    const request = can("valve_request") ? make("button", { onclick: () => this.request(valve) }, t("request_open")) : null;
    const confirm = can("valve_confirm") ? make("button", { class: "strong", onclick: () => this.confirm(valve) }, t("confirm_open")) : null;
    const [age, asked] = [make("span"), make("p", { class: "asked" })];
    const node = make("li", { class: valve.is_closed ? "valve shut" : "valve", "data-key": valve.id },
      make("div", {},
        make("p", {}, make("b", {}, `${valve.id} ${t(valve.is_closed ? "valve_closed" : "valve_free")}`), " ", age),
        make("p", { class: "more" }, valve.cause ? t("valve_cause", { cause: this.cause(valve.cause, store) }) : ""),
        asked,
        valve.is_closed ? make("p", { class: "more" }, t("valve_rule")) : null),
      make("div", { class: "do" }, request, confirm));
    return { node, request, confirm, age, asked };
  }

  /** `device code` in words; who opened it stays as it is. */
  cause(text, store) {
    const [id, code] = text.split(" ");
    const label = this.me.codes[code];
    return label ? `${pick(store.devices.get(id)?.place) || id} ${pick(label)}` : text;
  }

  async request(valve) {
    const entered = await askFor(t("request_open"), { reason: { label: t("reason") } });
    if (entered) await order(`/valves/${valve.id}/request-open`, { reason: entered.reason }).catch(this.onProblem);
  }

  async confirm(valve) {
    const entered = await askFor(t("valve_sure"), {});
    if (entered) await order(`/valves/${valve.id}/confirm-open`).catch(this.onProblem);
  }
}
