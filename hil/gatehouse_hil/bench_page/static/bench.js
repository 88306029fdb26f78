// The technician's page: which part is shown.
import "/ui/theme.js";
import { html, render } from "/ui/vendor/preact.js";
import { load } from "/ui/words.js";
import { Air } from "./air.js";
import { Camera } from "./camera.js";
import { Commands } from "./commands.js";
import { Console } from "./console.js";
import { Frame } from "./frame.js";
import { Matrix } from "./matrix.js";
import { Registers } from "./registers.js";
import { route } from "./shop.js";
import { Wizard } from "./wizard.js";

/** @type {Record<string, unknown>} */
const PAGES = { make: Wizard, console: Console, registers: Registers, air: Air, camera: Camera, matrix: Matrix, commands: Commands };

function App() {
  const page = route.value.page in PAGES ? route.value.page : "make";
  return html`<${Frame} page=${page}><${PAGES[page]} /></${Frame}>`;
}

await load("bench");
const app = document.getElementById("app");
if (app) render(html`<${App} />`, app);
