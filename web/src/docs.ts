/** The API's description as a page: drawn from the server's own OpenAPI document, with nothing from elsewhere. */

import { $, el } from "./dom";

interface Schema {
  $ref?: string; type?: string; format?: string; enum?: unknown[]; anyOf?: Schema[]; items?: Schema; default?: unknown;
  description?: string; properties?: Record<string, Schema>; required?: string[]; minimum?: number; maximum?: number;
  contentEncoding?: string; exclusiveMaximum?: number; prefixItems?: Schema[];
}
interface Content { schema: Schema; example?: unknown }
interface Operation {
  summary: string; description?: string; parameters?: { name: string; in: string; description?: string }[];
  requestBody?: { content: Record<string, Content> };
  responses: Record<string, { description: string; content: Record<string, Content> }>;
}
interface Document {
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

function kind(schema: Schema): string {
  if (schema.$ref) return schema.$ref.replace(/.*\//, "");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf) return schema.anyOf.map(kind).join(" or ");
  if (schema.prefixItems) return `[${schema.prefixItems.map(kind).join(", ")}]`;
  if (schema.type === "array") return `list of ${kind(schema.items ?? {})}`;
  if (schema.format === "binary") return "file";
  if (schema.contentEncoding) return "base64";
  const bounds = [schema.minimum, schema.maximum ?? (schema.exclusiveMaximum && schema.exclusiveMaximum - 1)];
  const range = bounds.some((bound) => bound !== undefined) ? ` ${bounds[0] ?? ""} … ${bounds[1] ?? ""}` : "";
  return (schema.type ?? "anything") + range;
}

function table(of: Schema): HTMLElement {
  const rows = Object.entries(of.properties ?? {}).map(([name, schema]) => el("tr", {},
    el("td", {}, el("code", {}, name)),
    el("td", {}, kind(schema)),
    el("td", {}, [
      schema.description,
      of.required?.includes(name) || schema.default === undefined ? "" : `Default ${JSON.stringify(schema.default)}.`,
    ].filter(Boolean).join(" ").replaceAll("`", ""))));
  const head = el("thead", {}, el("tr", {}, ...["name", "type", "what"].map((text) => el("th", { scope: "col" }, text))));
  return el("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Fields" },
    el("table", {}, head, el("tbody", {}, ...rows)));
}

function code(text: string): HTMLElement {
  return el("pre", { tabindex: "0" }, el("code", {}, text));
}

function short(key: string, value: unknown): unknown {
  return typeof value === "string" && value.length > 60 && key !== "invented" ? `${value.slice(0, 40)}…` : value;
}

function operation(path: string, verb: string, of: Operation, schemas: Record<string, Schema>): HTMLElement {
  const parts: HTMLElement[] = [];
  const sentAs = of.requestBody?.content["multipart/form-data"]?.schema;
  const form = sentAs?.$ref ? schemas[kind(sentAs)] : sentAs;
  if (of.description && of.description !== `${of.summary}.`) parts.push(el("p", {}, of.description));
  const files = Object.keys(form?.properties ?? {}).filter((name) => ["photo", "mask"].includes(name));
  const sent = files.map((name) => ` -F ${name}=@${name}.${name === "mask" ? "png" : "jpg"}`).join("");
  parts.push(code(`curl${sent}${path.match(/unmask|complete/) ? " -o completed.jpg" : ""} ${new URL(path.slice(1), document.baseURI).href}`));
  if (of.parameters) {
    parts.push(el("h3", {}, "Parameters"));
    for (const each of of.parameters) parts.push(el("p", {}, el("code", {}, each.name), ` (${each.in}) ${each.description ?? ""}`));
  }
  if (form) parts.push(el("h3", {}, "Fields of the form, or of JSON with files in base64"), table(form));
  parts.push(el("h3", {}, "Answers"));
  const answers = Object.entries(of.responses).map(([status, answer]) => el("tr", {}, el("td", {}, el("code", {}, status)),
    el("td", {}, answer.description), el("td", {}, Object.keys(answer.content).join(", "))));
  parts.push(el("div", { class: "table", tabindex: "0", role: "group", "aria-label": "Answers" },
    el("table", {}, el("tbody", {}, ...answers))));
  const example = of.responses["200"]?.content["application/json"]?.example;
  if (example) parts.push(el("details", {}, el("summary", {}, "Example"), code(JSON.stringify(example, short, 2))));
  return el("details", {}, el("summary", {}, el("span", { class: `verb ${verb}` }, verb.toUpperCase()), el("code", {}, path),
    el("span", { class: "what" }, of.summary)), ...parts);
}

async function draw(): Promise<void> {
  const main = $("#content"), answer = await fetch("v1/openapi.json");
  const said = await answer.json() as Document;
  main.append(el("p", { class: "intro" }, said.info.description));
  for (const [path, verbs] of Object.entries(said.paths)) {
    for (const [verb, of] of Object.entries(verbs)) main.append(operation(path, verb, of, said.components.schemas));
  }
  main.append(el("h2", {}, "Records"));
  for (const [name, schema] of Object.entries(said.components.schemas)) {
    if (!schema.properties) continue;
    const what = (schema.description ?? "").replaceAll("`", "");
    main.append(el("details", {}, el("summary", {}, el("code", {}, name), el("span", { class: "what" }, what)), table(schema)));
  }
  main.removeAttribute("aria-busy");
}

void draw();
