// The device list: what each said last and how old that is. Silence is never "normal".
import { keep, make } from "/ui/dom.js";
import { pick, t } from "/ui/words.js";
import { span } from "./alarms.js";

const KIND_ORDER = ["gas", "lift", "button", "camera", "io", "beacon", "bus", "gateway"];

export class DeviceList {
  constructor() {
    this.rows = new Map();
    this.body = make("tbody");
    const head = ["device", "place", "state", "last", "age"].map((key) => make("th", { scope: "col" }, t(key)));
    this.node = make("section", { "aria-label": t("devices") }, make("table", {}, make("thead", {}, make("tr", {}, ...head)), this.body));
  }

  /** Show what the store knows. */
  show(store) {
    const devices = [...store.devices.values()].sort((a, b) =>
      KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind) || a.id.localeCompare(b.id));
    for (const id of this.rows.keys()) if (!store.devices.has(id)) this.rows.delete(id);
    keep(this.body, devices.map((device) => this.row(device, store)));
  }

  row(device, store) {
    const parts = this.rows.get(device.id) ?? this.build(device);
    if (parts.device !== device) {
      parts.device = device;
      parts.node.className = `is-${device.state}`;
      parts.place.textContent = pick(device.place);
      parts.state.textContent = [t(`state_${device.state}`), ...device.codes.map((code) => pick(code.label))].join(" · ");
      parts.last.textContent = said(device);
    }
    parts.age.textContent = device.last_s === null ? t("no_data") : `${span(store.now() - device.last_s)} (${store.clockText(device.last_at)})`;
    return parts.node;
  }

  build(device) {
    const [place, state, last, age] = [make("td"), make("td"), make("td"), make("td", { class: "age" })];
    const node = make("tr", { "data-key": device.id }, make("th", { scope: "row" }, device.id), place, state, last, age);
    const parts = { device: null, node, place, state, last, age };
    this.rows.set(device.id, parts);
    return parts;
  }
}

function said(device) {
  const last = device.last;
  if (!last) return "";
  if (last.what === "GasReading") return last.value === null ? last.flags.join(" ") || last.quality : `${last.value} ${last.unit}`;
  if (last.what === "LiftReading") return [last.floor === null ? "" : `${t("floor")} ${last.floor}`, last.car ?? "", last.service_mode, ...last.faults].filter(Boolean).join(" · ");
  if (last.what === "ButtonReading") return [last.event, last.battery_pct === null ? "" : `${last.battery_pct} %`, last.rssi_dbm === null ? "" : `${last.rssi_dbm} dBm`].filter(Boolean).join(" · ");
  if (last.what === "InputReading") return `${last.role} ${last.is_on ? t("on") : t("off")}`;
  if (last.what === "CameraReading") return last.frames_per_s === null ? last.picture : `${last.picture} ${last.frames_per_s.toFixed(1)}/s`;
  if (last.what === "BeaconReading") return `${last.adapter} ${last.rssi_dbm ?? ""}`;
  if (last.what === "BusReading") return last.is_up ? t("on") : t("off");
  return last.what;
}
