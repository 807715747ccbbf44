// All that the page knows: the core first, then the texts, chunk by chunk, from scripts beside the page.
import { computed, signal } from "@preact/signals";
import { factsOf, type Facts } from "./facts";
import { fold } from "./fold";
import type { Core, Data, Details, Language, Translated } from "./types";

export const ENGLISH = "eng_Latn";
const AT_ONCE = 3;
const PAUSE_MS = 150;

export const core = signal<Core | null>(null);
export const problem = signal<string | null>(null);
/** Counts up as chunks come in; what depends on texts reads it. */
export const arrived = signal(0);
export const chunksWanted = signal(0);
export const chunksHere = signal(0);

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
export const translated = (code: string, index: number): Record<string, Translated> | undefined =>
  translations.get(code)?.[index];
export const complete = computed(() => chunksHere.value >= chunksWanted.value);

declare global {
  interface Window {
    babelview: { receive: (name: string, json: string) => void };
    trustedTypes?: { createPolicy: (name: string, rules: { createScriptURL: (url: string) => string }) => Policy };
  }
}
interface Policy {
  createScriptURL: (url: string) => string;
}

const rules = {
  createScriptURL(url: string): string {
    if (!/^data\/[\w-]+\.js$/.test(url)) throw new TypeError(`not a part of this report: ${url}`);
    return url;
  },
};
const policy: Policy = window.trustedTypes?.createPolicy("report", rules) ?? rules;

const waiting: string[] = [];
const known = new Map<string, { code: string; number: number }>();
let loading = 0;
let announced = 0;

window.babelview = {
  receive(quotedName, json) {
    const name = JSON.parse(quotedName) as string;
    if (name === "core") begin(JSON.parse(json) as Core);
  },
};

function begin(found: Core): void {
  if (core.value) return;
  for (const [code, names] of Object.entries(found.chunks)) {
    translations.set(code, []);
    folded.set(code, []);
    names.forEach((name, number) => {
      if (name) known.set(name, { code, number });
    });
  }
  window.babelview.receive = (quotedName, json) => {
    const known_ = known.get(JSON.parse(quotedName) as string);
    if (known_) take(known_.code, known_.number * found.per_chunk, JSON.parse(json) as never[]);
  };
  chunksWanted.value = known.size;
  core.value = found;
}

/** Load the texts: the answers themselves first, then those in the language that is shown, then the others. */
export function loadTexts(first: string): void {
  const order = [...new Set([ENGLISH, first, ...languages.value.map((each) => each.code)])];
  for (const code of order) for (const name of core.value?.chunks[code] ?? []) if (name) waiting.push(name);
  for (let each = 0; each < AT_ONCE; each++) loadNext();
}

function loadNext(): void {
  const name = waiting.shift();
  if (!name) return;
  loading++;
  const script = document.createElement("script");
  const done = (): void => {
    script.remove();
    loading--;
    chunksHere.value++;
    announce();
    // A pause, in which the page is drawn and keys are heard.
    setTimeout(loadNext, 0);
  };
  script.onload = done;
  script.onerror = () => {
    problem.value = `data/${name}.js is missing: the report was moved without its folder, or written anew: load the page again`;
    done();
  };
  script.src = policy.createScriptURL(`data/${name}.js`);
  document.head.append(script);
}

function announce(): void {
  const now = performance.now();
  if (now - announced >= PAUSE_MS || (!waiting.length && !loading)) {
    announced = now;
    arrived.value++;
  }
}

function take(code: string, start: number, items: unknown[]): void {
  const texts = folded.get(code)!;
  items.forEach((item, offset) => {
    const index = start + offset;
    if (code === ENGLISH) {
      details[index] = item as Details;
      facts[index] = factsOf(item as Details);
    } else {
      translations.get(code)![index] = item as Record<string, Translated>;
    }
    const said = code === ENGLISH ? (item as Details).record.tasks : item;
    texts[index] = fold(textsOf(said as Data, code === ENGLISH).join("\n"));
  });
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
