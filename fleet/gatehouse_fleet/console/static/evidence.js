// Clips and pictures of an alarm or a gateway: what there is, where it is, and looking at it, which asks for a reason and is registered.
import { ask } from "/ui/api.js";
import { askFor, openDialog } from "/ui/dialog.js";
import { dateTime, when } from "/ui/time.js";
import { refusal, toast } from "/ui/toast.js";
import { html, useEffect, useState } from "/ui/vendor/preact.js";
import { t } from "/ui/words.js";
import { may } from "./known.js";
import { link } from "./route.js";

/** @typedef {{gateway_id: string, sha256: string, kind: string, is_masked: boolean, captured_at: string, keep_until: string, is_held: boolean, state: string, size_bytes: number | null, alarm_id?: string}} Clip */

/** @param {{path: string, isPaged?: boolean}} props */
export function Evidence({ path, isPaged = false }) {
  const [clips, setClips] = useState(/** @type {Clip[] | null} */ (null));
  const read = () => ask("GET", path).then((found) => setClips(isPaged ? found.items : found), (error) => { setClips([]); refusal(error); });
  useEffect(() => { read(); }, [path]);
  if (!clips) return null;
  return html`<h3>${t("fleet_evidence")}</h3>${clips.length === 0 ? html`<p class="quiet">${t("fleet_no_evidence")}</p>` : html`<ul class="clips">${clips.map((clip) => html`<li key=${clip.sha256}>
    <div><b>${t(`fleet_clip_${clip.kind}`)}</b> ${clip.is_masked && html`<i class="pill">${t("fleet_masked")}</i>`} ${clip.is_held && html`<i class="pill">${t("fleet_held")}</i>`}
      <small>${when(clip.captured_at)} · ${t(`fleet_clip_state_${clip.state}`)}${clip.size_bytes ? ` · ${(clip.size_bytes / 1e6).toFixed(1)} MB` : ""} · ${t("fleet_kept_until", { at: dateTime(clip.keep_until).slice(0, 10) })}</small>
      <code title="SHA-256">${clip.sha256.slice(0, 16)}…</code>${clip.alarm_id && html` <a href=${link("alarms", "", { which: "all", one: clip.alarm_id })}>${t("fleet_alarm")}</a>`}</div>
    ${clip.state === "here" && html`<button onClick=${() => look(clip)}>${t("fleet_look")}</button>`}
    ${clip.state === "named" && html`<button onClick=${() => ask("POST", `/evidence/${clip.gateway_id}/${clip.sha256}/want`).then(() => { toast(t("fleet_clip_asked")); read(); }, refusal)}>${t("fleet_fetch_clip")}</button>`}
    ${clip.state !== "gone" && may("hold_evidence") && html`<button onClick=${() => hold(clip, read)}>${t("fleet_hold")}</button>`}</li>`)}</ul>`}`;
}

/** @param {Clip} clip */
async function look(clip) {
  const said = await askFor(t("fleet_look_title"), { reason: { label: t("fleet_look_reason"), hint: t("fleet_look_hint") } }, { done: t("fleet_look") });
  if (!said) return;
  try {
    const found = await ask("POST", `/evidence/${clip.gateway_id}/${clip.sha256}/views`, { reason: said.reason, purpose: "view" });
    const media = clip.kind === "clip" ? html`<video controls autoplay muted src=${found.url}></video>` : clip.kind === "snapshot" ? html`<img src=${found.url} alt=${t("fleet_clip_snapshot")} />` : html`<a class="button" href=${found.url}>${t("fleet_open_file")}</a>`;
    openDialog(t("fleet_look_title"), html`<div class="media">${media}</div><p class="quiet">${t("fleet_link_until", { at: when(found.expires_at) })} · <code>${found.sha256.slice(0, 16)}…</code></p><form method="dialog" class="buttons"><button class="strong">${t("done")}</button></form>`);
  } catch (error) {
    refusal(error);
  }
}

/** @param {Clip} clip @param {() => void} read */
async function hold(clip, read) {
  const said = await askFor(t("fleet_hold_title"), { reason: { label: t("reason"), hint: t("fleet_hold_hint") } });
  if (said) ask("POST", `/evidence/${clip.gateway_id}/${clip.sha256}/holds`, said).then(() => { toast(t("fleet_held_now")); read(); }, refusal);
}
