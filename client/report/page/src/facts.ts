// What files can be filtered, sorted and counted by.
import { fold } from "./fold";
import type { Answer, Data, Details, FileRecord } from "./types";

export interface Facts {
  /** Items of lists, as they are shown. */
  tags: string[];
  sentiment: string[];
  brands: string[];
  languages: string[];
  /** Languages with doubtful sentences. */
  doubtful: string[];
  models: string[];
  tasks: string[];
  verdict: string;
  tokens: number;
  seconds: number;
  requestSeconds: number;
  answered: string;
  /** Each item of tags and brands stands between spaces, on a line of its own. */
  folded: { tags: string; brands: string; file: string; error: string; warnings: string; reasons: string };
}

export function factsOf({ record }: Details): Facts {
  const answers = Object.entries(record.tasks);
  const said = answers.map(([, answer]) => answer);
  const unique = (values: Iterable<string>): string[] => [...new Set(values)];
  const tags = unique(answers.flatMap(([key, answer]) => itemsOf(key, answer) ?? []));
  const brands = unique(said.flatMap((answer) => brandsOf(answer)));
  const verdicts = new Set(said.map((answer) => answer.verdict));
  return {
    tags,
    brands,
    sentiment: unique(said.flatMap((answer) => (answer.label ? [answer.label] : []))),
    languages: unique(said.flatMap((answer) => answer.languages)),
    doubtful: unique(
      said.flatMap((answer) =>
        Object.entries(answer.translation_verdicts ?? {}).flatMap(([code, counts]) => (counts["doubtful"] ? [code] : [])),
      ),
    ),
    models: unique(said.map((answer) => answer.model)),
    tasks: answers.map(([key]) => key),
    verdict: ["doubtful", "retried", "ok"].find((verdict) => verdicts.has(verdict)) ?? "",
    tokens: said.reduce((sum, answer) => sum + answer.generated_tokens, 0),
    seconds: record.total_processing_time_sec,
    requestSeconds: said.reduce((sum, answer) => sum + answer.request_time_sec, 0),
    answered: said.map((answer) => answer.answered_at).sort().at(-1) ?? "",
    folded: {
      tags: lines(tags),
      brands: lines(brands),
      file: fold(record.file),
      error: fold(record.error ?? ""),
      warnings: fold(record.warnings.join("\n")),
      reasons: fold(said.flatMap((answer) => answer.reasons ?? []).join("\n")),
    },
  };
}

const lines = (items: string[]): string => items.map((item) => ` ${fold(item)} `).join("\n");

/** The items of a list, which stands under its task's name; a task that was asked several questions has numbers. */
export function itemsOf(key: string, answer: Answer): string[] | null {
  if (!("raw" in answer) || "data" in answer) return null;
  const found = answer[key] ?? answer[key.replace(/-\d+_*$/, "")];
  return Array.isArray(found) ? found.map(String) : null;
}

/** Brands of structured answers, of the whole and of parts. */
function brandsOf(answer: Answer): string[] {
  const all = [answer.data, ...(answer.segments ?? []).map((segment) => segment.data)];
  return all.flatMap((data) => named(data, "brands"));
}

function named(data: Data | undefined, name: string): string[] {
  if (!data || typeof data !== "object" || Array.isArray(data)) return [];
  const found = data[name] ?? (name === "brands" ? data["brand"] : undefined);
  const list = Array.isArray(found) ? found : found === undefined ? [] : [found];
  return list.flatMap((item) => (typeof item === "string" ? [item] : item && typeof item === "object" && !Array.isArray(item) && typeof item["name"] === "string" ? [item["name"]] : []));
}

/** The value of a manifest's column as text. */
export function columnOf(record: FileRecord, column: string): string | null {
  const manifest = record.manifest;
  if (!manifest || !Object.hasOwn(manifest, column)) return null;
  const value = manifest[column];
  return typeof value === "string" ? value : JSON.stringify(value);
}
