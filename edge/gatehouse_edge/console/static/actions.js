// What a person may do with one alarm now. No action ever covers two alarms.
import { order } from "/ui/api.js";
import { askFor } from "/ui/dialog.js";
import { refusal, toast } from "/ui/toast.js";
import { t } from "/ui/words.js";
import { isStale, isUnattended, may } from "./desk.js";

/**
 * @typedef {import("./desk.js").Alarm} Alarm
 * @typedef {{name: string, words: string, key?: string, isStrong?: boolean, does: () => Promise<unknown>}} Action
 */

const MINUTES = { safety: 15, ordinary: 480, never: 0 };
/** Step of a rescue -> what may be reported next. @type {Record<string, string[]>} */
const RESCUE_STEPS = { "01": ["responded", "arrived"], "02": ["arrived"], "04": ["rescued"] };

/** @param {Alarm} alarm @param {string} path @param {Record<string, unknown>} [body] */
function act(alarm, path, body = {}) {
  // A page that does not hear the gateway shows what was, not what is: nothing is done on its word.
  if (isStale.peek()) return Promise.resolve();
  return order(`/alarms/${alarm.alarm_id}/${path}`, { seen_seq: alarm.seq, ...body }).catch(refusal);
}

/** The actions for this alarm and this person, the most likely first. @param {Alarm} alarm @returns {Action[]} */
export function actionsFor(alarm) {
  /** @type {Action[]} */
  const found = [];
  if (may("acknowledge") && isUnattended(alarm)) found.push({ name: "ack", words: t("ack"), key: "A", isStrong: true, does: () => act(alarm, "ack") });
  if (may("reset") && alarm.state === "latched" && !alarm.is_active) found.push({ name: "reset", words: t("reset"), key: "R", isStrong: true, does: () => act(alarm, "reset") });
  if (may("rescue") && alarm.rescue && alarm.kind === "alarm") {
    for (const step of RESCUE_STEPS[alarm.rescue.deal_status] ?? []) {
      found.push({ name: step, words: t(step), isStrong: !isUnattended(alarm), does: () => act(alarm, "rescue", { step: step === "rescued" ? "closed" : step }) });
    }
  }
  if (may("test") && alarm.kind === "test") found.push({ name: "end_test", words: t("end_test"), does: () => order(`/tests/${alarm.alarm_id}/end`).catch(refusal) });
  if (may("shelve") && alarm.state === "shelved") found.push({ name: "unshelve", words: t("unshelve"), key: "S", does: () => act(alarm, "unshelve") });
  if (canShelve(alarm)) found.push({ name: "shelve", words: t("shelve"), key: "S", does: () => shelve(alarm) });
  if (may("note")) found.push({ name: "note", words: t("note"), key: "N", does: () => note(alarm) });
  if (may("close") && ["acked", "latched"].includes(alarm.state)) found.push({ name: "close", words: t("close"), does: () => close(alarm) });
  return found;
}

/** Do the action of that key, if there is one now. @param {Alarm | null} alarm @param {string} key */
export function actByKey(alarm, key) {
  const action = alarm && !isStale.peek() ? actionsFor(alarm).find((one) => one.key === key) : undefined;
  if (action) action.does();
  else if (alarm && key === "S" && alarm.shelving === "never") toast(t("never_shelved"), true);
}

/** @param {Alarm} alarm */
function canShelve(alarm) {
  return may("shelve") && alarm.shelving !== "never" && ["unack", "acked"].includes(alarm.state) && !["test", "inhibited"].includes(alarm.kind);
}

/** @param {Alarm} alarm */
async function shelve(alarm) {
  const longest = MINUTES[alarm.shelving];
  const entered = await askFor(t("shelve"), {
    minutes: { label: t("minutes"), type: "number", min: 1, max: longest, value: Math.min(15, longest), hint: t("shelve_most", { n: longest }) },
    reason: { label: t("reason") },
  });
  if (entered) await act(alarm, "shelve", { duration_s: Number(entered.minutes) * 60, reason: entered.reason });
}

/** @param {Alarm} alarm */
async function note(alarm) {
  const entered = await askFor(t("note"), { text: { label: t("text"), type: "textarea" } });
  if (entered) await writeNote(alarm, entered.text);
}

/** Write on an alarm. @param {Alarm} alarm @param {string} text */
export function writeNote(alarm, text) {
  return act(alarm, "note", { seen_seq: null, text });
}

/** @param {Alarm} alarm */
async function close(alarm) {
  const entered = await askFor(t("close"), {
    disposition: { label: t("disposition"), choices: [["handled", t("handled")], ["false_alarm", t("false_alarm")]] },
    reason: { label: t("reason") },
  });
  if (entered) await act(alarm, "close", entered);
}
