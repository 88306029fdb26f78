// The last commands this page has run, as they can be pasted into a terminal; and what waits for the fleet.
import { when } from "/ui/time.js";
import { toast } from "/ui/toast.js";
import { html } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { Empty, Line } from "./command.js";
import { bench, cancel, isStale, runAndTell } from "./shop.js";

export function Commands() {
  const now = bench.value;
  if (!now) return null;
  return html`<div class="instrument">
    <div class="tools"><p>${now.has_fleet ? t("outbox", { n: now.kept }) : t("outbox_no_fleet", { n: now.kept })}</p><span class="space"></span>
      <button onClick=${upload} disabled=${isStale.value || !now.has_fleet || now.kept === 0}>${t("upload")}</button></div>
    ${now.commands.length === 0 ? html`<${Empty} icon="search" title=${t("commands_empty")} />` : html`<ol class="commands">${now.commands.map((one) => html`<li key=${one.id} class=${`is-${one.state}`}>
      <span class="state">${one.state === "passed" ? "✓" : one.state === "running" ? "▶" : "✗"} ${t(`run_${one.state}`)}</span><time>${when(one.began_at)}</time>
      <${Line} line=${one.command} />${one.state === "running" && html`<button onClick=${() => cancel(one.id)} disabled=${isStale.value}>${t("stop")}</button>`}</li>`)}</ol>`}
  </div>`;
}

async function upload() {
  const sent = await runAndTell({ verb: "upload" });
  if (sent) toast(t("uploaded", { n: sent.sent }));
}
// words: run_running
