// Answers as they are shown: in a language, with what was changed by hand.
import { editOf, type Edit } from "./edits";
import { itemsOf } from "./facts";
import { places } from "./fold";
import { details, ENGLISH, translated } from "./store";
import type { Answer, Data, Segment } from "./types";

export interface ShownSegment {
  start: number;
  end: number;
  title: string | null;
  text: string;
  data: Data | undefined;
  score: number | undefined;
  verdict: string | undefined;
  reasons: string[];
  answer: number | undefined;
  edited: boolean;
  /** What stood there before it was changed by hand. */
  was: string | null;
  stored: string;
  /** The place of the schema of its data, which are edited as JSON. */
  schema: number | undefined;
  inEnglish: boolean;
}

export interface Shown {
  key: string;
  answer: Answer;
  text: string | null;
  items: string[] | null;
  data: Data | undefined;
  segments: ShownSegment[];
  /** The ledger's number of the answer, where it may be edited as a whole. */
  editable: number | undefined;
  edited: boolean;
  was: string[] | null;
  /** What the report says, whatever was changed since. */
  stored: string[];
  /** The place of the schema of its data, which are edited as JSON. */
  schema: number | undefined;
  /** It was changed here, and the ledger does not have it yet. */
  pending: boolean;
  /** It is not there in the language that was asked for. */
  inEnglish: boolean;
  /** The same of the answer with its segments: all of it, some, or nothing. */
  missing: "all" | "some" | null;
}

export function shownAnswers(index: number, code: string): Shown[] {
  const known = details[index];
  if (!known) return [];
  return Object.entries(known.record.tasks).map(([key, answer]) => shownAnswer(index, key, answer, code));
}

function shownAnswer(index: number, key: string, answer: Answer, code: string): Shown {
  const other = code === ENGLISH ? undefined : translated(code, index)?.[key];
  const numbers = details[index]?.editable?.[key];
  const editable = numbers?.whole;
  const schema = editable === undefined ? undefined : numbers?.schema;
  const own = itemsOf(key, answer);
  const whole: Data | undefined = other?.text ?? undefined;
  const there = code === ENGLISH || whole !== undefined;
  const change = editOf(editable, there ? code : ENGLISH);
  const stored = answer.edited?.[there ? code : ENGLISH];
  const storedItems = own && (Array.isArray(whole) ? whole.map(String) : own);
  const storedText = typeof answer.text === "string" ? (typeof whole === "string" ? whole : answer.text) : null;
  const items = storedItems && (change?.texts ?? storedItems);
  const text = storedText === null ? null : (change?.texts[0] ?? storedText);
  const segments = (answer.segments ?? []).map((segment, number) =>
    shownSegment(segment, other?.segments?.[number], numbers?.segments?.[number], numbers?.schema, code),
  );
  const alone = text !== null || items !== null || answer.data !== undefined;
  const parts = [...(alone ? [!there] : []), ...segments.filter(labelOf).map((segment) => segment.inEnglish)];
  return {
    key,
    answer,
    text,
    items,
    data: own || text !== null ? undefined : (whole ?? (schema === undefined ? answer.data : changedData(change, answer.data))),
    segments,
    // Data in another language are the model's own with other texts.
    editable: there && (schema === undefined || code === ENGLISH) ? editable : undefined,
    edited: change ? !same(change.texts, change.was) : stored !== undefined,
    was: change?.was ?? (stored === undefined ? null : Array.isArray(stored) && schema === undefined ? stored.map(String) : [asText(stored)]),
    stored: storedItems ?? (schema === undefined ? (storedText === null ? [] : [storedText]) : [JSON.stringify(answer.data)]),
    schema,
    pending: change !== undefined,
    inEnglish: alone && !there,
    missing: parts.every((part) => part) ? (parts.length ? "all" : null) : parts.some((part) => part) ? "some" : null,
  };
}

/** Data without the parts that are shown as moments; undefined where nothing else is in them. */
export function besideMoments({ data, segments, pending }: Shown): Data | undefined {
  // What was changed here has no moments yet.
  if (!segments.length || pending || !data || typeof data !== "object" || Array.isArray(data)) return data;
  const others = Object.entries(data).filter(([, part]) => !isTimed(part));
  if (others.length === Object.keys(data).length) return data;
  return others.length ? Object.fromEntries(others) : undefined;
}

