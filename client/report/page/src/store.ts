// All that the page knows of the files and of what was said about them.
import { computed, signal } from "@preact/signals";
import { factsOf, type Facts } from "./facts";
import { fold } from "./fold";
import type { Core, Data, Details, Language, Translated } from "./types";

export const ENGLISH = "eng_Latn";

export const core = signal<Core | null>(null);
export const problem = signal<string | null>(null);
/** Counts up as chunks come in; what depends on texts reads it. */
export const arrived = signal(0);

export const details: (Details | undefined)[] = [];
export const facts: (Facts | undefined)[] = [];
const translations = new Map<string, (Record<string, Translated> | undefined)[]>();
/** By language: of each file all its texts, folded, to be searched. */
export const folded = new Map<string, (string | undefined)[]>();

export const count = computed(() => core.value?.items.id.length ?? 0);
export const languages = computed<Language[]>(() => core.value?.languages ?? []);
const numbers = computed(() => new Map(core.value?.items.id.map((id, index) => [id, index])));

/** The place of a file in the columns of the core, by its number. */
export const indexOf = (id: number): number | undefined => numbers.value.get(id);
export const languageOf = (code: string): Language | undefined => languages.value.find((each) => each.code === code);
const displayed = new Intl.DisplayNames(["en"], { type: "language" });
/** Of any language by its code (`eng_Latn`), also one of which the report has no texts; the code where nobody knows it. */
export function nameOfCode(code: string): string {
  try {
    return languageOf(code)?.name ?? displayed.of(code.split("_")[0]!) ?? code;
  } catch {
    return code; // it is none
  }
}
export const translated = (code: string, index: number): Record<string, Translated> | undefined =>
  translations.get(code)?.[index];
/** How many scripts with texts there are, and how many of them are read. */
export const chunksWanted = signal(0);
export const chunksHere = signal(0);
export const complete = computed(() => chunksHere.value >= chunksWanted.value);

/** Take up what was said about files from the place `start` on: details in English, else the translations by task. */
export function take(code: string, start: number, items: unknown[]): void {
  const texts = of(folded, code);
  const others = of(translations, code);
  items.forEach((item, offset) => {
    const index = start + offset;
    if (code === ENGLISH) {
      details[index] = item as Details;
      facts[index] = factsOf(item as Details);
    } else {
      others[index] = item as Record<string, Translated>;
    }
    const said = code === ENGLISH ? (item as Details).record.tasks : item;
    texts[index] = fold(textsOf(said as Data, code === ENGLISH).join("\n"));
  });
}

function of<Kind>(lists: Map<string, Kind[]>, code: string): Kind[] {
  const list = lists.get(code) ?? [];
  lists.set(code, list);
  return list;
}

const NO_TEXTS = new Set([
  "model", "prompt", "answered_at", "finish_reason", "verdict", "reasons", "reasoning", "question", "languages", "raw",
  "original_order", "translation_verdicts", "label",
]);

/** All texts in data; of a record's answers the fields that a reader would call text. */
function textsOf(data: Data, record: boolean): string[] {
  if (typeof data === "string") return [data];
  if (Array.isArray(data)) return data.flatMap((part) => textsOf(part, record));
  if (data && typeof data === "object") {
    return Object.entries(data).flatMap(([name, part]) => (record && NO_TEXTS.has(name) ? [] : textsOf(part, record)));
  }
  return [];
}
