import { useRef, useState } from "preact/hooks";
import { isEdited, reviewOf } from "./edits";
import { hitTime, leadText } from "./lead";
import { Marked } from "./marked";
import { addressOf, focused, selected, toggleSelected } from "./state";
import { arrived, core, details, facts, languageOf } from "./store";
import { clock, counted, nameOf, tone } from "./texts";
import { Thumbnail } from "./thumbnail";
import { FLAGS } from "./types";

const PLAY_AFTER_MS = 350;
const FEW_TAGS = 2;
/** What plays. */
const SIGNS: Record<string, string> = { video: "▶", audio: "♪" };
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
        {(duration > 0 || kind === "audio") && <span class="duration">{[SIGNS[kind], duration > 0 && clock(duration)].filter(Boolean).join(" ")}</span>}
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
            href={addressOf({ view: "item", index, time: time ?? hitTime(index) })}
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
          {(flags & FLAGS.gone) !== 0 && <span class="badge" title="The file is not there any more">gone</span>}
          {known && known.tags.length > FEW_TAGS && (
            <a class="badge tag" href={addressOf({ view: "item", index, time: null })} tabIndex={-1} title={known.tags.join(", ")}>
              {counted(known.tags.length, "tag")}
              <span class="visually-hidden"> of {nameOf(name)}</span>
            </a>
          )}
          {known?.tags.slice(0, FEW_TAGS).map((tag) => <span class="badge tag">{tag}</span>)}
        </p>
      </div>
      <label class="pick">
        <input type="checkbox" checked={isSelected} tabIndex={-1} onChange={() => toggleSelected(index)} />
        <span class="visually-hidden">Select {nameOf(name)}</span>
      </label>
    </article>
  );
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
