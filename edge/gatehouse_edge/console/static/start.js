// How every page of the gateway's console begins: words, who is asking, the live stream, then the page.
import "/ui/theme.js";
import { ask, Problem } from "/ui/api.js";
import { html, render } from "/ui/vendor/preact.js";
import { load, t } from "/ui/words.js";
import { connect, me } from "./desk.js";
import { Frame } from "./frame.js";

const AGAIN_MS = 2000;

/**
 * Show a page inside the frame once somebody is logged in.
 * @param {{name: string, sections: string[], content: () => unknown, prepare?: () => Promise<unknown>}} page `name`: key of the page's link; `sections` of the catalogue
 */
export async function start({ name, sections, content, prepare = async () => {} }) {
  await load("field", "duty", ...sections);
  const app = /** @type {HTMLElement} */ (document.getElementById("app"));
  const begin = async () => {
    try {
      me.value = await ask("GET", "/me");
      await prepare();
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) return later();
      return logIn();
    }
    connect(begin);
    render(html`<${Frame} page=${name}>${html`<${content} />`}<//>`, app);
    return undefined;
  };
  const logIn = async () => {
    try {
      const [setup, { showLogin }] = await Promise.all([ask("GET", "/setup"), import("./login.js")]);
      showLogin(app, setup, begin);
    } catch {
      later();
    }
  };
  const later = () => {
    // A page that never reached the gateway says so, and nothing else.
    if (!me.value) render(html`<div class="empty wait"><b>${t("never")}</b></div>`, app);
    setTimeout(begin, AGAIN_MS);
  };
  await begin();
}
