// Records as the service gives them, as the report's components take them: translations apart from answers.
import { arrived, core, details, ENGLISH, take } from "../store";
import type { Answer, Data, FileRecord, Segment, Translated } from "../types";

type Translations = Record<string, Data>;
const QUESTION = /^ask(-\d+)?$/;

/** Show a file of which nothing is known yet. */
export function showFile(index: number, name: string, media: string): void {
  const record: FileRecord = {
    file: name,
    kind: null,
    sha256: null,
    size_mb: null,
    tasks: {},
    total_processing_time_sec: 0,
    warnings: [],
    error: null,
  };
  take(ENGLISH, index, [{ record, media }]);
}

/** Show what was answered about a file, beside what was before. */
export function showRecord(index: number, name: string, given: FileRecord): void {
  const { record: before, media } = details[index]!;
  const { record, translations } = apart(renamed(given, before));
  record.file = name;
  record.tasks = { ...before.tasks, ...record.tasks };
  record.warnings = [...new Set([...before.warnings, ...record.warnings])];
  record.total_processing_time_sec = Math.round(1000 * (before.total_processing_time_sec + record.total_processing_time_sec)) / 1000;
  take(ENGLISH, index, [media === undefined ? { record } : { record, media }]);
  for (const [code, said] of translations) takeTranslations(code, index, said);
  const { items } = core.value!;
  items.duration[index] = record.duration_sec ?? 0;
  arrived.value++;
}

const known = new Map<string, Record<string, Translated>>();

function takeTranslations(code: string, index: number, said: Record<string, Translated>): void {
  const all = { ...known.get(`${code} ${index}`), ...said };
  known.set(`${code} ${index}`, all);
  take(code, index, [all]);
}

/** A record whose answers to questions have names that no earlier one has. */
function renamed(given: FileRecord, before: FileRecord): FileRecord {
  const tasks: Record<string, Answer> = {};
  let { warnings } = given;
  for (const [key, answer] of Object.entries(given.tasks)) {
    const name = QUESTION.test(key) ? free("ask", { ...before.tasks, ...tasks }) : key;
    tasks[name] = answer;
    warnings = warnings.map((warning) => (warning.startsWith(`${key}: `) ? name + warning.slice(key.length) : warning));
  }
  return { ...given, tasks, warnings };
}

function free(key: string, taken: object): string {
  if (!Object.hasOwn(taken, key)) return key;
  let number = 2;
  while (Object.hasOwn(taken, `${key}-${number}`)) number++;
  return `${key}-${number}`;
}

function apart(given: FileRecord): { record: FileRecord; translations: Map<string, Record<string, Translated>> } {
  const found = new Map<string, Record<string, Translated>>();
  const of = (code: string, key: string): Translated => {
    const tasks = found.get(code) ?? {};
    found.set(code, tasks);
    return (tasks[key] ??= {});
  };
  const record = structuredClone(given);
  for (const [key, answer] of Object.entries(record.tasks)) {
    const languages = new Set<string>();
    for (const [code, text] of Object.entries(taken(answer))) {
      of(code, key).text = text;
      languages.add(code);
    }
    const segments = answer.segments ?? [];
    segments.forEach((segment, number) => {
      for (const [code, text] of Object.entries(taken(segment))) {
        (of(code, key).segments ??= segments.map(() => null))[number] = text;
        languages.add(code);
      }
    });
    answer.languages = [...languages];
  }
  return { record, translations: found };
}

/** The translations of an answer, or of a segment, which has none any more. */
function taken(said: (Answer | Segment) & { translations?: Translations }): Translations {
  const translations = said.translations ?? {};
  delete said.translations;
  return translations;
}
