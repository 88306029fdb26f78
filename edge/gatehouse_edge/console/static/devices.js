// The device list: what each said last and how old that is. Whatever needs somebody stands on top; silence is never "normal".
import { keep, make } from "/ui/dom.js";
import { pick, t } from "/ui/words.js";
import { explain, said, span, token } from "./say.js";

const KIND_ORDER = ["gas", "lift", "button", "camera", "io", "beacon", "bus", "gateway"];
const STATE_ORDER = ["alarm", "silent", "fault", "inhibited", "unknown", "normal"];

function compare(a, b) {
  return STATE_ORDER.indexOf(a.state) - STATE_ORDER.indexOf(b.state) || KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind)
    || a.id.localeCompare(b.id);
}

export class DeviceList {
  constructor(me) {
    this.me = me;
    this.rows = new Map();
    this.body = make("tbody");
    this.silent = make("p", { class: "silent" });
    this.unknown = make("p", { class: "unheard" });
    const head = ["device", "state", "last", "age"].map((key) => make("th", { scope: "col" }, t(key)));
    this.node = make("section", { "aria-label": t("devices") }, this.silent, this.unknown, make("table", {}, make("thead", {}, make("tr", {}, ...head)), this.body));
  }

  /** Show what the store knows. */
  show(store) {
    const devices = [...store.devices.values()].sort(compare);
    for (const id of this.rows.keys()) if (!store.devices.has(id)) this.rows.delete(id);
    keep(this.body, devices.map((device) => this.row(device, store)));
    const silent = devices.filter((device) => device.state === "silent");
    const unknown = devices.filter((device) => device.state === "unknown");
    this.silent.hidden = silent.length === 0;
    this.silent.textContent = named("silent", silent);
    this.unknown.hidden = devices.length === 0 || (unknown.length === 0 && silent.length > 0);
    this.unknown.textContent = unknown.length ? named("unknown", unknown) : t("all_heard");
  }

  row(device, store) {
    const parts = this.rows.get(device.id) ?? this.build(device);
    if (parts.device !== device) {
      parts.device = device;
      parts.node.className = `is-${device.state}`;
      parts.name.textContent = pick(device.place) || token(["bus", "gateway"].includes(device.kind) ? device.kind : device.id);
      parts.state.textContent = t(`state_${device.state}`);
      parts.codes.textContent = device.codes.map((code) => pick(code.label)).join(" · ");
      const reason = device.silence ? explain(device.silence.detail ? `${device.silence.reason}: ${device.silence.detail}` : device.silence.reason) : "";
      parts.last.textContent = [...said(device, this.me.codes), reason].filter(Boolean).join(" · ");
    }
    const isHere = device.kind === "gateway";
    parts.age.textContent = device.last_s === null ? (isHere ? "" : t("no_data")) : t("ago", { s: span(store.now() - device.last_s) });
    parts.at.textContent = device.last_s === null ? "" : store.clockText(device.last_at);
    return parts.node;
  }

  build(device) {
    const [name, state, codes, age, at] = [make("b"), make("b"), make("small"), make("span"), make("small")];
    const last = make("td");
    const node = make("tr", { "data-key": device.id }, make("th", { scope: "row" }, name, make("small", {}, device.id)), make("td", {}, state, codes), last, make("td", { class: "age" }, age, at));
    const parts = { device: null, node, name, state, codes, last, age, at };
    this.rows.set(device.id, parts);
    return parts;
  }
}

function named(key, devices) {
  const names = devices.slice(0, 6).map((device) => pick(device.place) || device.id).join(", ");
  return t(`${key}_list`, { n: devices.length, names: devices.length > 6 ? `${names} …` : names });
}
