// A text, or a list line by line, to be changed.
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
  texts: string[];
  /** The model's words, where they were changed already. */
  was: string[] | null;
  /** What the report says, whatever was changed since. */
  stored: string[];
}

export function Editor({ index, task, answer, start, isList, texts, was, stored }: Props) {
  const field = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState(texts.join("\n"));
  const code = language.value;
  const own = languageOf(code);
  const pending = editOf(answer, code);
  useEffect(() => field.current?.focus(), []);
  const close = (): void => {
    editing.value = null;
    document.getElementById("main")?.focus({ preventScroll: true });
  };
  const keep = (): void => {
    const made = isList ? text.split("\n").map((line) => line.trim()).filter(Boolean) : [text.trim()];
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
        aria-label={`${task}${isList ? ", one a line" : ""}`}
        lang={own?.tag}
        dir={own?.direction}
        rows={Math.min(16, Math.max(3, isList ? texts.length + 1 : Math.ceil(text.length / 60)))}
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
          <button type="button" onClick={() => setText(was.join("\n"))}>
            The model's words
          </button>
        )}
        <span class="hint">Ctrl+Enter keeps it{isList ? "; one a line" : ""}</span>
      </div>
    </div>
  );
}
