// Asks the gateway. Every change carries the header a foreign page cannot set, and an id so that it is done once.

export class Problem extends Error {
  constructor(status, body) {
    super(body.title ?? String(status));
    this.status = status;
    this.body = body;
  }
}

/** Return the answer's JSON; throws `Problem` for a refusal, TypeError without a connection. */
export async function ask(method, path, body) {
  const answer = await fetch(`/api/v1${path}`, {
    method,
    credentials: "same-origin",
    headers: body === undefined ? { "X-Gatehouse": "1" } : { "X-Gatehouse": "1", "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const found = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(answer.status, found);
  return found;
}

/** Give an order of the desk. The same order sent again after a lost answer is done once. */
export async function order(path, body = {}) {
  const once = { command_id: crypto.randomUUID(), ...body };
  try {
    return await ask("POST", path, once);
  } catch (error) {
    if (error instanceof Problem && error.status !== 503) throw error;
    return ask("POST", path, once);
  }
}
