// A form made from a JSON Schema: as far as answers of people go. Anything else is a field for JSON.

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

import { numberOf, readJson, writeJson } from "./json";

export interface Schema {
  $ref?: string;
  anyOf?: Schema[];
  allOf?: Schema[];
  type?: string;
  enum?: unknown[];
  const?: unknown;
  title?: string;
  default?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  description?: string;
  minimum?: number;
  maximum?: number;
  maxLength?: number;
  format?: string;
  optional?: boolean;
  [key: string]: unknown;
}

/** The schema that a reference leads to; `anyOf` with null is the other one, which may then be left out. */
export function resolved(schema: Schema | null | undefined, root: Schema): Schema {
  let found: Schema = schema || {};
  for (let depth = 0; found.$ref && depth < 20; depth += 1) {
    const path = found.$ref.replace(/^#\//, "").split("/");
    const target = path.reduce((at: any, key) => at?.[key], root) as Schema;
    found = { ...target, ...Object.fromEntries(Object.entries(found).filter(([key]) => key !== "$ref")) };
  }
  const others = (found.anyOf || []).filter((each) => each.type !== "null");
  if (found.anyOf && others.length === 1) return { ...resolved(others[0], root), optional: true, title: found.title };
  if (found.allOf?.length === 1) return { ...resolved(found.allOf[0], root), ...found, allOf: undefined };
  return found;
}

export function blank(schema: Schema | null | undefined, root: Schema = schema || {}): any {
  const found = resolved(schema, root);
  if (found.default !== undefined) return found.default;
  if (found.const !== undefined) return found.const;
  if (found.type === "object" && found.properties) {
    const required = found.required || [];
    const wanted = Object.entries(found.properties).filter(
      ([name, each]) => required.includes(name) || resolved(each, root).default !== undefined,
    );
    return Object.fromEntries(wanted.map(([name, each]) => [name, blank(each, root)]));
  }
  if (found.type === "string" && !found.enum) return "";
  return found.type === "array" ? [] : undefined;
}

/** The schemas of which a value fits one, if there are several. */
export function branchesOf(found: Schema, root: Schema): Schema[] | null {
  const branches = (found.anyOf || []).map((each) => resolved(each, root));
  return branches.length > 1 ? branches : null;
}

/** Whether a branch is the one that a value was made for. */
function suits(branch: Schema, value: any): boolean {
  if (branch.enum || branch.type === "boolean") return (branch.enum || [true, false]).includes(value);
  if (branch.type === "object") {
    const isObject = value !== null && typeof value === "object" && !Array.isArray(value);
    return isObject && (branch.required || []).every((name) => name in value);
  }
  if (branch.type === "array") return Array.isArray(value);
  if (branch.type === "null") return value === null;
  return (branch.type === "string" ? ["string"] : ["number", "bigint"]).includes(typeof value);
}

/** The members of an object that differ from their defaults, or have none: so that the server knows what was set. */
export function changedFields(schema: Schema, value: Record<string, any>): Record<string, unknown> {
  const isSame = (name: string, each: unknown) =>
    writeJson(schema.properties?.[name]?.default) === writeJson(each);
  return Object.fromEntries(
    Object.entries(value).filter(
      ([name, each]) => each !== undefined && each?.broken === undefined && !isSame(name, each),
    ),
  );
}

/** An object with a changed member, which is then one of the set fields, if the record of a model has them. */
function withMember(value: any, name: string, made: unknown): object {
  const names = value?.__fields_set__;
  const isLeft = !Array.isArray(names) || (names.includes(name) && made !== undefined);
  if (isLeft) return { ...value, [name]: made };
  const others = names.filter((each) => each !== name);
  return { ...value, [name]: made, __fields_set__: made === undefined ? others : [...others, name] };
}

/** What is missing before an answer can be sent; "" if nothing. */
export function problemOf(schema: Schema | null | undefined, value: any, root: Schema = schema || {}): string {
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

/** Answers that one click gives: yes and no, or the words of a choice. */
export function clicksOf(schema: Schema | null | undefined): [string, unknown][] {
  const root = schema || {};
  const found = resolved(schema, root);
  const options = (each: Schema): [string, unknown][] => {
    if (each.type === "boolean")
      return [
        ["Yes", true],
        ["No", false],
      ];
    return (each.enum || []).map((one) => [String(one), one]);
  };
  const branches = branchesOf(found, root);
  return branches ? branches.flatMap(options) : options(found);
}

export function Field({
  schema,
  root,
  value,
  set,
  name,
  isLeft = false,
}: {
  schema: Schema | null | undefined;
  root: Schema;
  value: any;
  set: (value: any) => void;
  name: string;
  isLeft?: boolean;
}) {
  const found = resolved(schema, root);
  const options = found.enum || (found.type === "boolean" ? [true, false] : null);
  const about = found.description ? <small class="soft">{found.description}</small> : null;
  if (options) {
    const word = (each: unknown) => (each === true ? "yes" : each === false ? "no" : String(each));
    return (
      <div role="radiogroup" aria-label={name} class="options">
        {options.map((each) => (
          <button type="button" role="radio" class="btn" aria-checked={value === each} onClick={() => set(each)}>
            {word(each)}
          </button>
        ))}{" "}
        {about}
      </div>
    );
  }
  const branches = branchesOf(found, root);
  if (branches) return <Choice {...{ branches, root, value, set, name, isLeft }} />;
  if (found.type === "object" && found.properties) {
    return (
      <fieldset>
        {Object.entries(found.properties).map(([key, each]) => (
          <div class="field" key={key}>
            <span class="label">
              {key}
              {(found.required || []).includes(key) ? "" : <small class="soft"> optional</small>}
            </span>
            <div>
              <Field
                schema={each}
                root={root}
                value={value?.[key]}
                name={key}
                set={(made) => set(withMember(value, key, made))}
              />
            </div>
          </div>
        ))}
      </fieldset>
    );
  }
  if (found.type === "integer" || found.type === "number") {
    return (
      <>
        <input
          type="number"
          class="btn"
          aria-label={name}
          step={found.type === "integer" ? 1 : "any"}
          min={found.minimum}
          max={found.maximum}
          value={value ?? ""}
          onInput={({ currentTarget: { value: text } }) => set(text === "" ? undefined : numberOf(text))}
        />{" "}
        {about}
      </>
    );
  }
  if (found.format === "password") {
    return (
      <>
        <input
          type="password"
          class="btn"
          aria-label={name}
          autocomplete="off"
          value={value ?? ""}
          onInput={(event) => set(event.currentTarget.value || undefined)}
        />{" "}
        {about}
      </>
    );
  }
  if (found.type === "string" || !schema) {
    const text = String(value ?? "");
    const rows = found.maxLength && found.maxLength < 100 ? 1 : text.length > 60 || text.includes("\n") ? 5 : 2;
    return (
      <>
        <textarea
          aria-label={name}
          rows={rows}
          maxLength={found.maxLength}
          value={text}
          onInput={(event) => set(event.currentTarget.value)}
        />{" "}
        {about}
      </>
    );
  }
  return <JsonField {...{ value, set, name, about }} />;
}

/** A field for JSON, which is read once it is left: a form that is drawn again meanwhile keeps what is typed. */
function JsonField({
  value,
  set,
  name,
  about,
}: {
  value: any;
  set: (value: any) => void;
  name: string;
  about: ComponentChildren;
}) {
  const [typed, setTyped] = useState<string | null>(null);
  const parse = (text: string) => {
    setTyped(null);
    if (!text.trim()) return set(undefined);
    try {
      return set(readJson(text));
    } catch {
      return set({ broken: text });
    }
  };
  return (
    <>
      <textarea
        aria-label={`${name}, as JSON`}
        rows={Array.isArray(value) && !value.length ? 1 : 3}
        value={typed ?? value?.broken ?? writeJson(value, 2)}
        onInput={(event) => setTyped(event.currentTarget.value)}
        onChange={(event) => parse(event.currentTarget.value)}
      />{" "}
      <small class="soft">JSON</small> {about}
    </>
  );
}

/** One of several schemas. `isLeft`: those that one click answers have buttons elsewhere. */
function Choice({
  branches,
  root,
  value,
  set,
  name,
  isLeft,
}: {
  branches: Schema[];
  root: Schema;
  value: any;
  set: (value: any) => void;
  name: string;
  isLeft: boolean;
}) {
  const chosen = branches.find((each) => suits(each, value));
  const isPlain = (each: Schema) => Boolean(each.enum) || ["boolean", "null"].includes(each.type || "");
  const buttons = branches.flatMap((each): [string, unknown, Schema?][] => {
    if (each.type === "boolean")
      return isLeft
        ? []
        : [
            ["yes", true],
            ["no", false],
          ];
    if (each.enum) return isLeft ? [] : each.enum.map((one) => [String(one), one]);
    if (each.type === "null") return [[each.title || "none", null]];
    return [[each.title || each.type || "JSON", blank(each, root), each]];
  });
  return (
    <>
      <div role="radiogroup" aria-label={name} class="options">
        {buttons.map(([word, made, each]) => (
          <button
            type="button"
            class="btn"
            role="radio"
            aria-checked={each ? each === chosen : value === made}
            onClick={() => set(made)}
          >
            {word}
          </button>
        ))}
      </div>
      {chosen && !isPlain(chosen) && <Field schema={chosen} root={root} value={value} set={set} name={name} />}
    </>
  );
}
