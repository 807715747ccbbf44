// What was asked about a file and answered: the model is told of it before a further question.
import names from "babelview:names";
import type { FileRecord } from "../types";

/** As `POST /v1/captions` takes it. */
export interface Earlier {
  question?: string;
  task?: string;
  answer: string;
}

const MOST_TURNS = 10;
const MOST_CHARACTERS = 12_000;

/** The newest questions of a record, and tasks about the whole file, that were answered in words; the oldest first. */
export function historyOf(record: FileRecord): Earlier[] {
  const said: Earlier[] = [];
  for (const [key, { question, text, segments }] of Object.entries(record.tasks)) {
    if (typeof text !== "string" || !text || segments?.length) continue;
    if (question) said.push({ question, answer: text });
    else if (names.tasks.some(({ name, over_time }) => name === key && !over_time)) said.push({ task: key, answer: text });
  }
  let room = MOST_CHARACTERS;
  const first = said.findLastIndex(({ answer }) => (room -= answer.length) < 0) + 1;
  return said.slice(Math.max(first, said.length - MOST_TURNS));
}
