// What the reader changes: reviews and texts. Kept in the browser (IndexedDB) until they are saved to a file, which
// `babelview report DIR --apply edits.json` brings into the ledger.
import { computed, signal } from "@preact/signals";
import { get, set } from "idb-keyval";
import { core, details } from "./store";
import type { Answer, Segment } from "./types";

export type State = "accepted" | "flagged";

export interface Review {
  file: string;
  state: State | null;
  note: string;
  at: string;
}

export interface Edit {
  answer: number;
  sha256: string;
  file: string;
  task: string;
  language: string;
  start?: number;
  texts: string[];
  /** What stood there before. */
  was: string[];
  at: string;
}

export interface Changes {
  reviews: Record<string, Review>;
  edits: Record<string, Edit>;
  /** When they were last saved to a file. */
  saved?: string;
}

export const changes = signal<Changes>({ reviews: {}, edits: {} });
/** Whether the browser keeps changes when the page is closed. */
export const kept = signal(true);
export const changeCount = computed(
  () => Object.keys(changes.value.reviews).length + Object.keys(changes.value.edits).length,
);

/** What the saved file does not have yet. */
export const unsavedCount = computed(() => {
  const { reviews, edits, saved } = changes.value;
  return [...Object.values(reviews), ...Object.values(edits)].filter(({ at }) => !saved || at > saved).length;
});

const key = (): string => `babelview-changes-${core.value!.report}`;

export async function loadChanges(): Promise<void> {
  try {
    const found = await get<Changes>(key());
    if (found?.reviews && found.edits) changes.value = found;
  } catch {
    kept.value = false;
  }
}

/** What the changes were before each of those that were made since the page was opened, the last one at the end. */
const before = signal<Changes[]>([]);
export const canUndo = computed(() => before.value.length > 0);
const MOST_UNDONE = 100;

/** Take the last change back, be it an edit, a review or that all were discarded. */
export function undo(): void {
  const last = before.peek().at(-1);
  if (!last) return;
  before.value = before.peek().slice(0, -1);
  keep({ reviews: last.reviews, edits: last.edits });
}

export function change(next: Changes): void {
  before.value = [...before.peek(), changes.peek()].slice(-MOST_UNDONE);
  keep(next);
}

/** They are saved to a file, now. */
export const noteSaved = (): void => keep({ ...changes.peek(), saved: now() });

function keep(next: Changes): void {
  changes.value = next;
  set(key(), next).then(
    () => (kept.value = true),
    () => (kept.value = false),
  );
}

export const discardChanges = (): void => change({ reviews: {}, edits: {} });

/** Something is taken back: a file that has it is not up to date. */
const taken = (): void => {
  const { reviews, edits } = changes.value;
  changes.value = { reviews, edits };
};

/** What was said about a file: here, else in the ledger. */
export function reviewOf(index: number): { state: State; note: string } | null {
  const record = details[index]?.record;
  if (!record?.sha256) return null;
  const own = changes.value.reviews[record.sha256];
  if (own) return own.state && { state: own.state, note: own.note };
  return (record.review as { state: State; note: string } | undefined) ?? null;
}

/** Say it, or take it back where it was said before. */
export function review(index: number, state: State, note = ""): void {
  const record = details[index]?.record;
  if (!record?.sha256) return;
  const earlier = reviewOf(index);
  const same = earlier?.state === state && earlier.note === note;
  const own: Review = { file: record.file, state: same ? null : state, note: same ? "" : note, at: now() };
  const reviews = { ...changes.value.reviews, [record.sha256]: own };
  if ((own.state ?? undefined) === record.review?.state && own.note === (record.review?.note ?? "")) {
    delete reviews[record.sha256];
    taken();
  }
  change({ ...changes.value, reviews });
}

export const editKey = (answer: number, language: string): string => `${answer} ${language}`;
export const editOf = (answer: number | undefined, language: string): Edit | undefined =>
  answer === undefined ? undefined : changes.value.edits[editKey(answer, language)];

/** Keep an edit; none where it says what the report says already. */
export function edit(made: Omit<Edit, "at">, stored: string[]): void {
  const edits = { ...changes.value.edits, [editKey(made.answer, made.language)]: { ...made, at: now() } };
  if (JSON.stringify(made.texts) === JSON.stringify(stored)) {
    delete edits[editKey(made.answer, made.language)];
    taken();
  }
  change({ ...changes.value, edits });
}

export function undoEdit(answer: number, language: string): void {
  const edits = { ...changes.value.edits };
  delete edits[editKey(answer, language)];
  taken();
  change({ ...changes.value, edits });
}

/** Whether a text of a file was changed by hand, here or in the ledger. */
export function isEdited(index: number): boolean {
  const known = details[index];
  if (!known) return false;
  const stored = (said: Answer | Segment): boolean => Object.keys(said.edited ?? {}).length > 0;
  const answers = Object.values(known.record.tasks);
  if (answers.some((answer) => stored(answer) || (answer.segments ?? []).some(stored))) return true;
  return Object.values(changes.value.edits).some((each) => each.sha256 === known.record.sha256);
}

/** The file that the command line takes. */
export function changesFile(): string {
  const { reviews, edits } = changes.value;
  return JSON.stringify(
    {
      babelview_edits: 1,
      report: core.value!.report,
      reviews: Object.entries(reviews).map(([sha256, each]) => ({ sha256, ...each })),
      edits: Object.values(edits),
    },
    null,
    1,
  );
}

export const now = (): string => new Date().toISOString();

