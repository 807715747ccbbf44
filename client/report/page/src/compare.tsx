// Two files side by side, task by task.
import { signal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";
import { Answers } from "./answers";
import { changes, review, reviewOf } from "./edits";
import { Player } from "./player";
import { SeekBar } from "./seekbar";
import { language } from "./preferences";
import { addressOf, filterByTag, typed } from "./state";
import { arrived, core } from "./store";
import { nameOf, shownAnswers } from "./texts";
import { editing } from "./ui";

export function Compare({ indices }: { indices: number[] }) {
  useEffect(() => scrollTo(0, 0), []);
  useEffect(
    () => () => {
      editing.value = null; // what was open here does not open elsewhere
    },
    [],
  );
  if (indices.length < 2) return <p class="notice">These files are not in this report.</p>;
  return (
    <div class="compare">
      <div class="item-head">
        <a class="button" href={addressOf({ view: "gallery" })}>
          {typed.value ? "← Results" : "← All files"}
        </a>
      </div>
      <div class="sides">
        {indices.map((index, side) => (
          <Side key={index} index={index} other={indices[1 - side]!} />
        ))}
      </div>
    </div>
  );
}

function Side({ index, other }: { index: number; other: number }) {
  void arrived.value;
  void changes.value;
  const now = useMemo(() => signal(0), []);
  const wanted = useMemo(() => signal<number | null>(null), []);
  const seek = (seconds: number): void => {
    wanted.value = null;
    wanted.value = seconds;
    now.value = seconds;
  };
  const answers = shownAnswers(index, language.value);
  const timed = answers.filter((each) => each.segments.length);
  const name = core.value!.items.name[index]!;
  const said = reviewOf(index)?.state;
  return (
    <section class="side" aria-label={nameOf(name)}>
      <h2 class="title">
        <a href={addressOf({ view: "item", index, time: null })}>
          <bdi>{nameOf(name)}</bdi>
        </a>
      </h2>
      {core.value!.takes_changes && (
        <div class="review" role="group" aria-label={`Review ${nameOf(name)}`}>
          <button type="button" aria-pressed={said === "accepted"} class="accept" onClick={() => review(index, "accepted")}>
            Accept
          </button>
          <button type="button" aria-pressed={said === "flagged"} class="flag" onClick={() => review(index, "flagged")}>
            Flag
          </button>
        </div>
      )}
      <Player index={index} now={now} wanted={wanted} answers={timed} seek={seek} />
      <SeekBar index={index} now={now} answers={timed} seek={seek} />
      <Answers index={index} answers={answers} now={now} seek={seek} onItem={filterByTag} others={shownAnswers(other, language.value)} />
    </section>
  );
}
