// The files of this page, and what goes on with each.
import { computed, signal } from "@preact/signals";
import names from "babelview:names";
import { language } from "../preferences";
import { told } from "../state";
import { core, details, ENGLISH, languageOf } from "../store";
import { ask, RefusedError, StoppedError, type Asked, type Event, type Round } from "./captions";
import type { Earlier } from "./history";
import { kindOf } from "./kinds";
import { showFile, showRecord } from "./records";
import { door } from "./server";

export type Stage = "ready" | "waiting" | "sending" | "queued" | "running" | "done" | "failed";

/** An answer while it comes. */
export interface Piece {
  task: string;
  /** Seconds; null: about the whole file. */
  start: number | null;
  text: string;
}

export interface State {
  stage: Stage;
  /** How far it is, from 0 to 1. */
  share: number;
  tokens: number;
  /** Why it waits, or what went wrong. */
  reason: string | null;
  pieces: Piece[];
  /** All that was asked and answered. */
  asked: Asked | null;
  /** The same in the order in which it was asked: what stood alone as one, then each question that followed. */
  rounds: Round[];
}

export interface Upload {
  index: number;
  file: File;
  /** `image`, `video`, `audio`; empty where the name and the browser do not tell. */
  kind: string;
  /** Where the browser has it. */
  url: string;
  state: { value: State; peek: () => State };
}

const AT_ONCE = 3;
const READY: State = { stage: "ready", share: 0, tokens: 0, reason: null, pieces: [], asked: null, rounds: [] };

export const uploads = signal<Upload[]>([]);
/** The file that is shown. */
export const opened = signal<number | null>(null);
export const busy = computed(() => uploads.value.some(({ state }) => isBusy(state.value.stage)));
export const idle = computed(() => uploads.value.filter(({ state }) => !isBusy(state.value.stage)));

export const isBusy = (stage: Stage): boolean => !["ready", "done", "failed"].includes(stage);

const stops = new Map<number, AbortController>();
const waiting: (() => Promise<void>)[] = [];
let working = 0;

/** The page without files. */
export function begin(): void {
  core.value = {
    report: "studio",
    title: "Studio",
    written: "",
    version: "",
    stats: {},
    languages: names.languages.filter(({ code }) => code === ENGLISH),
    tasks: [],
    schemas: [],
    columns: [],
    per_chunk: 1,
    takes_changes: false,
    packs: [],
    chunks: {},
    items: { id: [], name: [], kind: [], duration: [], flags: [], thumbnail: [], pack: [], place: [] },
  };
}

/** Take files up; they are not sent yet. */
export function add(files: Iterable<File>): void {
  const { items, ...others } = core.value!;
  const made: Upload[] = [];
  for (const file of files) {
    const index = items.id.length;
    const kind = kindOf(file);
    const url = URL.createObjectURL(file);
    items.id.push(index);
    items.name.push(file.name);
    items.kind.push(kind);
    items.duration.push(0);
    items.flags.push(0);
    items.thumbnail.push(null);
    items.pack.push(null);
    items.place.push(null);
    showFile(index, file.name, url);
    made.push({ index, file, kind, url, state: signal(READY) });
  }
  if (!made.length) return;
  core.value = { ...others, items };
  uploads.value = [...uploads.value, ...made];
  opened.value = made[0]!.index;
  told.value = `${made.length} ${made.length === 1 ? "file" : "files"} added`;
}

/** Take a file away, and end what goes on with it. */
export function remove({ index, url }: Upload): void {
  stops.get(index)?.abort();
  const place = uploads.value.findIndex((each) => each.index === index);
  uploads.value = uploads.value.filter((each) => each.index !== index);
  if (opened.value === index) opened.value = (uploads.value[place] ?? uploads.value.at(-1))?.index ?? null;
  URL.revokeObjectURL(url);
}

export const stop = ({ index }: Upload): void => stops.get(index)?.abort();

