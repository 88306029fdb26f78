// Asks the server. Every change carries the header a foreign page cannot set, and an id so that it is done once.
import { pick, t } from "./words.js";

/** A refusal, as the server explained it (problem+json with `title`, `title_en`, `reason`). */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{title?: string, title_en?: string, detail?: string, reason?: string, type?: string}} body
   */
  constructor(status, body) {
    super(body.title ?? String(status));
    this.status = status;
    this.body = body;
  }
}

let base = "/api/v1";
let guard = "X-Gatehouse";

/**
 * Another server's prefix and guard header (the default is the gateway's: `/api/v1`, `X-Gatehouse`).
 * @param {{prefix?: string, header?: string}} other
 */
export function speakTo({ prefix = base, header = guard }) {
  base = prefix;
  guard = header;
}

/**
 * Ask, and return the answer's JSON (`{}` for an empty one).
 * @param {"GET" | "POST" | "PUT" | "PATCH" | "DELETE"} method
 * @param {string} path below the prefix
 * @param {unknown} [body] sent as JSON
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 * @throws {Problem} refused
 * @throws {TypeError} no connection
 */
export async function ask(method, path, body, signal) {
  /** @type {Record<string, string>} */
  const headers = { [guard]: "1" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(base + path, { method, credentials: "same-origin", headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Problem(answer.status, told(text));
  return text ? JSON.parse(text) : {};
}

/** What a refusal says; a proxy's page says nothing. @param {string} text */
function told(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

/**
 * Give an order. Sent once more after a lost answer: the id sees to it that it is done once.
 * @param {string} path
 * @param {Record<string, unknown>} [body]
 */
export async function order(path, body = {}) {
  const once = { command_id: crypto.randomUUID(), ...body };
  try {
    return await ask("POST", path, once);
  } catch (error) {
    if (error instanceof Problem && error.status !== 503) throw error;
    return ask("POST", path, once);
  }
}

/**
 * Words for whatever an order ended with.
 * @param {unknown} error
 */
export function problemText(error) {
  if (!(error instanceof Problem)) return t("offline");
  return pick({ zh: error.body.title, en: error.body.title_en }) || error.body.detail || String(error.status);
}
