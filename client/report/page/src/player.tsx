// The picture, the video or the sound; where its file cannot be reached or played, its thumbnail.
import type { Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import { core, details, ENGLISH, languageOf } from "./store";
import { language } from "./preferences";
import { clock, labelOf, type Shown } from "./texts";
import { hasThumbnail } from "./packs";
import { Thumbnail, tileTimes } from "./thumbnail";

interface Props {
  index: number;
  now: Signal<number>;
  /** Where to go to; null: nowhere. */
  wanted: Signal<number | null>;
  answers: Shown[];
  seek: (seconds: number) => void;
}

export function Player(props: Props) {
  const { index } = props;
  const [failed, setFailed] = useState(false);
  const kind = core.value!.items.kind[index]!;
  const media = details[index]?.media;
  if (media === undefined || failed) {
    return (
      <div class="player">
        {kind === "video" ? <Frames {...props} /> : <Thumbnail index={index} whole />}
        {details[index] && <p class="hint">{failed ? whyNot(index) : "The file is not on this machine."}</p>}
      </div>
    );
  }
  return (
    <div class="player">
      {kind === "audio" && <Wave {...props} />}
      {kind === "video" || kind === "audio" ? (
        <Timed {...props} kind={kind} media={media} fail={() => setFailed(true)} />
      ) : (
        <img src={media} alt="" class="whole" onError={() => setFailed(true)} />
      )}
    </div>
  );
}

/** Why the file is not shown. */
const whyNot = (index: number): string =>
  details[index]?.record.error && !Object.keys(details[index].record.tasks).length
    ? "This file cannot be shown; what was wrong with it is said beside it."
    : "This browser cannot show the file: it does not know its format, or the file was moved.";

function Timed({ now, wanted, answers, kind, media, fail }: Props & { kind: "video" | "audio"; media: string; fail: () => void }) {
  const element = useRef<HTMLVideoElement>(null);
  useEffect(
    () =>
      wanted.subscribe((seconds) => {
        if (seconds !== null && element.current) element.current.currentTime = seconds;
      }),
    [],
  );
  useEffect(() => {
    let asked = 0;
    const follow = (): void => {
      if (element.current && !element.current.seeking) now.value = element.current.currentTime;
      asked = element.current?.paused ? 0 : requestAnimationFrame(follow);
    };
    const start = (): void => {
      asked ||= requestAnimationFrame(follow);
    };
    const video = element.current!;
    for (const name of ["play", "seeked", "timeupdate"]) video.addEventListener(name, start);
    return () => {
      cancelAnimationFrame(asked);
      for (const name of ["play", "seeked", "timeupdate"]) video.removeEventListener(name, start);
    };
  }, []);
  useCaptions(element, answers);
  const shared = {
    ref: element as never,
    src: media,
    controls: true,
    preload: "metadata",
    onError: fail,
    onLoadedMetadata: () => {
      const seconds = wanted.peek();
      if (seconds !== null && element.current) element.current.currentTime = seconds;
    },
  } as const;
  return kind === "video" ? <video {...shared} playsInline /> : <audio {...shared} />;
}

/** Segments as captions of the player's own, one track for each task; the menu of the player shows them. */
function useCaptions(element: { current: HTMLVideoElement | null }, answers: Shown[]): void {
  const tracks = useRef(new Map<string, TextTrack>());
  const key = JSON.stringify(answers.map((each) => [each.key, each.segments.map(labelOf)]));
  useEffect(() => {
    const video = element.current;
    if (!video?.addTextTrack) return;
    for (const { key: task, segments } of answers) {
      let track = tracks.current.get(task);
      if (!track) {
        track = video.addTextTrack("captions", task, languageOf(language.value)?.tag ?? languageOf(ENGLISH)?.tag ?? "en");
        tracks.current.set(task, track);
      }
      const before = track.mode;
      track.mode = "hidden";
      for (const cue of [...(track.cues ?? [])]) track.removeCue(cue);
      for (const segment of segments) {
        // A cue's text may hold markup; as escaped text it is only text.
        const text = labelOf(segment).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
        if (text && segment.end > segment.start) track.addCue(new VTTCue(segment.start, segment.end, text));
      }
      track.mode = before === "showing" ? "showing" : "disabled";
    }
  }, [key]);
}

/** How loud the sound is, and where it is now; a click goes there. */
function Wave({ index, now, seek }: Props) {
  const duration = core.value!.items.duration[index]!;
  if (!duration || !hasThumbnail(index)) return null;
  return (
    <div class="wave" onClick={(event) => seek((duration * event.offsetX) / event.currentTarget.clientWidth)}>
      <Thumbnail index={index} whole />
      <div class="head" aria-hidden="true" style={{ left: `${(100 * Math.min(now.value, duration)) / duration}%` }} />
    </div>
  );
}

/** The frames that the model saw, where the video itself cannot be played. */
function Frames({ index, now, seek }: Props) {
  const times = tileTimes(index);
  if (!times.length) return <Thumbnail index={index} whole />;
  const current = Math.max(0, times.findLastIndex((time) => time <= now.value + 0.001));
  return (
    <div>
      <Thumbnail index={index} tile={current} whole />
      {times.length > 1 && (
        <div class="frames" role="group" aria-label="Frames that the model saw">
          {times.map((time, tile) => (
            <button type="button" class="frame" aria-pressed={tile === current} aria-label={`Frame at ${clock(time, true)}`} onClick={() => seek(time)}>
              <Thumbnail index={index} tile={tile} />
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