/** Whether it is a list of parts with a time. */
const isTimed = (part: Data): boolean =>
  Array.isArray(part) && part.length > 0 && part.every((each) => each !== null && typeof each === "object" && !Array.isArray(each) && typeof each["start"] === "number");

/** Data as they were changed; a change that the browser kept of another report may be anything. */
function changedData(change: Edit | undefined, data: Data | undefined): Data | undefined {
  if (!change) return data;
  try {
    return JSON.parse(change.texts[0] ?? "") as Data;
  } catch {
    return data;
  }
}

const asText = (stored: Data): string => (typeof stored === "string" ? stored : JSON.stringify(stored));

const same = (one: string[], other: string[]): boolean => JSON.stringify(one) === JSON.stringify(other);

function shownSegment(segment: Segment, other: Data | null | undefined, answer: number | undefined, schemaOf: number | undefined, code: string): ShownSegment {
  const schema = answer === undefined ? undefined : schemaOf;
  const there = code === ENGLISH || (other !== undefined && other !== null);
  const change = editOf(answer, there ? code : ENGLISH);
  const stored = segment.edited?.[there ? code : ENGLISH];
  const storedText = typeof other === "string" ? other : (segment.text ?? "");
  const text = schema === undefined ? (change?.texts[0] ?? storedText) : storedText;
  const data = schema === undefined ? segment.data : changedData(change, segment.data);
  const title = segment.title === undefined ? null : typeof other === "string" ? other : segment.title;
  return {
    start: segment.start,
    end: segment.end,
    title,
    text,
    data: other && typeof other === "object" ? other : data,
    score: segment.score,
    verdict: segment.verdict,
    reasons: segment.reasons ?? [],
    answer: there && (schema === undefined || code === ENGLISH) ? answer : undefined,
    edited: change ? !same(change.texts, change.was) : stored !== undefined,
    was: change?.was[0] ?? (stored === undefined ? null : asText(stored)),
    stored: schema === undefined ? storedText : JSON.stringify(segment.data),
    schema,
    inEnglish: !there,
  };
}

/** The text of a card: the first answer that is one. */
export function leadOf(answers: Shown[]): Shown | undefined {
  return answers.find((each) => each.text) ?? answers.find((each) => each.segments.length) ?? answers[0];
}

export function plainText(shown: Shown | undefined): string {
  if (!shown) return "";
  if (shown.text) return shown.text;
  if (shown.items) return shown.items.join(", ");
  if (shown.segments.length) return shown.segments.map((segment) => labelOf(segment)).join(" · ");
  return shown.data === undefined ? "" : JSON.stringify(shown.data);
}

/** What a segment says in a line: its title, its text, or the first words of its data. */
export function labelOf(segment: ShownSegment): string {
  return (segment.title ?? segment.text) || wordsOf(segment.data ?? null).join(", ");
}

function wordsOf(data: Data): string[] {
  if (typeof data === "string") return [data];
  if (data === null || typeof data !== "object") return [];
  return (Array.isArray(data) ? data : Object.values(data)).flatMap(wordsOf);
}

/** A part of a text around the first place of one of the needles; its beginning where there is none. */
export function around(text: string, needles: string[], length: number): string | null {
  const [place] = places(text, needles);
  if (!place) return null;
  const start = place[0] < length / 3 ? 0 : text.lastIndexOf(" ", place[0] - length / 4) + 1;
  return `${start > 0 ? "… " : ""}${text.slice(start, start + length)}`;
}

export function clock(seconds: number, tenths = false): string {
  const whole = tenths ? Math.floor(seconds * 10) / 10 : Math.floor(seconds);
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  const rest = whole % 60;
  const shownRest = tenths ? rest.toFixed(1).padStart(4, "0") : String(Math.floor(rest)).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${shownRest}` : `${minutes}:${shownRest}`;
}

/** `1 file`, `2 files`. */
export const counted = (count: number, word: string): string => `${count.toLocaleString()} ${word}${count === 1 ? "" : "s"}`;

export const nameOf = (path: string): string => path.slice(path.replace(/\/+$/, "").lastIndexOf("/") + 1) || path;

const TONES = new Set(["positive", "negative", "neutral", "mixed"]);
/** Labels come from models: only known ones become a class. */
export const tone = (label: string): string => (TONES.has(label) ? label : "");

/** A task's name, or one of its data, as a heading. */
export function titleOf(key: string): string {
  const words = key.replace(/^ask-(?=\d+$)/, "ask ").replaceAll("_", " ");
  return words.slice(0, 1).toUpperCase() + words.slice(1);
}
