import { useRef, useState } from "preact/hooks";
import { isEdited, reviewOf } from "./edits";
import { places } from "./fold";
import { Marked } from "./marked";
import { language } from "./preferences";
import { addressOf, focused, query, selected, toggleSelected } from "./state";
import { arrived, core, details, facts, languageOf, languages, ENGLISH } from "./store";
import { around, clock, labelOf, leadOf, nameOf, plainText, shownAnswers, tone } from "./texts";
import { Thumbnail } from "./thumbnail";
import { FLAGS } from "./types";

const PLAY_AFTER_MS = 350;
const LONGEST_LEAD = 300;
/** So short that what was found is in the first lines. */
const FOUND_LENGTH = 100;
const unplayable = new Set<number>();

export function Card({ index, tabbable }: { index: number; tabbable: boolean }) {
  void arrived.value;
  const { items } = core.value!;
  const flags = items.flags[index]!;
  const duration = items.duration[index]!;
  const kind = items.kind[index]!;
  const name = items.name[index]!;
  const known = facts[index];
  const { text, code, time } = leadText(index);
  const own = languageOf(code);
  const review = reviewOf(index)?.state;
  const edited = isEdited(index);
  const isSelected = selected.value.has(index);
  return (
    <article class={`card${isSelected ? " selected" : ""}${review ? ` ${review}` : ""}${tabbable ? " current" : ""}`} data-index={index}>
      <Preview index={index} kind={kind}>
        {duration > 0 && <span class="duration">{clock(duration)}</span>}
      </Preview>
      {(review || edited) && (
        <p class="reviewed">
          {review && <span class={`badge ${review}`}>{review}</span>}
          {edited && <span class="badge edited">edited</span>}
        </p>
      )}
      <div class="card-text">
        <h2>
          <a
            href={addressOf({ view: "item", index, time })}
            tabIndex={tabbable ? 0 : -1}
            title={name}
            onFocus={() => (focused.value = index)}
          >
            <bdi>{nameOf(name)}</bdi>
          </a>
        </h2>
        <p class="lead" lang={own?.tag} dir={own?.direction}>
          {time !== null && <span class="at">{clock(time)}</span>}
          <Marked text={text} />
        </p>
        <p class="badges">
          {known?.sentiment.map((label) => <span class={`badge tone ${tone(label)}`}>{label}</span>)}
          {(flags & FLAGS.failed) !== 0 && <span class="badge bad">failed</span>}
          {(flags & FLAGS.doubtful) !== 0 && <span class="badge doubt">doubtful</span>}
          {(flags & (FLAGS.doubtful | FLAGS.translationDoubtful)) === FLAGS.translationDoubtful && (
            <span class="badge doubt">doubtful {known?.doubtful.length === 1 ? (languageOf(known.doubtful[0]!)?.name ?? "translation") : "translation"}</span>
          )}
          {(flags & FLAGS.gone) !== 0 && <span class="badge">gone</span>}
          {known?.tags.slice(0, 3).map((tag) => <span class="badge tag">{tag}</span>)}
        </p>
      </div>
      <label class="pick">
        <input type="checkbox" checked={isSelected} tabIndex={-1} onChange={() => toggleSelected(index)} />
        <span class="visually-hidden">Select {nameOf(name)}</span>
      </label>
    </article>
  );
}

/** The first text; where something was searched for, what stands around it, in whatever language it was found. */
function leadText(index: number): { text: string; code: string; time: number | null } {
  const { needles } = query.value.found;
  const answers = shownAnswers(index, language.value);
  const lead = leadOf(answers);
  if (needles.length) {
    for (const code of [language.value, ...languages.value.map((each) => each.code)]) {
      for (const each of code === language.value ? answers : shownAnswers(index, code)) {
        const moment = each.segments.find((segment) => places(labelOf(segment), needles).length);
        if (moment && each.text === null && each.items === null) {
          return { text: labelOf(moment), code: moment.inEnglish ? ENGLISH : code, time: moment.start };
        }
        const found = around(plainText(each), needles, FOUND_LENGTH);
        if (found !== null) return { text: found, code: each.inEnglish ? ENGLISH : code, time: null };
      }
    }
  }
  return { text: plainText(lead).slice(0, LONGEST_LEAD), code: lead?.inEnglish ? ENGLISH : language.value, time: null };
}

/** A thumbnail; a video's goes through its frames under the pointer, and plays where its file can be reached. */
function Preview({ index, kind, children }: { index: number; kind: string; children: preact.ComponentChildren }) {
  const [tile, setTile] = useState<number | null>(null);
  const [playing, setPlaying] = useState(false);
  const timer = useRef(0);
  const media = details[index]?.media;
  const canPlay = kind === "video" && media !== undefined && !unplayable.has(index);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const leave = (): void => {
    clearTimeout(timer.current);
    setPlaying(false);
    setTile(null);
  };
  return (
    <div
      class="preview"
      onMouseEnter={() => {
        if (canPlay && !still) timer.current = window.setTimeout(() => setPlaying(true), PLAY_AFTER_MS);
      }}
      onMouseMove={(event) => {
        const box = event.currentTarget.getBoundingClientRect();
        setTile((event.clientX - box.left) / box.width);
      }}
      onMouseLeave={leave}
      onClick={(event) => {
        const link = event.currentTarget.parentElement?.querySelector("a");
        if (!(event.target instanceof HTMLInputElement)) link?.click();
      }}
    >
      <Thumbnail index={index} share={tile} />
      {playing && (
        <video
          src={media!}
          muted
          autoplay
          loop
          playsInline
          onError={() => {
            unplayable.add(index);
            setPlaying(false);
          }}
        />
      )}
      {children}
    </div>
  );
}
