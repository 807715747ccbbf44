// Filters: from what was typed to what a file has to be.
import { reviewOf, isEdited } from "./edits";
import { columnOf, type Facts } from "./facts";
import { fold } from "./fold";
import { parse, type Node } from "./query.peggy";
import { core, details, facts, folded } from "./store";
import { FLAGS, type Core, type Details } from "./types";

type Test = (index: number) => boolean;

export interface Query {
  test: Test;
  /** Folded texts that are looked for, to be highlighted. */
  needles: string[];
}

export class QueryError extends Error {
  constructor(
    message: string,
    readonly at: number,
  ) {
    super(message);
  }
}

interface Field {
  about: string;
  test: (value: string) => (facts: Facts, details: Details, index: number) => boolean;
}

/** What whole words of an item, between spaces, hold: tag:car finds "red car", not "cartoon"; car* finds both. */
const wordsOf = (value: string): string => (value.endsWith("*") ? ` ${value.slice(0, -1)}` : ` ${value} `);

/** spa finds spa_Latn; a tag (es) or name (Spanish) does too. */
function languageCodes(value: string, found: Core): string[] {
  return found.languages
    .filter(({ code, tag, name }) => [code, code.split("_")[0]!, tag, name].some((each) => fold(each) === value))
    .map(({ code }) => code);
}

export const FIELDS: Record<string, Field> = {
  tag: { about: "has this tag", test: (value) => ((words) => (known) => known.folded.tags.includes(words))(wordsOf(value)) },
  sentiment: { about: "positive, negative, neutral, mixed", test: (value) => (known) => known.sentiment.includes(value) },
  brand: { about: "data of an answer, such as elements or ad_facts, name this brand", test: (value) => ((words) => (known) => known.folded.brands.includes(words))(wordsOf(value)) },
  lang: {
    about: "is translated into this language",
    test: (value) => {
      const codes = languageCodes(value, core.value!);
      return (known) => known.languages.some((code) => codes.includes(code));
    },
  },
  doubtful: {
    about: "has doubtful sentences in this language",
    test: (value) => {
      const codes = languageCodes(value, core.value!);
      return (known) => known.doubtful.some((code) => codes.includes(code));
    },
  },
  text: { about: "says this, in any language", test: (value) => (_, __, index) => says(index, value) },
  file: { about: "has this in its name", test: (value) => (known) => known.folded.file.includes(value) },
  kind: { about: "image, video, audio", test: (value) => (_, { record }) => record.kind === value },
  task: { about: "has an answer to this task", test: (value) => (known) => known.tasks.some((key) => fold(key) === value) },
  model: { about: "was answered by this model", test: (value) => (known) => known.models.some((model) => fold(model).includes(value)) },
  verdict: { about: "ok, retried, doubtful", test: (value) => (known) => known.verdict === value },
  reason: { about: "why an answer is doubtful", test: (value) => (known) => known.folded.reasons.includes(value) },
  warning: { about: "has this in a warning", test: (value) => (known) => known.folded.warnings.includes(value) },
  error: { about: "failed for this reason", test: (value) => (known) => known.folded.error.includes(value) },
};

export const NUMBERS: Record<string, { about: string; of: (facts: Facts, details: Details) => number | undefined }> = {
  duration: { about: "seconds", of: (_, { record }) => record.duration_sec },
  width: { about: "pixels", of: (_, { record }) => record.width },
  height: { about: "pixels", of: (_, { record }) => record.height },
  size: { about: "megabytes", of: (_, { record }) => record.size_mb ?? undefined },
  fps: { about: "frames per second", of: (_, { record }) => record.fps },
  tokens: { about: "generated", of: (known) => known.tokens },
  seconds: { about: "spent on the file", of: (known) => known.seconds },
};

const flag = (bit: number): Test => (index) => (core.value!.items.flags[index]! & bit) !== 0;

export const STATES: Record<string, { about: string; test: Test }> = {
  failed: { about: "something is missing", test: flag(FLAGS.failed) },
  doubtful: { about: "an answer or a translation may be wrong", test: flag(FLAGS.doubtful | FLAGS.translationDoubtful) },
  retried: { about: "an answer was asked for again", test: flag(FLAGS.retried) },
  warnings: { about: "there are warnings", test: flag(FLAGS.warned) },
  gone: { about: "the file is not there any more", test: flag(FLAGS.gone) },
  accepted: { about: "you accepted it", test: (index) => reviewOf(index)?.state === "accepted" },
  flagged: { about: "you flagged it", test: (index) => reviewOf(index)?.state === "flagged" },
  unreviewed: { about: "you have not said anything about it", test: (index) => !reviewOf(index) },
  edited: { about: "a text was changed by hand", test: isEdited },
};

