// What every board is made with: the runtime file and the gas bottle. Asked for where they are missing; changed with a click.
import { order, ask } from "/ui/api.js";
import { askFor } from "/ui/dialog.js";
import { refusal } from "/ui/toast.js";
import { html } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { bench, isStale } from "./shop.js";

const GASES = ["CH4", "C3H8", "C4H10"];

export function Materials() {
  const now = bench.value;
  if (!now || now.backend === "simulated") return null;  // comes with what it needs
  const { runtime, gas } = now.materials;
  const needsGas = now.places.some((slot) => slot.place.kind === "gas");
  return html`<section class="materials" aria-label=${t("materials")}>
    <div class=${runtime ? "" : "is-missing"}><span>${t("runtime_file")} <b>${runtime || t("material_missing")}</b></span><button onClick=${changeRuntime} disabled=${isStale.value}>${t(runtime ? "change" : "choose")}</button></div>
    ${needsGas && html`<div class=${gas ? "" : "is-missing"}><span>${t("bottle")} <b>${gas ? `${gas.gas} ${gas.percent_lel} %LEL · ${gas.bottle} · ${t("good_until", { date: gas.expires })}` : t("material_missing")}</b></span>
      <button onClick=${changeGas} disabled=${isStale.value}>${t(gas ? "change" : "enter")}</button></div>`}
  </section>`;
}

async function changeRuntime() {
  const near = await ask("GET", "/materials/near").catch(() => ({ runtimes: [] }));
  const found = await askFor(t("runtime_file"), { runtime: { label: t("runtime_path"), list: near.runtimes, value: near.runtimes[0] ?? "", hint: t("runtime_hint") } });
  if (found) await order("/materials", { runtime: found.runtime.trim() }).catch(refusal);
}

async function changeGas() {
  const gas = bench.value?.materials.gas;
  const found = await askFor(t("bottle"), {
    gas: { label: t("gas"), list: GASES, value: gas?.gas ?? GASES[0] },
    percent_lel: { label: t("percent_lel"), type: "number", min: 1, max: 100, value: gas?.percent_lel ?? 50 },
    bottle: { label: t("bottle_number"), value: gas?.bottle ?? "" },
    expires: { label: t("expires"), value: gas?.expires ?? "", hint: t("expires_hint") },
  }, { text: t("bottle_text") });
  if (found) await order("/materials", { gas: { ...found, percent_lel: Number(found.percent_lel) } }).catch(refusal);
}
