// What is asked: tasks, languages, a question; and where files are dropped.
import { computed, effect, signal } from "@preact/signals";
import { useState } from "preact/hooks";
import names, { type TaskName } from "babelview:names";
import { told } from "../state";
import { ENGLISH } from "../store";
import { titleOf } from "../texts";
import { oneLine, type Asked } from "./captions";
import { isOverTime, suiting, suits } from "./kinds";
import { door, translated } from "./server";
import { add, idle, recordOf, start, uploads, type Upload } from "./uploads";

const KEPT = "babelview-studio-form";
const MOST_LANGUAGES = 32;

interface Choice {
  tasks: string[];
  languages: string[];
  question: string;
  window: string;
  frames: string;
  hear: boolean;
}

const DEFAULT: Choice = { tasks: ["describe", "tags"], languages: [], question: "", window: "", frames: "", hear: false };

export const choice = signal<Choice>(earlier());

/** What was chosen before, as far as there still is such a thing; a question is not kept. */
function earlier(): Choice {
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}") as Partial<Choice>;
    const within = (values: unknown, known: string[]): string[] => (Array.isArray(values) ? known.filter((name) => values.includes(name)) : []);
    if (!kept.tasks) return DEFAULT;
    const tasks = within(kept.tasks, names.tasks.map(({ name }) => name));
    const languages = within(kept.languages, names.languages.map(({ code }) => code));
    return { ...DEFAULT, tasks, languages };
  } catch {
    return DEFAULT;
  }
}

export function keepChoice(): void {
  effect(() => {
    const { tasks, languages } = choice.value;
    try {
      localStorage.setItem(KEPT, JSON.stringify({ tasks, languages }));
    } catch {
      // A browser that keeps nothing.
    }
  });
}

const set = (changed: Partial<Choice>): void => {
  choice.value = { ...choice.value, ...changed };
};

const amount = (text: string): number | null => (Number(text) > 0 ? Number(text) : null);

/** What is to be asked about a file: the tasks that are about files of its kind, and the question. */
function wantedOf(upload: Upload): Asked {
  const { languages, question, window, frames, hear } = choice.value;
  const tasks = suiting(choice.value.tasks, upload.kind);
  return {
    tasks,
    // Of a sound no model can be asked a question.
    questions: question.trim() && upload.kind !== "audio" ? [oneLine(question)] : [],
    languages: languages.filter(isOffered),
    // Without such a task it would be refused.
    window: tasks.some(isOverTime) ? amount(window) : null,
    frames: amount(frames),
    hear,
  };
}

/** What of it is not answered yet; all of it where it is to be looked at in another way, or put into more languages. */
export function askedOf(upload: Upload): Asked {
  const wanted = wantedOf(upload);
  const before = upload.state.value.asked;
  if (!before || before.frames !== wanted.frames || before.hear !== wanted.hear) return wanted;
  if (!wanted.languages.every((code) => before.languages.includes(code))) return wanted;
  const answered = recordOf(upload).tasks;
  const asksAnew = (task: string): boolean => isOverTime(task) && before.window !== wanted.window;
  const tasks = wanted.tasks.filter((task) => !Object.hasOwn(answered, task) || asksAnew(task));
  const window = tasks.some(isOverTime) ? wanted.window : null;
  return { ...wanted, tasks, window, questions: wanted.questions.filter((each) => !before.questions.includes(each)) };
}

const asksSomething = ({ tasks, questions }: Asked): boolean => tasks.length > 0 || questions.length > 0;
const toAsk = computed(() => idle.value.filter((upload) => asksSomething(askedOf(upload))));

export function Form() {
  const files = toAsk.value;
  const count = files.length;
  return (
    <form
      class="form"
      aria-label="What to ask"
      onSubmit={(event) => {
        event.preventDefault();
        for (const upload of files) start(upload, askedOf(upload));
        told.value = `Asking about ${count} ${count === 1 ? "file" : "files"}`;
        // On a phone they are below.
        document.getElementById("results")?.scrollIntoView({ block: "nearest" });
      }}
    >
      <Drop />
      <Tasks />
      {translated.value?.size !== 0 && <Languages />}
      <label class="field">
        <span>Your own question</span>
        <textarea rows={2} maxLength={4000} value={choice.value.question} onInput={(event) => set({ question: event.currentTarget.value })} />
      </label>
      <More />
      <button type="submit" class="main start" disabled={!count || door.value !== "open"}>
        {count === 1 ? "Ask about 1 file" : count ? `Ask about ${count} files` : "Ask"}
      </button>
      <p class="hint">{hint()}</p>
    </form>
  );
}

function hint(): string {
  if (!uploads.value.length) return "Add files first.";
  const { tasks, question } = choice.value;
  if (!tasks.length && !question.trim()) return "Choose a task, or write a question.";
  const left = uploads.value.filter((upload) => !asksSomething(wantedOf(upload))).length;
  if (left) return `${left === 1 ? "One file is" : `${left} files are`} left out: nothing that is chosen is about ${left === 1 ? "its" : "their"} kind.`;
  return toAsk.value.length ? "" : "All of this is asked. Choose more, or add files.";
}