/** Ask about a file: what of it is not asked yet, after what was asked before; several files wait for each other. */
export function start(upload: Upload, asked: Asked, history: Earlier[] = []): void {
  if (isBusy(upload.state.peek().stage)) return;
  const controller = new AbortController();
  stops.set(upload.index, controller);
  change(upload, { stage: "waiting", share: 0, tokens: 0, reason: null, pieces: [] });
  waiting.push(() => work(upload, asked, history, controller.signal));
  next();
}

function next(): void {
  if (working >= AT_ONCE) return;
  const task = waiting.shift();
  if (!task) return;
  working++;
  void task().finally(() => {
    working--;
    next();
  });
}

async function work(upload: Upload, asked: Asked, history: Earlier[], stopped: AbortSignal): Promise<void> {
  const before = upload.state.peek().asked;
  try {
    if (stopped.aborted) throw new StoppedError();
    change(upload, { stage: "sending" });
    let failure: string | null = null;
    await ask(
      upload.file,
      asked,
      history,
      {
        sent: (share) => change(upload, share < 1 ? { stage: "sending", share } : { stage: "queued", share: 0, reason: null }),
        waits: (reason) => change(upload, { stage: "queued", share: 0, reason }),
        event: (event) => {
          if (event.type === "error") failure = event.error.message;
          else onEvent(upload, event, before, { asked, history });
        },
      },
      stopped,
    );
    if (failure !== null) throw new RefusedError(0, failure);
    change(upload, { stage: "done", share: 1, pieces: [], reason: null });
    told.value = `${upload.file.name}: done`;
  } catch (error) {
    if (error instanceof StoppedError) change(upload, { stage: before ? "done" : "ready", pieces: [], reason: "stopped" });
    else if (error instanceof RefusedError) {
      if (error.status === 401) door.value = "wrong key";
      change(upload, { stage: "failed", pieces: [], reason: error.message });
      told.value = `${upload.file.name}: failed`;
    } else throw error;
  }
}

function onEvent(upload: Upload, event: Event, before: Asked | null, round: Round): void {
  const { asked } = round;
  switch (event.type) {
    case "progress":
      change(upload, { stage: event.status, share: event.share, tokens: event.generated_tokens, reason: null });
      break;
    case "delta":
    case "retry": {
      const place = { task: event.task, start: event.start ?? null };
      const pieces = [...upload.state.peek().pieces];
      const at = pieces.findIndex(({ task, start: from }) => task === place.task && from === place.start);
      const text = event.type === "retry" ? "" : (pieces[at]?.text ?? "") + event.text;
      if (at < 0) pieces.push({ ...place, text });
      else pieces[at] = { ...place, text };
      change(upload, { pieces });
      break;
    }
    case "record":
      showRecord(upload.index, upload.file.name, event.value);
      change(upload, { asked: before ? both(before, asked) : asked, rounds: withRound(upload.state.peek().rounds, round), pieces: [] });
      showLanguages(asked.languages);
      break;
  }
}

function withRound(rounds: Round[], round: Round): Round[] {
  const alone = rounds.findIndex(({ history }) => !history.length);
  if (round.history.length || alone < 0) return [...rounds, round];
  return rounds.map((each, at) => (at === alone ? { asked: both(each.asked, round.asked), history: [] } : each));
}

/** What was asked in two requests, as one. */
function both(one: Asked, other: Asked): Asked {
  const joined = (key: "tasks" | "questions" | "languages"): string[] => [...new Set([...one[key], ...other[key]])];
  return {
    tasks: joined("tasks"),
    questions: joined("questions"),
    languages: joined("languages"),
    window: other.window ?? one.window,
    frames: other.frames ?? one.frames,
    hear: one.hear || other.hear,
  };
}

function change(upload: Upload, changed: Partial<State>): void {
  upload.state.value = { ...upload.state.peek(), ...changed };
}

/** Languages that there is something in can be chosen for everything. */
function showLanguages(codes: string[]): void {
  const missing = names.languages.filter(({ code }) => codes.includes(code) && !languageOf(code));
  if (missing.length) core.value = { ...core.value!, languages: [...core.value!.languages, ...missing] };
  if (!languageOf(language.value)) language.value = ENGLISH;
}

export const recordOf = (upload: Upload) => details[upload.index]!.record;
