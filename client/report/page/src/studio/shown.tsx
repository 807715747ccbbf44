// The file that is open: what it shows, its moments, its answers while they come, and what else can be asked.
import { signal } from "@preact/signals";
import { useEffect, useMemo, useState } from "preact/hooks";
import { About, Problems } from "../about";
import { Answers, Text } from "../answers";
import { Player } from "../player";
import { language } from "../preferences";
import { SeekBar } from "../seekbar";
import { arrived } from "../store";
import { clock, shownAnswers, titleOf } from "../texts";
import { save } from "../ui";
import { oneLine } from "./captions";
import { copiesOf } from "./copies";
import { choice } from "./form";
import { historyOf } from "./history";
import { door, hasKey } from "./server";
import { isBusy, recordOf, start, type Piece, type Upload } from "./uploads";

export function Shown({ upload }: { upload: Upload }) {
  void arrived.value;
  const { index, file, kind } = upload;
  const state = upload.state.value;
  const now = useMemo(() => signal(0), []);
  const wanted = useMemo(() => signal<number | null>(null), []);
  const seek = (seconds: number): void => {
    wanted.value = null;
    wanted.value = seconds;
    now.value = seconds;
  };
  const record = recordOf(upload);
  const answers = shownAnswers(index, language.value);
  const timed = answers.filter((each) => each.segments.length);
  return (
    <section class="item" aria-labelledby="opened">
      <h2 class="title" id="opened">
        <bdi>{file.name}</bdi>
      </h2>
      <div class="columns">
        <section class="seen" aria-label="The file">
          <Player index={index} now={now} wanted={wanted} answers={timed} seek={seek} />
          <SeekBar index={index} now={now} answers={timed} seek={seek} />
          {record.kind && <About index={index} record={record} media={undefined} />}
        </section>
        <section class="said" aria-label="What was said about it" aria-busy={isBusy(state.stage)}>
          {state.stage === "failed" && (
            <p class="problems bad" role="alert">
              <strong>Failed:</strong> <bdi>{state.reason}</bdi>
            </p>
          )}
          {answers.length > 0 && <Answers index={index} answers={answers} now={now} seek={seek} />}
          <Coming pieces={state.pieces} />
          {!answers.length && !state.pieces.length && state.stage !== "failed" && (
            <p class="notice">{isBusy(state.stage) ? "The first words come soon …" : "Nothing is asked about this file yet."}</p>
          )}
          <Problems record={record} />
          {state.asked && kind !== "audio" && <FollowUp upload={upload} />}
          {state.asked && <Copies upload={upload} />}
        </section>
      </div>
    </section>
  );
}

/** Answers as far as they have come, by task and time. */
function Coming({ pieces }: { pieces: Piece[] }) {
  const tasks = [...new Set(pieces.map(({ task }) => task))];
  return (
    <>
      {tasks.map((task) => {
        const own = pieces.filter((piece) => piece.task === task).sort((one, other) => (one.start ?? 0) - (other.start ?? 0));
        return (
          <article class="answer coming" aria-labelledby={`coming-${task}`}>
            <div class="answer-head">
              <h3 id={`coming-${task}`}>{titleOf(task)}</h3>
              <span class="badge">is being written</span>
            </div>
            {own.map(({ start: from, text }) => (
              <div class="answer-body" dir="auto">
                {from !== null && <span class="at">{clock(from)}</span>}
                <Text text={readable(text)} />
              </div>
            ))}
          </article>
        );
      })}
    </>
  );
}

/** The items of a list that is being written, in the place of its JSON. */
function readable(text: string): string {
  if (!/^\s*\[\s*"/.test(text)) return text;
  return [...text.matchAll(/"((?:[^"\\]|\\.)*)"?/g)].map(([, item]) => item).join(", ");
}

/** A further question about the file, in the languages that were chosen. */
function FollowUp({ upload }: { upload: Upload }) {
  const [question, setQuestion] = useState("");
  const busy = isBusy(upload.state.value.stage);
  const { languages, frames, hear } = choice.value;
  return (
    <form
      class="answer follow-up"
      aria-label="Ask more"
      onSubmit={(event) => {
        event.preventDefault();
        if (!question.trim() || busy) return;
        const asked = { tasks: [], questions: [oneLine(question)], languages, window: null, frames: Number(frames) || null, hear };
        start(upload, asked, historyOf(recordOf(upload)));
        setQuestion("");
      }}
    >
      <label class="field">
        <span>Ask more about this file</span>
        <textarea
          rows={2}
          maxLength={4000}
          value={question}
          onInput={(event) => setQuestion(event.currentTarget.value)}
          onKeyDown={(event) => {
            if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
            event.preventDefault();
            event.currentTarget.form?.requestSubmit();
          }}
        />
      </label>
      <div class="editor-buttons">
        <button type="submit" class="main" disabled={!question.trim() || busy}>
          Ask
        </button>
        <span class="hint">The model is told the descriptions, questions and answers before.</span>
      </div>
    </form>
  );
}

/** The same for a shell or a program, and the record. */
function Copies({ upload }: { upload: Upload }) {
  const [copied, setCopied] = useState("");
  const { rounds } = upload.state.value;
  useEffect(() => setCopied(""), [rounds]);
  if (!rounds.length) return null;
  const base = new URL(".", location.href).href.replace(/\/$/, "");
  return (
    <details class="answer copies">
      <summary>Do the same elsewhere</summary>
      {copiesOf(upload.file.name, rounds, base, door.value === "open" && hasKey()).map(({ name, text, about }) => (
        <section aria-label={name}>
          <div class="answer-head">
            <h3>{name}</h3>
            <span class="hint">{about}</span>
            <button type="button" aria-label={`Copy for ${name}`} onClick={() => void copy(text).then((done) => setCopied(done ? name : ""))}>
              {copied === name ? "Copied" : "Copy"}
            </button>
          </div>
          <pre tabIndex={0} aria-label={`The text for ${name}`}>
            <code>{text}</code>
          </pre>
        </section>
      ))}
      <button type="button" onClick={() => save(`${upload.file.name}.json`, "application/json", JSON.stringify(recordOf(upload), null, 1))}>
        Save the record as JSON
      </button>
    </details>
  );
}

/** Whether it lies in the clipboard, which a browser gives to secure pages only. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
