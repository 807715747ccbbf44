// What was asked about a file, as a command or a program that asks the same.
import { fieldsOf, type Asked, type Round } from "./captions";

export interface Copy {
  name: string;
  text: string;
  about: string;
}

/** `base`: where the server is, without a slash at its end; `keyed`: it wants a key, which stands in no copy. */
export function copiesOf(file: string, rounds: Round[], base: string, keyed: boolean): Copy[] {
  const translates = rounds.some(({ asked }) => asked.languages.length);
  const keys = keyed ? `; your key in BABELVIEW_API_KEY${translates ? " and BABELVIEW_TRANSLATOR_API_KEY" : ""}` : "";
  const first = rounds.filter(({ history }) => !history.length).map(({ asked }) => asked);
  const talk = talkOf(rounds);
  return [
    { name: "curl", text: rounds.map((round) => curl(file, round, base, keyed)).join("\n\n"), about: `in the file's folder${keyed ? "; your key in BABELVIEW_API_KEY" : ""}` },
    { name: "Python", text: python(file, first, talk, base, translates), about: `in the file's folder, with Babelview installed${keys}` },
    {
      name: "Command line",
      text: [...first.map((asked) => batch(file, asked, base)), ...(talk ? [chat(file, talk, base)] : [])].join("\n\n"),
      about: `or name a whole folder${talk ? " in the first command" : ""}${keys}`,
    },
  ];
}

interface Talk {
  /** Questions, and names of tasks, in their order. */
  lines: { question?: string; task?: string }[];
  asked: Asked;
}

/** The last question that followed others, with these before it; null where none did. */
function talkOf(rounds: Round[]): Talk | null {
  const last = rounds.findLast(({ history }) => history.length);
  if (!last) return null;
  return { asked: last.asked, lines: [...last.history, ...last.asked.questions.map((question) => ({ question }))] };
}

/** A word for a shell: as it is where nothing in it means anything to one. */
export const word = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const BREAK = " \\\n  ";

function curl(file: string, round: Round, base: string, keyed: boolean): string {
  const parts = [`curl ${word(`${base}/v1/captions`)}`];
  if (keyed) parts.push('-H "Authorization: Bearer $BABELVIEW_API_KEY"');
  // curl takes commas and semicolons in a bare name for its own.
  const path = /[",;\\]/.test(file) ? `"${file.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : file;
  parts.push(`-F ${word(`file=@${path}`)}`);
  // --form-string: a text that begins with @ or < is no file.
  for (const [name, value] of fieldsOf(round)) parts.push(`--form-string ${word(`${name}=${value}`)}`);
  return parts.join(BREAK);
}

const literal = (value: unknown): string => JSON.stringify(value);
const list = (values: string[]): string => `[${values.map(literal).join(", ")}]`;

function python(file: string, first: Asked[], talk: Talk | null, base: string, translates: boolean): string {
  const lines = ["from client import Babelview", "", `with Babelview(${literal(`${base}/v1`)}${translates ? `, translator=${literal(base)}` : ""}) as bv:`];
  for (const asked of first) {
    const options = [literal(file)];
    if (asked.tasks.length) options.push(`tasks=${list(asked.tasks)}`);
    if (asked.questions.length) options.push(`questions=${list(asked.questions)}`);
    if (asked.languages.length) options.push(`languages=${list(asked.languages)}`);
    if (asked.window !== null) options.push(`window=${asked.window}`);
    if (asked.frames !== null) options.push(`frames=${asked.frames}`);
    if (asked.hear) options.push("hear=True");
    lines.push("    record = bv.caption(", ...options.map((option) => `        ${option},`), "    )", '    print(record["tasks"])');
  }
  if (talk) {
    const options = [literal(file), ...(talk.asked.frames !== null ? [`frames=${talk.asked.frames}`] : []), ...(talk.asked.hear ? ["hear=True"] : [])];
    lines.push(`    chat = bv.chat(${options.join(", ")})`);
    for (const { question, task } of talk.lines) lines.push(`    print(chat.ask(${question === undefined ? `task=${literal(task)}` : literal(question)}).result().text)`);
  }
  return lines.join("\n");
}

const pathOf = (file: string): string => word(file.startsWith("-") ? `./${file}` : file);

/** A conversation, its lines on standard input. */
function chat(file: string, { lines, asked }: Talk, base: string): string {
  const typed = lines.map(({ question, task }) => word(question === undefined ? `/task ${task}` : question.replace(/^\//, "Question: /")));
  const parts = [`printf '%s\\n'`, ...typed];
  const command = [`| babelview ask ${pathOf(file)} --chat`];
  if (asked.frames !== null) command.push(`--frames ${asked.frames}`);
  if (asked.hear) command.push("--hear");
  command.push(`--base-url ${word(`${base}/v1`)}`);
  return [...parts, command.join(" ")].join(BREAK);
}

function batch(file: string, asked: Asked, base: string): string {
  const parts = [`babelview batch ${pathOf(file)}`];
  if (asked.tasks.length) parts.push(`--tasks ${word(asked.tasks.join(","))}`);
  for (const question of asked.questions) parts.push(`--question ${word(question)}`);
  parts.push(`--languages ${asked.languages.length ? word(asked.languages.join(",")) : '""'}`);
  if (asked.window !== null) parts.push(`--window ${asked.window}`);
  if (asked.frames !== null) parts.push(`--frames ${asked.frames}`);
  parts.push(asked.hear ? "--hear" : "--no-hear"); // which is on in new folders
  parts.push(`--base-url ${word(`${base}/v1`)}`);
  if (asked.languages.length) parts.push(`--translator ${word(base)}`);
  return parts.join(BREAK);
}
