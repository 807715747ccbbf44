// Chapters, captions and other moments on the time of a video, one row for each task.
import type { Signal } from "@preact/signals";
import { core, languageOf, ENGLISH } from "./store";
import { places } from "./fold";
import { language } from "./preferences";
import { query } from "./state";
import { clock, labelOf, titleOf, type Shown } from "./texts";

interface Props {
  index: number;
  now: Signal<number>;
  answers: Shown[];
  seek: (seconds: number) => void;
}

export function SeekBar({ index, now, answers, seek }: Props) {
  const duration = core.value!.items.duration[index] || Math.max(0, ...answers.flatMap((each) => each.segments.map((segment) => segment.end)));
  if (!duration || !answers.length) return null;
  return (
    <div class="seekbar">
      <p class="now-time" aria-hidden="true">
        now at {clock(now.value, true)}
      </p>
      {answers.map(({ key, segments }) => (
        <div class="row" role="group" aria-label={`${titleOf(key)} by time`}>
          <span class="row-name">{titleOf(key)}</span>
          <div class="track">
            {segments.map((segment) => {
              const from = Math.min(1, segment.start / duration);
              const to = Math.min(1, Math.max(segment.end, segment.start) / duration);
              const active = now.value >= segment.start && now.value < segment.end;
              const own = languageOf(segment.inEnglish ? ENGLISH : language.value);
              const text = labelOf(segment);
              return (
                <button
                  type="button"
                  class={`moment${active ? " active" : ""}${places(text, query.value.found.needles).length ? " hit" : ""}${segment.verdict === "doubtful" ? " doubt" : ""}`}
                  style={{ left: `${100 * from}%`, width: `max(4px, ${100 * (to - from)}%)` }}
                  title={`${clock(segment.start, true)}–${clock(segment.end, true)}  ${text}`}
                  lang={own?.tag}
                  dir={own?.direction}
                  onClick={() => seek(segment.start)}
                >
                  <span class="visually-hidden">{clock(segment.start)}: </span>
                  {text}
                </button>
              );
            })}
            <div class="head" aria-hidden="true" style={{ left: `${(100 * Math.min(now.value, duration)) / duration}%` }} />
          </div>
        </div>
      ))}
      <div class="scale" aria-hidden="true">
        <span>0:00</span>
        <span>{clock(duration)}</span>
      </div>
    </div>
  );
}
