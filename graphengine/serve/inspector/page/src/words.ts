// Numbers, times and statuses in words.

import { writeJson } from "./json";
import type { Usage } from "./types";

export const STATUSES = ["queued", "running", "interrupted", "waiting", "failed", "stopped", "cancelled", "finished"];

/** A number with so many decimals, as the reader's locale writes it. */
const places = (value: number, most: number, least = most): string =>
  value.toLocaleString(undefined, { minimumFractionDigits: least, maximumFractionDigits: most });

export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "";
  if (value < 0.0995) return `${Math.round(value * 1000)} ms`;
  if (value < 9.95) return `${places(value, 1)} s`;
  if (value < 120) return `${Math.round(value)} s`;
  if (value < 7200) return `${Math.round(value / 60)} min`;
  return value < 172800 ? `${Math.round(value / 3600)} h` : `${Math.round(value / 86400)} d`;
}

export function ago(at: number, now = Date.now() / 1000): string {
  return now - at < 1.5 ? "now" : `${seconds(now - at)} ago`;
}

export function when(at: number): string {
  return new Date(at * 1000).toLocaleString();
}

/** The time of day, to the second. */
export function clock(at: number): string {
  return new Date(at * 1000).toLocaleTimeString();
}

/** A time of today as hours and minutes, another one with its day. */
export function moment(at: number): string {
  const then = new Date(at * 1000);
  const time = then.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  const isToday = then.toDateString() === new Date().toDateString();
  return isToday ? time : `${then.toLocaleDateString([], { day: "numeric", month: "short" })} ${time}`;
}

/** A name as words: `approve_refund` of a path is `approve refund`. */
export const nodeWords = (name: string): string => name.slice(name.lastIndexOf("/") + 1).replace(/[_-]+/g, " ");

/** What a run is called: what it is about, else a conversation's name, else its id. */
export const titleOf = (title: string, id: string): string => title || id.replace(/^ge:chat:/, "");

/** US dollars, with at least four places: `$0.0123`. */
export function dollars(amount: number | null | undefined): string {
  if (amount === null || amount === undefined) return "unknown cost";
  if (!amount) return "$0";
  const exponent = Number(amount.toExponential(1).split("e")[1]);
  return `$${places(amount, Math.max(4, Math.min(20, 1 - exponent)), 4)}`;
}

/** What models cost; "" if none was asked that has a price. */
export function cost(usage: Usage | null | undefined): string {
  if (!usage?.calls || usage.calls === usage.offline_calls) return "";
  return dollars(usage.cost_usd);
}

/** The sum of two costs, which is unknown if one of them is. */
export function both(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : one + other;
}

export function kilo(number: number): string {
  return number < 1000 ? `${number}` : `${places(number / 1000, 1)} k`;
}

export function tokens(usage: { input_tokens: number; output_tokens?: number } | null | undefined): string {
  const sum = (usage?.input_tokens || 0) + (usage?.output_tokens || 0);
  return sum ? kilo(sum) : "";
}

const LOSSES: Record<string, [string, string]> = {
  failed_items: ["item failed", "items failed"],
  failed_children: ["child run failed", "child runs failed"],
  fallbacks: ["fallback", "fallbacks"],
  retries: ["retry", "retries"],
  rejected_answers: ["answer rejected", "answers rejected"],
  failed_tools: ["tool call failed", "tool calls failed"],
};

/** What a run lost on its way, in words; "" if nothing. */
export function lost(losses: Record<string, number> | null | undefined): string {
  const found = Object.entries(losses || {}).filter(([name]) => LOSSES[name]);
  return found.map(([name, number]) => `${number} ${LOSSES[name]![number === 1 ? 0 : 1]}`).join(", ");
}

/** Whether something is missing from the result: a part of it failed, or a fallback stands for it. */
export function isLossy(losses: Record<string, number> | null | undefined): boolean {
  return Boolean(losses && (losses.failed_items || losses.fallbacks));
}

export function count(number: number, noun: string): string {
  return `${number.toLocaleString()} ${noun}${number === 1 ? "" : "s"}`;
}

export function wordsOf(text: string): number {
  return text.trim() ? text.trim().split(/\s+/).length : 0;
}

/** What messages have in common that differ only in numbers and quoted names. */
export function likeness(text: string): string {
  return text.replace(/'[^']*'|"[^"]*"/g, "‘…’").replace(/\d+/g, "#");
}

const SET_FIELDS = /,?"__fields_set__":\[[^\]]*\]/g; // a model's, which a record has beside them

/** A value on one line, at most so long. */
export function brief(value: unknown, limit = 160): string {
  const line = typeof value === "string" ? value : writeJson(value).replace(SET_FIELDS, "");
  const text = line.replace(/\s+/g, " ");
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}
