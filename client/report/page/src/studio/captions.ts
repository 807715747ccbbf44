// POST /v1/captions for one file: sent, followed by its events, and sent again where the server is full.
import type { FileRecord } from "../types";
import type { Earlier } from "./history";
import { authorization } from "./server";

/** What is asked about a file. */
export interface Asked {
  tasks: string[];
  questions: string[];
  languages: string[];
  /** Seconds. */
  window: number | null;
  frames: number | null;
  /** Whether what is said in a video goes into what is asked about it. */
  hear: boolean;
}

/** What was asked at once, and what was told of earlier questions. */
export interface Round {
  asked: Asked;
  history: Earlier[];
}

export type Event =
  | { type: "progress"; status: "queued" | "running"; share: number; generated_tokens: number }
  | { type: "delta"; task: string; text: string; start?: number; end?: number }
  | { type: "retry"; task: string; start?: number; end?: number }
  | { type: "record"; value: AnsweredRecord }
  | { type: "done" }
  | { type: "error"; error: { message: string } };

/** A record as the service gives it: with translations in its answers. */
export type AnsweredRecord = FileRecord;

export interface Listener {
  /** How much of the file has gone out, from 0 to 1. */
  sent: (share: number) => void;
  event: (event: Event) => void;
  /** The server is full, or a part of it is starting. */
  waits: (reason: string) => void;
}

export class RefusedError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** It was stopped here. */
export class StoppedError extends Error {}

const MOST_TRIES = 60;
const LONGEST_WAIT_S = 60;
const TRY_AGAIN = new Set([429, 503]);

/** A question in one line: a form would change its line breaks. */
export const oneLine = (question: string): string => question.trim().replace(/\s*\n\s*/g, " ");

/** The fields of the form, beside the file, in their order. */
export function fieldsOf({ asked, history }: Round): [string, string][] {
  const fields: [string, string][] = [];
  if (asked.tasks.length) fields.push(["tasks", asked.tasks.join(",")]);
  for (const question of asked.questions) fields.push(["questions", question]);
  if (asked.languages.length) fields.push(["languages", asked.languages.join(",")]);
  if (asked.window !== null) fields.push(["window", String(asked.window)]);
  if (asked.frames !== null) fields.push(["num_frames", String(asked.frames)]);
  if (asked.hear) fields.push(["hear", "true"]);
  if (history.length) fields.push(["history", JSON.stringify(history)]);
  return fields;
}

/** Ask, the questions after what was asked before; ends when the last event has come. Throws RefusedError or StoppedError. */
export async function ask(file: File, asked: Asked, history: Earlier[], listener: Listener, stop: AbortSignal): Promise<void> {
  for (let tried = 1; ; tried++) {
    const refused = await once(file, asked, history, listener, stop);
    if (!refused) return;
    if (!TRY_AGAIN.has(refused.error.status) || refused.waitS === null || tried === MOST_TRIES) throw refused.error;
    listener.waits(refused.error.message);
    await pause(Math.min(LONGEST_WAIT_S, Math.max(1, refused.waitS)), stop);
  }
}

interface Refused {
  error: RefusedError;
  waitS: number | null;
}

function once(file: File, asked: Asked, history: Earlier[], listener: Listener, stop: AbortSignal): Promise<Refused | null> {
  const form = new FormData();
  for (const [name, value] of fieldsOf({ asked, history })) form.append(name, value);
  form.append("stream", "true");
  form.append("file", file, file.name);
  // Not `fetch`, which does not tell how much has gone out.
  const request = new XMLHttpRequest();
  const events = new EventReader(listener.event);
  return new Promise((resolve, reject) => {
    const aborted = (): void => request.abort();
    stop.addEventListener("abort", aborted);
    request.upload.onprogress = ({ loaded, total }) => listener.sent(total ? loaded / total : 0);
    request.upload.onload = () => listener.sent(1);
    request.onprogress = () => {
      if (request.status === 200) events.read(request.responseText);
    };
    request.onloadend = () => {
      stop.removeEventListener("abort", aborted);
      if (stop.aborted) reject(new StoppedError());
      else if (request.status === 200) {
        events.read(request.responseText);
        if (events.ended) resolve(null);
        else reject(new RefusedError(0, "The answer broke off: the server, or the connection to it, went away."));
      } else if (!request.status) reject(new RefusedError(0, "The server cannot be reached."));
      else resolve(refusalOf(request));
    };
    request.open("POST", "v1/captions");
    request.setRequestHeader("Accept", "text/event-stream");
    for (const [name, value] of Object.entries(authorization())) request.setRequestHeader(name, value);
    if (stop.aborted) reject(new StoppedError());
    else request.send(form);
  });
}

function refusalOf(request: XMLHttpRequest): Refused {
  const after = request.getResponseHeader("Retry-After");
  let message = `The server answered ${request.status}.`;
  try {
    const body = JSON.parse(request.responseText) as { error?: { message?: unknown } };
    if (typeof body.error?.message === "string") message = body.error.message;
  } catch {
    // A proxy's page: its number says enough.
  }
  return { error: new RefusedError(request.status, message), waitS: after === null ? null : Number(after) || 1 };
}

/** Server-sent events in a text that grows. */
export class EventReader {
  ended = false;
  private at = 0;

  constructor(private readonly tell: (event: Event) => void) {}

  read(text: string): void {
    for (let end = text.indexOf("\n\n", this.at); end >= 0; end = text.indexOf("\n\n", this.at)) {
      const block = text.slice(this.at, end);
      this.at = end + 2;
      const lines = block.split("\n").filter((line) => line.startsWith("data: "));
      const data = lines.map((line) => line.slice("data: ".length)).join("\n");
      if (data === "[DONE]") this.ended = true;
      else if (data) this.tell(JSON.parse(data) as Event);
    }
  }
}

function pause(seconds: number, stop: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stopped = (): void => {
      clearTimeout(timer);
      reject(new StoppedError());
    };
    const timer = setTimeout(() => {
      stop.removeEventListener("abort", stopped);
      resolve();
    }, 1000 * seconds);
    stop.addEventListener("abort", stopped, { once: true });
  });
}