function Drop() {
  return (
    <label class="drop">
      <input
        type="file"
        multiple
        class="visually-hidden"
        onChange={(event) => {
          add(event.currentTarget.files ?? []);
          event.currentTarget.value = "";
        }}
      />
      <strong>Drop pictures, videos or sounds here</strong>
      <span>or choose files; pasting works too</span>
    </label>
  );
}

const MANY = 7;

function Tasks() {
  const seldom = names.tasks.slice(MANY);
  return (
    <fieldset>
      <legend>Tasks</legend>
      <div class="chips">{names.tasks.slice(0, MANY).map(chipOf)}</div>
      <details class="more" open={seldom.some(({ name }) => choice.value.tasks.includes(name))}>
        <summary>{seldom.length} more</summary>
        <div class="chips">{seldom.map(chipOf)}</div>
      </details>
    </fieldset>
  );
}

function chipOf(task: TaskName) {
  const kinds = [...new Set(uploads.value.map(({ kind }) => kind))];
  const { tasks } = choice.value;
  const chosen = tasks.includes(task.name);
  const unfit = kinds.length > 0 && !kinds.some((kind) => suits(task, kind));
  const change = (): void => set({ tasks: chosen ? tasks.filter((name) => name !== task.name) : [...tasks, task.name] });
  return (
    <label class={`chip${unfit ? " unfit" : ""}`} title={`${task.title}: ${task.about}${unfit ? ` It is about: ${task.kinds.join(", ")}.` : ""}`}>
      <input type="checkbox" checked={chosen} onChange={change} />
      {titleOf(task.name)}
    </label>
  );
}

const nameOfLanguage = (code: string): string => names.languages.find((each) => each.code === code)?.name ?? code;
const isOffered = (code: string): boolean => code !== ENGLISH && (translated.value?.has(code) ?? true);

function Languages() {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const { languages } = choice.value;
  const take = (given: string): boolean => {
    const wanted = given.trim().toLowerCase();
    const found = names.languages.find(({ code, tag, name }) => [code, tag, name].some((each) => each.toLowerCase() === wanted));
    if (!found || !isOffered(found.code)) return false;
    if (!languages.includes(found.code)) set({ languages: [...languages, found.code] });
    setText("");
    setProblem("");
    return true;
  };
  const leave = (): void => {
    if (text.trim() && !take(text)) setProblem(`This server does not translate into “${text.trim()}”.`);
  };
  return (
    <fieldset>
      <legend>Translate into</legend>
      {languages.length > 0 && (
        <ul class="chips">
          {languages.map((code) => (
            <li class={`chip${isOffered(code) ? "" : " unfit"}`} title={isOffered(code) ? "" : "This server does not translate into it."}>
              {nameOfLanguage(code)}
              <button type="button" class="plain" aria-label={`Remove ${nameOfLanguage(code)}`} onClick={() => set({ languages: languages.filter((each) => each !== code) })}>
                ×
              </button>
            </li>
          ))}
        </ul>
      )}
      <input
        type="text"
        list="language-names"
        placeholder="Add a language, such as Hindi"
        aria-label="Add a language"
        aria-invalid={problem ? "true" : "false"}
        aria-describedby="language-problem"
        autocomplete="off"
        disabled={languages.length >= MOST_LANGUAGES}
        value={text}
        onInput={(event) => {
          const { value } = event.currentTarget;
          setText(value);
          setProblem("");
          // One that was picked from the list is taken at once; a typed one may be the beginning of a longer name.
          if ((event as InputEvent).inputType === "insertReplacementText" || !(event as InputEvent).inputType) take(value);
        }}
        onBlur={leave}
        onKeyDown={(event) => {
          if (event.key !== "Enter") return;
          event.preventDefault();
          leave();
        }}
      />
      <datalist id="language-names">
        {names.languages.filter(({ code }) => isOffered(code)).map(({ name }) => (
          <option value={name} />
        ))}
      </datalist>
      <p class="bad" id="language-problem" role="alert">
        {problem}
      </p>
    </fieldset>
  );
}

function More() {
  const { window, frames, hear } = choice.value;
  return (
    <details>
      <summary>How videos are looked at</summary>
      <label class="field">
        <span>Seconds of a window, in tasks over time</span>
        <input type="number" min={0.5} max={3600} step="any" placeholder="10" value={window} onInput={(event) => set({ window: event.currentTarget.value })} />
      </label>
      <label class="field">
        <span>Frames of a video, or of each window</span>
        <input type="number" min={1} max={256} step={1} placeholder="8" value={frames} onInput={(event) => set({ frames: event.currentTarget.value })} />
      </label>
      <label class="choice inline">
        <input type="checkbox" checked={hear} onChange={(event) => set({ hear: event.currentTarget.checked })} /> Tell the model what is said
      </label>
    </details>
  );
}
