// One server-sent event stream for any number of listeners. Runs in the shared worker, or in the page where there is none.

/** @typedef {{url: string, probe: string, snapshot?: string, events: string[], silentMs: number}} Plan */
/** @typedef {(name: string, data: string, id: string) => void} Tell */
/** @typedef {{tell: Tell, held: [string, string, string][] | null}} Listener */

const AGAIN_MS = 500;
const CHECK_MS = 1000;

export class Source {
  /** @param {Plan} plan */
  constructor(plan) {
    this.plan = plan;
    /** @type {Set<Listener>} */
    this.listeners = new Set();
    /** @type {EventSource | null} */
    this.events = null;
    this.position = "";
    this.heardAt = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.later = undefined;
    /** @type {ReturnType<typeof setInterval> | undefined} */
    this.watch = undefined;
    this.hasSnapshot = false;
  }

  /** Listen from now on, first to everything that is so. Returns how to stop. @param {Tell} tell */
  join(tell) {
    /** @type {Listener} */
    const listener = { tell, held: null };
    this.listeners.add(listener);
    if (!this.watch) this.start();
    else if (this.plan.snapshot && this.hasSnapshot) this.catchUp(listener);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.stop();
    };
  }

  /** Begin anew, with whatever session the browser has now. */
  restart() {
    this.position = "";
    this.hasSnapshot = false;
    this.open();
  }

  start() {
    this.open();
    // A half-dead connection, or a computer that slept, ends in silence and not in an error.
    this.watch = setInterval(() => {
      if (Date.now() - this.heardAt > this.plan.silentMs) this.open();
    }, CHECK_MS);
  }

  stop() {
    this.events?.close();
    this.events = null;
    clearInterval(this.watch);
    clearTimeout(this.later);
    this.watch = undefined;
    this.hasSnapshot = false;
    this.position = "";
  }

  open() {
    clearTimeout(this.later);
    this.events?.close();
    this.heardAt = Date.now();
    const behind = this.position ? `?after=${encodeURIComponent(this.position)}` : "";
    const events = new EventSource(this.plan.url + behind);
    this.events = events;
    for (const name of this.plan.events) {
      events.addEventListener(name, (event) => {
        if (event.lastEventId) this.position = event.lastEventId;
        this.heardAt = Date.now();
        if (name === "snapshot") this.hasSnapshot = true;
        this.say(name, event.data, event.lastEventId);
      });
    }
    events.onerror = () => {
      if (events !== this.events) return;
      this.heardAt = Date.now();
      // CLOSED: the answer was no stream. The browser gives up; we ask why and go on.
      if (events.readyState === EventSource.CLOSED) this.later = setTimeout(() => this.again(), AGAIN_MS);
    };
  }

  async again() {
    const status = await fetch(this.plan.probe, { credentials: "same-origin" }).then((answer) => answer.status, () => 0);
    if (!this.watch) return;
    if (status === 401) this.say("end", "", "");
    else if (status === 200) this.open();
    else this.later = setTimeout(() => this.again(), AGAIN_MS);
    this.heardAt = Date.now();
  }

  /** @param {Listener} listener */
  async catchUp(listener) {
    listener.held = [];
    const text = await fetch(/** @type {string} */ (this.plan.snapshot), { credentials: "same-origin" }).then((answer) => (answer.ok ? answer.text() : null), () => null);
    // What came meanwhile is told again behind it: revisions say which is newer.
    const held = listener.held ?? [];
    listener.held = null;
    if (text === null) this.restart();
    else listener.tell("snapshot", text, this.position);
    for (const [name, data, id] of held) listener.tell(name, data, id);
  }

  /** @param {string} name @param {string} data @param {string} id */
  say(name, data, id) {
    for (const listener of this.listeners) {
      if (listener.held) listener.held.push([name, data, id]);
      else listener.tell(name, data, id);
    }
  }
}
