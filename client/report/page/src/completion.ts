// What may come next in the search field.
import { fold } from "./fold";
import { FIELDS, NUMBERS, STATES } from "./query";
import { quoted } from "./state";
import { arrived, core, details, ENGLISH, facts, languages } from "./store";
import { columnOf } from "./facts";

export interface Suggestion {
  label: string;
  about: string;
  /** The whole query once it is taken, and where the caret goes. */
  text: string;
  caret: number;
  /** A condition that is whole: nothing more is to be suggested. */
  done: boolean;
}

const MOST = 9;
let counted = { at: -1, values: new Map<string, [string, number][]>() };

export function suggestions(text: string, caret: number): Suggestion[] {
  const before = /(?:[^\s()"]|"[^"]*"?)*$/.exec(text.slice(0, caret))![0];
  const start = caret - before.length;
  const minus = before.startsWith("-") ? "-" : "";
  const word = before.slice(minus.length);
  const made = (label: string, about: string, done: boolean): Suggestion => {
    const inserted = `${minus}${label}${done ? " " : ""}`;
    const after = text.slice(caret).replace(/^[^\s()]*/, "");
    return { label, about, text: text.slice(0, start) + inserted + after.trimStart(), caret: start + inserted.length, done };
  };
  const field = /^([\p{L}_][\p{L}\p{M}\p{N}_-]*):(.*)$/u.exec(word);
  if (field) {
    const name = field[1]!.toLowerCase();
    const value = fold(field[2]!.replaceAll('"', ""));
    const matching = valuesOf(name).filter(([each]) => fold(each).includes(value));
    const begins = ([each]: [string, number]): number => (fold(each).startsWith(value) ? 0 : 1);
    return matching
      .sort((one, other) => begins(one) - begins(other))
      .slice(0, MOST)
      .map(([each, times]) => made(`${name}:${quoted(each)}`, times ? times.toLocaleString() : "", true));
  }
  const part = word.toLowerCase();
  if (/^\p{L}*$/u.test(part) === false) return [];
  const names: [string, string, boolean][] = [
    ...Object.entries(STATES).map(([name, { about }]): [string, string, boolean] => [name, about, true]),
    ...Object.entries(FIELDS).map(([name, { about }]): [string, string, boolean] => [`${name}:`, about, false]),
    ...Object.entries(NUMBERS).map(([name, { about }]): [string, string, boolean] => [`${name}>`, about, false]),
    ...(core.value?.columns ?? []).map((name): [string, string, boolean] => [`${name.toLowerCase().replaceAll(" ", "_")}:`, "a column of your list of files", false]),
  ];
  const order = ["tag:", "sentiment:", "lang:", "text:", "duration>", "failed", "doubtful", "kind:", "brand:"];
  if (!part) return order.map((each) => names.find(([name]) => name === each)!).map((each) => made(...each));
  const found = [...names.filter(([name]) => name.startsWith(part) && name !== part), ...aboutLanguages(fold(part))];
  return found.slice(0, MOST).map((each) => made(...each));
}

const LEAST = 3;

/** What can be asked of a language whose name begins so. */
function aboutLanguages(part: string): [string, string, boolean][] {
  if (part.length < LEAST) return [];
  const matching = languages.value.filter(({ code, name }) => code !== ENGLISH && fold(name).startsWith(part));
  return matching.flatMap(({ code, name }): [string, string, boolean][] => [
    [`lang:${short(code)}`, `is translated into ${name}`, true],
    [`doubtful:${short(code)}`, `has doubtful sentences in ${name}`, true],
  ]);
}

/** What was probably meant, where nothing was found: "doubtful Hindi" is no text that a file has in it. */
export function otherQuery(text: string): string | null {
  const words = text.trim().split(/\s+/);
  const place = words.findIndex((word) => languageNamed(word) !== undefined);
  if (place < 0) return null;
  const code = short(languageNamed(words[place]!)!.code);
  const doubtful = words.findIndex((word) => word.toLowerCase() === "doubtful");
  const others = words.filter((_, at) => at !== place && at !== doubtful);
  return [...others, doubtful < 0 ? `lang:${code}` : `doubtful:${code}`].join(" ");
}

const languageNamed = (word: string) => languages.value.find(({ code, name }) => code !== ENGLISH && fold(name) === fold(word));

/** The values of a field that there are, the most frequent first. */
function valuesOf(name: string): [string, number][] {
  if (counted.at !== arrived.value) counted = { at: arrived.value, values: new Map() };
  let found = counted.values.get(name);
  if (!found) {
    const times = new Map<string, number>();
    const column = core.value?.columns.find((each) => each.toLowerCase().replaceAll(" ", "_") === name);
    facts.forEach((known, index) => {
      if (!known) return;
      const record = details[index]!.record;
      const values: string[] =
        name === "tag" ? known.tags
        : name === "sentiment" ? known.sentiment
        : name === "brand" ? known.brands
        : name === "lang" ? known.languages.map(short)
        : name === "doubtful" ? known.doubtful.map(short)
        : name === "task" ? known.tasks
        : name === "model" ? known.models
        : name === "kind" ? [record.kind ?? ""]
        : name === "verdict" ? [known.verdict]
        : column !== undefined ? [columnOf(record, column) ?? ""]
        : [];
      for (const value of values) if (value) times.set(value, (times.get(value) ?? 0) + 1);
    });
    found = [...times].sort((one, other) => other[1] - one[1]);
    counted.values.set(name, found);
  }
  return found;
}

/** `spa`, or the whole code where two languages have the same beginning. */
function short(code: string): string {
  const beginning = code.split("_")[0]!;
  return languages.value.filter((each) => each.code.startsWith(`${beginning}_`)).length === 1 ? beginning : code;
}
