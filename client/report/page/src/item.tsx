// One file: what it shows, on the left or above; what was said about it beside it.
import { signal, useComputed } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Answers } from "./answers";
import { changes, review, reviewOf } from "./edits";
import { say, step } from "./keys";
import { Player } from "./player";
import { addressOf, language, selected, shown, toggleSelected } from "./state";
import { arrived, core, details, facts } from "./store";
import { clock, nameOf, shownAnswers } from "./texts";
import { SeekBar } from "./seekbar";
import type { FileRecord } from "./types";

export function Item({ index, time }: { index: number; time: number | null }) {
  void arrived.value;
  void changes.value;
  const now = useMemo(() => signal(time ?? 0), [index]);
  const wanted = useMemo(() => signal<number | null>(time), [index]);
  useEffect(() => {
    if (time !== null) wanted.value = time;
  }, [time]);
  useEffect(() => scrollTo(0, 0), []);
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
            ← All files
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
          {known ? <Answers index={index} answers={answers} now={now} seek={seek} /> : <p class="notice">Reading …</p>}
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
  return (
    <div class="review" role="group" aria-label="Review">
      <button type="button" aria-pressed={found?.state === "accepted"} class="accept" onClick={() => say(index, "accepted")}>
        Accept
      </button>
      <button type="button" aria-pressed={found?.state === "flagged"} class="flag" onClick={() => say(index, "flagged")}>
        Flag
      </button>
      {found && (
        <label class="note">
          <span class="visually-hidden">Note</span>
          <input
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

/** What is known of the file and of how it was asked about. */
function About({ index, record, media }: { index: number; record: FileRecord; media: string | undefined }) {
  const known = facts[index]!;
  const rows: [string, string | undefined | false][] = [
    ["File", record.file],
    ["Kind", record.kind ?? "could not be read"],
    ["Size", record.width !== undefined && `${record.width} × ${record.height}${record.size_mb === null ? "" : `, ${record.size_mb} MB`}`],
    ["Duration", record.duration_sec !== undefined && `${clock(record.duration_sec, true)}${record.fps ? `, ${Math.round(record.fps * 100) / 100} frames/s` : ""}`],
    ["Model", known.models.join(", ")],
    ["Time", `${record.total_processing_time_sec} s; all requests took ${Math.round(known.requestSeconds * 1000) / 1000} s`],
    ["Tokens", known.tokens.toLocaleString()],
    ["Live photo of", record.live_photo_of],
    ["SHA-256", record.sha256 ?? undefined],
    ...Object.entries(record.manifest ?? {}).map(([name, value]): [string, string] => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  ];
  return (
    <details class="about" open>
      <summary>About the file</summary>
      <dl>
        {rows.map(([name, value]) => value && [<dt>{name}</dt>, <dd dir="auto">{value}</dd>])}
      </dl>
      {media && (
        <a href={media} target="_blank" rel="noreferrer noopener">
          Open the file
        </a>
      )}
    </details>
  );
}

function Problems({ record }: { record: FileRecord }) {
  if (!record.error && !record.warnings.length) return null;
  return (
    <section class="problems" aria-label="Problems">
      {record.error && (
        <p class="bad">
          <strong>Failed:</strong> <bdi>{record.error}</bdi>
        </p>
      )}
      {record.warnings.length > 0 && (
        <details open={record.warnings.length <= 5}>
          <summary>
            {record.warnings.length} warning{record.warnings.length === 1 ? "" : "s"}
          </summary>
          <ul>
            {record.warnings.map((warning) => (
              <li dir="auto">{warning}</li>
            ))}
          </ul>
        </details>
      )}
    </section>
  );
}
