// A form made from a JSON Schema: as far as answers of people go. Anything else is a field for JSON.

import { html } from "./html.js";

/** The schema that a reference leads to; `anyOf` with null is the other one, which may then be left out. */
function resolved(schema, root) {
  let found = schema || {};
  for (let depth = 0; found.$ref && depth < 20; depth += 1) {
    const path = found.$ref.replace(/^#\//, "").split("/");
    found = { ...path.reduce((at, key) => at?.[key], root), ...Object.fromEntries(Object.entries(found).filter(([key]) => key !== "$ref")) };
  }
  const others = (found.anyOf || []).filter((each) => each.type !== "null");
  if (found.anyOf && others.length === 1) return { ...resolved(others[0], root), optional: true, title: found.title };
  if (found.allOf?.length === 1) return { ...resolved(found.allOf[0], root), ...found, allOf: undefined };
  return found;
}

export function blank(schema, root = schema) {
  const found = resolved(schema, root);
  if (found.default !== undefined) return found.default;
  if (found.const !== undefined) return found.const;
  if (found.type === "object" && found.properties) {
    const required = found.required || [];
    return Object.fromEntries(Object.entries(found.properties).filter(([name, each]) => required.includes(name) || resolved(each, root).default !== undefined).map(([name, each]) => [name, blank(each, root)]));
  }
  if (found.type === "string" && !found.enum) return "";
  return found.type === "array" ? [] : undefined;
}

/** The schemas of which a value fits one, if there are several. */
function branchesOf(found, root) {
  const branches = (found.anyOf || []).map((each) => resolved(each, root));
  return branches.length > 1 ? branches : null;
}

/** Whether a branch is the one that a value was made for. */
function suits(branch, value) {
  if (branch.enum || branch.type === "boolean") return (branch.enum || [true, false]).includes(value);
  if (branch.type === "object") return value !== null && typeof value === "object" && !Array.isArray(value) && (branch.required || []).every((name) => name in value);
  if (branch.type === "array") return Array.isArray(value);
  if (branch.type === "null") return value === null;
  return typeof value === (branch.type === "string" ? "string" : "number");
}

/** The members of an object that differ from their defaults, or that have none: so that the server knows which were set. */
export function changedFields(schema, value) {
  const isSame = (name, each) => JSON.stringify(schema.properties?.[name]?.default) === JSON.stringify(each);
  return Object.fromEntries(Object.entries(value).filter(([name, each]) => each !== undefined && each?.broken === undefined && !isSame(name, each)));
}

/** What is missing before an answer can be sent; "" if nothing. */
export function problemOf(schema, value, root = schema) {
  const found = resolved(schema, root);
  if (value === undefined && !found.optional) return "not answered yet";
  if (Number.isNaN(value)) return "not a number";
  const branch = branchesOf(found, root)?.find((each) => suits(each, value));
  if (branch) return problemOf(branch, value, root);
  if (found.type === "object" && found.properties && value) {
    for (const name of found.required || []) {
      const problem = problemOf(found.properties[name], value[name], root);
      if (problem) return `${name}: ${problem}`;
    }
  }
  return value?.broken !== undefined ? "not JSON" : "";
}

export function Field({ schema, root, value, set, name }) {
  const found = resolved(schema, root);
  const options = found.enum || (found.type === "boolean" ? [true, false] : null);
  const about = found.description ? html`<small class="soft">${found.description}</small>` : null;
  if (options) {
    const word = (each) => (each === true ? "yes" : each === false ? "no" : String(each));
    return html`<div role="radiogroup" aria-label=${name} class="options">${options.map((each) => html`<button type="button" role="radio" aria-checked=${value === each} onClick=${() => set(each)}>${word(each)}</button>`)} ${about}</div>`;
  }
  const branches = branchesOf(found, root);
  if (branches) {
    const chosen = branches.find((each) => suits(each, value));
    const buttons = branches.flatMap((each) => (each.type === "boolean" ? [["yes", true], ["no", false]] : each.enum ? each.enum.map((one) => [String(one), one]) : [[each.title || (each.type === "null" ? "none" : each.type || "JSON"), each.type === "null" ? null : blank(each, root), each]]));
    const isPlain = !chosen || chosen.enum || ["boolean", "null"].includes(chosen.type);
    return html`<div role="radiogroup" aria-label=${name} class="options">${buttons.map(([word, made, each]) => html`<button type="button" role="radio" aria-checked=${each ? each === chosen : value === made} onClick=${() => set(made)}>${word}</button>`)} ${about}</div>
      ${!isPlain && html`<${Field} schema=${chosen} root=${root} value=${value} set=${set} name=${name} />`}`;
  }
  if (found.type === "object" && found.properties) {
    return html`<fieldset>${Object.entries(found.properties).map(([key, each]) => html`<div class="field"><span class="label">${key}${(found.required || []).includes(key) ? "" : html` <small class="soft">optional</small>`}</span>
      <div><${Field} schema=${each} root=${root} value=${value?.[key]} name=${key} set=${(made) => set({ ...value, [key]: made })} /></div></div>`)}</fieldset>`;
  }
  if (found.type === "integer" || found.type === "number") {
    return html`<input type="number" aria-label=${name} step=${found.type === "integer" ? 1 : "any"} min=${found.minimum} max=${found.maximum} value=${value ?? ""}
      onInput=${(event) => set(event.target.value === "" ? undefined : Number(event.target.value))} /> ${about}`;
  }
  if (found.format === "password") {
    return html`<input type="password" aria-label=${name} autocomplete="off" value=${value ?? ""} onInput=${(event) => set(event.target.value || undefined)} /> ${about}`;
  }
  if (found.type === "string" || !schema) {
    return html`<textarea aria-label=${name} rows=${found.maxLength && found.maxLength < 100 ? 1 : String(value ?? "").length > 60 ? 4 : 2} maxlength=${found.maxLength} value=${value ?? ""} onInput=${(event) => set(event.target.value)}></textarea> ${about}`;
  }
  const parse = (text) => {
    if (!text.trim()) return set(undefined);
    try {
      set(JSON.parse(text));
    } catch {
      set({ broken: text });
    }
  };
  return html`<textarea aria-label=${`${name}, as JSON`} rows=${Array.isArray(value) && !value.length ? 1 : 3} onInput=${(event) => parse(event.target.value)}>${value?.broken ?? (value === undefined ? "" : JSON.stringify(value, null, 2))}</textarea> <small class="soft">JSON</small> ${about}`;
}
