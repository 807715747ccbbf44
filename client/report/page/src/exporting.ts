// The files that are shown, or selected, as CSV and JSONL: records as docs/output.md has them, with what was changed here.
import { reviewOf } from "./edits";
import { core, details, ENGLISH, languages, translated } from "./store";
import { shownAnswers, type Shown } from "./texts";
import type { FileRecord } from "./types";

/** The record of a file, as `results.jsonl` has it. */
function recordOf(index: number): FileRecord | null {
  const known = details[index];
  if (!known) return null;
  const record: FileRecord = structuredClone(known.record);
  const review = reviewOf(index);
  if (review) record.review = review;
  else delete record.review;
  for (const [key, answer] of Object.entries<Record<string, unknown>>(record.tasks)) {
    const codes = answer["languages"] as string[];
    delete answer["languages"];
    const english = shownAnswers(index, ENGLISH).find((each) => each.key === key)!;
    put(answer, english, key);
    const others: Record<string, unknown> = {};
    for (const code of codes) {
      const said = translated(code, index)?.[key];
      const own = shownAnswers(index, code).find((each) => each.key === key)!;
      if (said?.text !== undefined) others[code] = own.items ?? own.text ?? own.data;
      own.segments.forEach((segment, number) => {
        const target = (answer["segments"] as Record<string, unknown>[])[number]!;
        if (said?.segments?.[number] == null) return;
        const texts = (target["translations"] ??= {}) as Record<string, unknown>;
        texts[code] = segment.data ?? segment.text;
      });
      note(answer, own, code);
    }
    answer["translations"] = others;
  }
  return record;
}

/** What was changed here, in the fields of the answer. */
function put(answer: Record<string, unknown>, shown: Shown, key: string): void {
  if (shown.items) answer[Object.hasOwn(answer, key) ? key : key.replace(/-\d+_*$/, "")] = shown.items;
  else if (shown.text !== null) answer["text"] = shown.text;
  else if (shown.schema !== undefined) answer["data"] = shown.data;
  shown.segments.forEach((segment, number) => {
    const target = (answer["segments"] as Record<string, unknown>[])[number]!;
    if (typeof target["text"] === "string") target["text"] = segment.text;
    if (segment.schema !== undefined) target["data"] = segment.data;
  });
  note(answer, shown, ENGLISH);
}

/** Beside what was changed stand the words of the model. */
function note(answer: Record<string, unknown>, shown: Shown, code: string): void {
  if (shown.edited && !shown.inEnglish && shown.was) {
    const edited = (answer["edited"] ??= {}) as Record<string, unknown>;
    edited[code] = shown.items ? shown.was : asStored(shown.schema, shown.was[0]!);
  }
  shown.segments.forEach((segment, number) => {
    if (!segment.edited || segment.inEnglish) return;
    const target = (answer["segments"] as Record<string, unknown>[])[number]!;
    const edited = (target["edited"] ??= {}) as Record<string, unknown>;
    edited[code] = asStored(segment.schema, segment.was ?? "");
  });
}

/** Data stand as data. */
const asStored = (schema: number | undefined, text: string): unknown => (schema === undefined ? text : JSON.parse(text));

export function exportJsonl(indices: number[]): string {
  return indices.map((index) => `${JSON.stringify(recordOf(index))}\n`).join("");
}

const FORMULA = /^'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/** A row for each file: as `results.csv`, with the columns that people read. */
export function exportCsv(indices: number[]): string {
  const others = languages.value.map((each) => each.code).filter((code) => code !== ENGLISH);
  const tasks = core.value!.tasks.map((task) => task.key);
  const columns = core.value!.columns.map((column) => (column === "file" || column === "kind" ? `manifest_${column}` : column || "manifest"));
  const head = ["file", "kind", ...columns];
  for (const task of tasks) head.push(task, `${task}_label`, `${task}_verdict`, ...others.map((code) => `${task}_${code}`), `${task}_edited`);
  head.push("error", "review", "warnings", "sha256", "duration_sec", "width", "height");
  const lines = [head];
  for (const index of indices) {
    const record = details[index]?.record;
    if (!record) continue;
    const english = new Map(shownAnswers(index, ENGLISH).map((each) => [each.key, each]));
    const translations = others.map((code) => new Map(shownAnswers(index, code).map((each) => [each.key, each])));
    const row = [record.file, record.kind ?? "", ...core.value!.columns.map((column) => cell(record.manifest?.[column]))];
    for (const task of tasks) {
      const said = english.get(task);
      const all = [said, ...translations.map((each) => each.get(task))];
      row.push(textOf(said), said?.answer.label ?? "", said?.answer.verdict ?? "");
      row.push(...all.slice(1).map((each) => (each && !each.inEnglish ? textOf(each) : "")));
      row.push(all.flatMap((each, at) => (each?.edited && !each.inEnglish ? [at ? others[at - 1]! : ENGLISH] : [])).join("; "));
    }
    row.push(record.error ?? "", reviewOf(index)?.state ?? "", record.warnings.join("; "), record.sha256 ?? "");
    row.push(...[record.duration_sec, record.width, record.height].map(cell));
    lines.push(row);
  }
  return `\ufeff${lines.map((line) => `${line.map(quoted).join(",")}\r\n`).join("")}`;
}

function textOf(shown: Shown | undefined): string {
  if (!shown) return "";
  if (shown.items) return shown.items.join("; ");
  if (shown.text !== null) return shown.text;
  if (shown.data !== undefined) return JSON.stringify(shown.data);
  return shown.segments.map((segment) => `${segment.start}-${segment.end}: ${segment.text}`).join("\n");
}

const cell = (value: unknown): string =>
  value === undefined || value === null ? "" : typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value);

/** Quoted where CSV needs it; an apostrophe keeps a spreadsheet from taking a text for a formula. */
function quoted(value: string): string {
  const safe = FORMULA.test(value) && Number.isNaN(Number(value)) ? `'${value}` : value;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
