// What was asked about a file, as a command or a program that asks the same.
import { fieldsOf, type Asked } from "./captions";

export interface Copy {
  name: string;
  text: string;
  about: string;
}

/** `base`: where the server is, without a slash at its end; `keyed`: it wants a key, which stands in no copy. */
export function copiesOf(file: string, asked: Asked, base: string, keyed: boolean): Copy[] {
  const keys = keyed ? `; your key in BABELVIEW_API_KEY${asked.languages.length ? " and BABELVIEW_TRANSLATOR_API_KEY" : ""}` : "";
  return [
    { name: "curl", text: curl(file, asked, base, keyed), about: `in the file's folder${keyed ? "; your key in BABELVIEW_API_KEY" : ""}` },
    { name: "Python", text: python(file, asked, base), about: `in the file's folder, with Babelview installed${keys}` },
    { name: "Command line", text: command(file, asked, base), about: `or name a whole folder${keys}` },
  ];
}

/** A word for a shell: as it is where nothing in it means anything to one. */
export const word = (text: string): string => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

const BREAK = " \\\n  ";

function curl(file: string, asked: Asked, base: string, keyed: boolean): string {
  const parts = [`curl ${word(`${base}/v1/captions`)}`];
  if (keyed) parts.push('-H "Authorization: Bearer $BABELVIEW_API_KEY"');
  // curl takes commas and semicolons in a bare name for its own.
  const path = /[",;\\]/.test(file) ? `"${file.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"` : file;
  parts.push(`-F ${word(`file=@${path}`)}`);
  // --form-string: a text that begins with @ or < is no file.
  for (const [name, value] of fieldsOf(asked)) parts.push(`--form-string ${word(`${name}=${value}`)}`);
  return parts.join(BREAK);
}

const literal = (value: unknown): string => JSON.stringify(value);
const list = (values: string[]): string => `[${values.map(literal).join(", ")}]`;

function python(file: string, asked: Asked, base: string): string {
  const options = [literal(file)];
  if (asked.tasks.length) options.push(`tasks=${list(asked.tasks)}`);
  if (asked.questions.length) options.push(`questions=${list(asked.questions)}`);
  if (asked.languages.length) options.push(`languages=${list(asked.languages)}`);
  if (asked.window !== null) options.push(`window=${asked.window}`);
  if (asked.frames !== null) options.push(`frames=${asked.frames}`);
  if (asked.hear) options.push("hear=True");
  return [
    "from client import Babelview",
    "",
    `with Babelview(${literal(`${base}/v1`)}${asked.languages.length ? `, translator=${literal(base)}` : ""}) as bv:`,
    "    record = bv.caption(",
    ...options.map((option) => `        ${option},`),
    "    )",
    'print(record["tasks"])',
  ].join("\n");
}

function command(file: string, asked: Asked, base: string): string {
  const parts = [`babelview batch ${word(file.startsWith("-") ? `./${file}` : file)}`];
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
