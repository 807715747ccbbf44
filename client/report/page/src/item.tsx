// One file: what it shows, on the left or above; what was said about it beside it.
import { signal, useComputed } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { About, Problems } from "./about";
import { Answers } from "./answers";
import { changes, review, reviewOf } from "./edits";
import { say, step } from "./keys";
import { Player } from "./player";
import { language } from "./preferences";
import { addressOf, filterByTag, selected, shown, toggleSelected, typed } from "./state";
import { arrived, core, details } from "./store";
import { nameOf, shownAnswers } from "./texts";
import { SeekBar } from "./seekbar";
import { editing, noteWanted } from "./ui";

export function Item({ index, time }: { index: number; time: number | null }) {
  void arrived.value;
  void changes.value;
  const now = useMemo(() => signal(time ?? 0), [index]);
  const wanted = useMemo(() => signal<number | null>(time), [index]);
  useEffect(() => {
    if (time !== null) wanted.value = time;
  }, [time]);
  useEffect(() => scrollTo(0, 0), []);
  useEffect(
    () => () => {
      editing.value = null; // what was open here does not open elsewhere
    },
    [],
  );
  const seek = (seconds: number): void => {
    wanted.value = null;
    wanted.value = seconds;
    now.value = seconds;
    history.replaceState(null, "", addressOf({ view: "item", index, time: seconds }));
  };
  const known = details[index];
  const name = core.value!.items.name[index]!;
  const answers = shownAnswers(index, language.value);
  const timed = answers.filter((each) => each.segments.length);
  const list = shown.value;
  const place = list.indexOf(index);
  return (
    <div class="item">
      <div class="item-head">
        <nav aria-label="Files">
          <a class="button" href={addressOf({ view: "gallery" })}>
            {typed.value ? "← Results" : "← All files"}
          </a>
          <button type="button" disabled={place <= 0} onClick={() => step(-1)}>
            Previous
          </button>
          <button type="button" disabled={place < 0 || place === list.length - 1} onClick={() => step(1)}>
            Next
          </button>
          {place >= 0 && (
            <span class="place">
              {(place + 1).toLocaleString()} of {list.length.toLocaleString()}
            </span>
          )}
        </nav>
        <Review index={index} />
      </div>
      <h2 class="title" tabIndex={-1}>
        <bdi>{nameOf(name)}</bdi>
      </h2>
      <div class="columns">
        <section class="seen" aria-label="The file">
          <Player index={index} now={now} wanted={wanted} answers={timed} seek={seek} />
          <SeekBar index={index} now={now} answers={timed} seek={seek} />
          {known && <About index={index} record={known.record} media={known.media} />}
        </section>
        <section class="said" aria-label="What was said about it">
          {known ? <Answers index={index} answers={answers} now={now} seek={seek} onItem={filterByTag} /> : <p class="notice">Reading …</p>}
          {known && <Problems record={known.record} />}
        </section>
      </div>
    </div>
  );
}

function Review({ index }: { index: number }) {
  const found = useComputed(() => {
    void changes.value;
    void arrived.value;
    return reviewOf(index);
  }).value;
  const note = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (noteWanted.value !== index || !note.current) return;
    noteWanted.value = null;
    note.current.focus();
  }, [noteWanted.value, found]);
  return (
    <div class="review" role="group" aria-label="Review">
      {core.value!.takes_changes && (
        <>
          <button type="button" aria-pressed={found?.state === "accepted"} class="accept" onClick={() => say(index, "accepted")}>
            Accept
          </button>
          <button type="button" aria-pressed={found?.state === "flagged"} class="flag" onClick={() => say(index, "flagged")}>
            Flag
          </button>
        </>
      )}
      {found && (
        <label class="note">
          <span class="visually-hidden">Note</span>
          <input
            ref={note}
            type="text"
            placeholder="Note"
            maxLength={500}
            value={found.note}
            onChange={(event) => review(index, found.state, event.currentTarget.value)}
          />
        </label>
      )}
      <label class="choice inline">
        <input type="checkbox" checked={selected.value.has(index)} onChange={() => toggleSelected(index)} /> Select
      </label>
    </div>
  );
}