/** Whether any text of a file, in any language, holds a folded text. */
function says(index: number, value: string): boolean {
  for (const texts of folded.values()) if (texts[index]?.includes(value)) return true;
  return false;
}

export function compile(text: string): Query {
  let node: Node;
  try {
    node = parse(text);
  } catch (error) {
    throw told(error, text);
  }
  const needles = new Set<string>();
  return { test: testOf(node, needles, true), needles: [...needles] };
}

function told(error: unknown, text: string): QueryError {
  const at = (error as { location?: { start: { offset: number } } }).location?.start.offset ?? 0;
  const rest = text.slice(at).trim();
  if (!rest) return new QueryError("something is missing at the end", at);
  return new QueryError(`not understood from here: ${rest.slice(0, 30)}`, at);
}

function testOf(node: Node, needles: Set<string>, wanted: boolean): Test {
  switch (node.type) {
    case "all":
      return () => true;
    case "and": {
      // What is quick to look up comes before texts.
      const tests = [...node.parts].sort((one, other) => cost(one) - cost(other)).map((part) => testOf(part, needles, wanted));
      return (index) => tests.every((test) => test(index));
    }
    case "or": {
      const tests = node.parts.map((part) => testOf(part, needles, wanted));
      return (index) => tests.some((test) => test(index));
    }
    case "not": {
      const test = testOf(node.part, needles, !wanted);
      return (index) => !test(index);
    }
    case "words": {
      if (!node.quoted && Object.hasOwn(STATES, node.text.toLowerCase())) return STATES[node.text.toLowerCase()]!.test;
      const value = fold(node.text);
      if (wanted && value) needles.add(value);
      return (index) => says(index, value) || fold(core.value!.items.name[index]!).includes(value);
    }
    case "compared":
      return compared(node);
    case "field":
      return fieldTest(node, needles, wanted);
  }
}

function compared(node: Node & { type: "compared" }): Test {
  const number = Object.hasOwn(NUMBERS, node.field) ? NUMBERS[node.field]!.of : columnNumber(node.field);
  if (!number) throw unknown(node.field, node.at);
  const { operator, value } = node;
  return (index) => {
    const known = facts[index];
    const found = known && number(known, details[index]!);
    if (found === undefined) return false;
    switch (operator) {
      case ">": return found > value;
      case ">=": return found >= value;
      case "<": return found < value;
      case "<=": return found <= value;
      case "=": return found === value;
    }
  };
}

function fieldTest(node: Node & { type: "field" }, needles: Set<string>, wanted: boolean): Test {
  const value = fold(node.value);
  if (Object.hasOwn(FIELDS, node.field)) {
    if ((node.field === "lang" || node.field === "doubtful") && !languageCodes(value, core.value!).length) {
      throw new QueryError(`nothing here is in the language ${node.value}`, node.at);
    }
    if (node.field === "text" && wanted && value) needles.add(value);
    const test = FIELDS[node.field]!.test(value);
    return (index) => {
      const known = facts[index];
      return known !== undefined && test(known, details[index]!, index);
    };
  }
  const column = columnNamed(node.field);
  if (column === undefined) throw unknown(node.field, node.at);
  return (index) => {
    const found = details[index] && columnOf(details[index]!.record, column);
    return found !== undefined && found !== null && ` ${fold(found)} `.includes(wordsOf(value));
  };
}

const columnNamed = (name: string): string | undefined =>
  core.value?.columns.find((column) => column.toLowerCase().replaceAll(" ", "_") === name);

function columnNumber(name: string): ((facts: Facts, details: Details) => number | undefined) | undefined {
  const column = columnNamed(name);
  if (column === undefined) return undefined;
  return (_, { record }) => {
    const found = Number(columnOf(record, column) ?? NaN);
    return Number.isNaN(found) ? undefined : found;
  };
}

function unknown(field: string, at: number): QueryError {
  const names = [...Object.keys(FIELDS), ...Object.keys(NUMBERS)].join(", ");
  return new QueryError(`there is no field ${field}; there are ${names}. In quotation marks it is a text`, at);
}

function cost(node: Node): number {
  if (node.type === "words") return node.quoted || !Object.hasOwn(STATES, node.text.toLowerCase()) ? 2 : 0;
  if (node.type === "field") return node.field === "text" ? 2 : 1;
  if (node.type === "not") return cost(node.part);
  return node.type === "and" || node.type === "or" ? Math.max(...node.parts.map(cost)) : 0;
}
