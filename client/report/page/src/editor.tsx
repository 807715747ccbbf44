// A text, a list line by line, or data as JSON, to be changed.
import { Validator, type Schema } from "@cfworker/json-schema";
import { useEffect, useRef, useState } from "preact/hooks";
import { edit, editOf, undoEdit } from "./edits";
import { language } from "./preferences";
import { details, languageOf } from "./store";
import { editing } from "./ui";

interface Props {
  index: number;
  task: string;
  /** The ledger's number of the answer. */
  answer: number;
  start?: number;
  isList: boolean;
  /** Of data. */
  schema?: Record<string, unknown> | undefined;
  texts: string[];
  /** The model's words, where they were changed already. */
  was: string[] | null;
  /** What the report says, whatever was changed since. */
  stored: string[];
}

export function Editor({ index, task, answer, start, isList, schema, texts, was, stored }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  const readable = (lines: string[]): string => (schema ? JSON.stringify(JSON.parse(lines[0]!), null, 2) : lines.join("\n"));
  const [text, setText] = useState(() => readable(texts));
  const [problem, setProblem] = useState("");
  const code = language.value;
  const own = languageOf(code);
  const pending = editOf(answer, code);
  useEffect(() => field.current?.focus(), []);
  const close = (): void => {
    editing.value = null;
    document.getElementById("main")?.focus({ preventScroll: true });
  };
  const keep = (): void => {
    const wrong = schema ? problemOf(text, schema) : "";
    setProblem(wrong);
    if (wrong) {
      field.current?.focus();
      return;
    }
    const made = isList ? text.split("\n").map((line) => line.trim()).filter(Boolean) : [schema ? JSON.stringify(JSON.parse(text)) : text.trim()];
    const record = details[index]!.record;
    if (made.length && made.join("") && record.sha256) {
      const words = was ?? stored;
      edit({ answer, sha256: record.sha256, file: record.file, task, language: code, ...(start === undefined ? {} : { start }), texts: made, was: words }, stored);
    }
    close();
  };
  return (
    <div class="editor">
      <textarea
        ref={field}
        aria-label={`${task}${isList ? ", one a line" : schema ? ", as JSON" : ""}`}
        aria-invalid={problem ? "true" : "false"}
        aria-describedby={`problem-${answer}`}
        class={schema ? "code" : ""}
        spellcheck={!schema}
        lang={own?.tag}
        dir={schema ? "ltr" : own?.direction}
        rows={Math.min(24, Math.max(3, isList || schema ? text.split("\n").length + 1 : Math.ceil(text.length / 60)))}
        value={text}
        onInput={(event) => setText(event.currentTarget.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) keep();
          else if (event.key === "Escape") close();
          else return;
          event.preventDefault();
          event.stopPropagation();
        }}
      />
      <p class="bad" role="alert" id={`problem-${answer}`}>
        {problem}
      </p>
      <div class="editor-buttons">
        <button type="button" class="main" onClick={keep} title="Ctrl+Enter">
          Keep
        </button>
        <button type="button" onClick={close} title="Esc">
          Cancel
        </button>
        {pending && (
          <button
            type="button"
            onClick={() => {
              undoEdit(answer, code);
              close();
            }}
          >
            Undo my change
          </button>
        )}
        {was && (
          <button type="button" onClick={() => setText(readable(was))}>
            The model's words
          </button>
        )}
        <span class="hint">Ctrl+Enter keeps it{isList ? "; one a line" : ""}</span>
      </div>
    </div>
  );
}

/** Why a text is no data by the schema; empty where it is. */
function problemOf(text: string, schema: Record<string, unknown>): string {
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch (error) {
    return `This is no JSON: ${(error as Error).message}`;
  }
  const { valid, errors } = new Validator(schema as Schema, "2020-12").validate(data);
  if (valid) return "";
  // The last one is about the part itself, those before it about what it is in.
  const { instanceLocation, error } = errors.at(-1)!;
  const place = instanceLocation.replace(/^#\/?/, "").replaceAll("/", " › ");
  return `This is not as the task wants it: ${place ? `${place}: ` : ""}${error}`;
}
