// What this page knows, and how old that is. Time comes from the gateway's beats, never from this computer's clock.

import { ask, Problem } from "./api.js";

const STALE_MS = 4000;

export class Store {
  constructor() {
    this.alarms = new Map();
    this.devices = new Map();
    this.valves = [];
    this.beat = null;
    this.beatAt = null; // performance.now() of the last beat
    this.hasSnapshot = false;
    this.snapshots = 0;
    this.listeners = new Set();
    this.isStopped = false;
  }

  /** Connect and follow; `onBye` when the session has ended. */
  follow(onBye) {
    this.connect(onBye);
    this.timer = setInterval(() => this.tell(), 1000);
  }

  connect(onBye) {
    this.source = new EventSource("/api/v1/events");
    const on = (name, take) => this.source.addEventListener(name, (event) => { take(JSON.parse(event.data)); this.tell(); });
    on("snapshot", (data) => {
      this.alarms = new Map(data.alarms.map((alarm) => [alarm.alarm_id, alarm]));
      this.devices = new Map(data.devices.map((device) => [device.id, device]));
      this.valves = data.valves;
      this.hasSnapshot = true;
      this.snapshots += 1;
      this.take(data.beat);
    });
    on("change", (data) => {
      for (const alarm of data.alarms) {
        const known = this.alarms.get(alarm.alarm_id);
        if (!known || known.seq <= alarm.seq) this.alarms.set(alarm.alarm_id, alarm);
      }
      for (const id of data.gone) this.alarms.delete(id);
      this.valves = data.valves;
    });
    on("devices", (data) => {
      for (const device of data.devices) this.devices.set(device.id, device);
      for (const id of data.gone) this.devices.delete(id);
    });
    on("beat", (data) => this.take(data));
    this.source.addEventListener("bye", () => { this.stop(); onBye(); });
    this.source.addEventListener("error", () => {
      // CLOSED: the answer was no stream (session ended, gateway restarting). The browser gives up; we do not, and
      // what was last known stays on the screen.
      if (this.source.readyState === EventSource.CLOSED) this.retry = setTimeout(() => this.again(onBye), 2000);
    });
  }

  async again(onBye) {
    try {
      await ask("GET", "/me");
    } catch (error) {
      if (this.isStopped) return undefined;
      if (error instanceof Problem && error.status === 401) return onBye();
      this.retry = setTimeout(() => this.again(onBye), 2000);
      return undefined;
    }
    return this.isStopped ? undefined : this.connect(onBye);
  }

  stop() {
    this.isStopped = true;
    this.source?.close();
    clearInterval(this.timer);
    clearTimeout(this.retry);
  }

  take(beat) {
    this.beat = beat;
    this.beatAt = performance.now();
  }

  /** Seconds on the gateway's service scale, now. */
  now() {
    return this.beat ? this.beat.service_s + (performance.now() - this.beatAt) / 1000 : 0;
  }

  get silentS() {
    return this.beatAt === null ? Infinity : (performance.now() - this.beatAt) / 1000;
  }

  get isStale() {
    return this.silentS * 1000 > STALE_MS;
  }

  /** A gateway instant in the gateway's own zone. */
  clockText(iso, withDate = false) {
    if (!iso) return "";
    const local = new Date(Date.parse(iso) + (this.beat?.utc_offset_s ?? 0) * 1000).toISOString();
    return withDate ? `${local.slice(0, 10)} ${local.slice(11, 19)}` : local.slice(11, 19);
  }

  tell() {
    for (const listener of this.listeners) listener(this);
  }
}
