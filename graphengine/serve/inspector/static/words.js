// Numbers, times and statuses in words.

export const STATUSES = {
  queued: ["○", "queued"],
  running: ["●", "running"],
  interrupted: ["◌", "interrupted"],
  waiting: ["⏸", "waiting"],
  failed: ["✗", "failed"],
  stopped: ["■", "stopped"],
  finished: ["✓", "finished"],
};

export function seconds(value) {
  if (value === null || value === undefined) return "";
  if (value < 0.0995) return `${Math.round(value * 1000)} ms`;
  if (value < 9.95) return `${value.toFixed(1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return value < 172800 ? `${Math.round(value / 3600)} h` : `${Math.round(value / 86400)} d`;
}

export function ago(at, now = Date.now() / 1000) {
  return now - at < 1.5 ? "now" : `${seconds(now - at)} ago`;
}

export function when(at) {
  return new Date(at * 1000).toLocaleString();
}

export function dollars(amount) {
  if (amount === null || amount === undefined) return "unknown";
  if (!amount) return "0";
  const exponent = Number(amount.toExponential(1).split("e")[1]);
  const places = Math.max(4, Math.min(20, 1 - exponent)), text = amount.toFixed(places);
  return places > 4 ? text.replace(/0+$/, "") : text;
}

export function cost(usage) {
  if (!usage?.calls || usage.calls === usage.offline_calls) return "";
  return `${dollars(usage.cost_usd)} USD`;
}

export function tokens(usage) {
  const sum = (usage?.input_tokens || 0) + (usage?.output_tokens || 0);
  return sum ? (sum < 1000 ? `${sum}` : `${(sum / 1000).toFixed(1)} k`) : "";
}

const LOSSES = {
  failed_items: ["item failed", "items failed"],
  fallbacks: ["fallback", "fallbacks"],
  retries: ["retry", "retries"],
  rejected_answers: ["answer rejected", "answers rejected"],
  failed_tools: ["tool call failed", "tool calls failed"],
};

/** What a run lost on its way, in words; "" if nothing. */
export function lost(losses) {
  const found = Object.entries(losses || {}).filter(([name]) => LOSSES[name]);
  return found.map(([name, number]) => `${number} ${LOSSES[name][number === 1 ? 0 : 1]}`).join(", ");
}

export function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

export function shown(value) {
  return typeof value === "string" ? value : JSON.stringify(value, null, 2) ?? "";
}

/** A value on one line, at most so long. */
export function brief(value, limit = 160) {
  const text = (typeof value === "string" ? value : JSON.stringify(value) ?? "").replace(/\s+/g, " ");
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}
