// The fleet console: who is asking, what is known, and the page the address names.
import "/ui/theme.js";
import { ask, Problem } from "/ui/api.js";
import { html, render } from "/ui/vendor/preact.js";
import { load, t } from "/ui/words.js";
import { Frame } from "./frame.js";
import { connect, meet } from "./known.js";
import { showLogin } from "./login.js";

const AGAIN_MS = 2000;
const app = /** @type {HTMLElement} */ (document.getElementById("app"));
let isShown = false;

async function begin() {
  try {
    await meet();
  } catch (error) {
    if (!(error instanceof Problem) || error.status !== 401) return later();
    isShown = false;
    return ask("GET", "/setup").then((setup) => showLogin(app, setup, begin), later);
  }
  connect(begin);
  isShown = true;
  render(html`<${Frame} />`, app);
  return undefined;
}

function later() {
  // A page that never reached the server says so, and nothing else.
  if (!isShown) render(html`<div class="empty wait"><b>${t("fleet_never")}</b></div>`, app);
  setTimeout(begin, AGAIN_MS);
}

await load("fleet");
document.title = t("fleet_title");
await begin();
