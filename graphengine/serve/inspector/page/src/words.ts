// Numbers, times and statuses in words.

import { age, count, places } from "./formats";
import { writeJson } from "./json";
import { isLarge } from "./large";

export { cost, count, dollars, lost, seconds } from "./formats";

export const STATUSES = ["queued", "running", "interrupted", "waiting", "failed", "stopped", "cancelled", "finished"];

export function ago(at: number, now = Date.now() / 1000): string {
  return now - at < 1.5 ? "now" : age(now - at);
}

export function when(at: number): string {
  return new Date(at * 1000).toLocaleString();
}

/** The last midnight in the browser's time zone, as a Unix time in seconds. */
export function startOfDay(): number {
  return new Date().setHours(0, 0, 0, 0) / 1000;
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

/** The sum of two costs, which is unknown if one of them is. */
export function both(one: number | null, other: number | null): number | null {
  return one === null || other === null ? null : one + other;
}

/** How many runs below failed, as `failed_words` says it; "" if none did. */
export const failedBelow = (below: { runs: number; failed: number } | undefined): string =>
  below?.failed ? `${below.failed.toLocaleString()} of ${count(below.runs, "run")} below failed` : "";

export function kilo(number: number): string {
  return number < 1000 ? `${number}` : `${places(number / 1000, 1)} k`;
}

export function tokens(usage: { input_tokens: number; output_tokens?: number } | null | undefined): string {
  const sum = (usage?.input_tokens || 0) + (usage?.output_tokens || 0);
  return sum ? kilo(sum) : "";
}

/** Whether something is missing from the result: a part of it failed, or a fallback stands for it. */
export function isLossy(losses: Record<string, number> | null | undefined): boolean {
  return Boolean(losses && (losses.failed_items || losses.fallbacks));
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
  const line = typeof value === "string" || isLarge(value) ? `${value}` : writeJson(value).replace(SET_FIELDS, "");
  const text = line.replace(/\s+/g, " ");
  return text.length > limit ? `${text.slice(0, limit)}…` : text;
}
