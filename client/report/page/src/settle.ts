// Changes that the ledger has by now are not kept in the browser any longer.
import { effect } from "@preact/signals";
import { change, changeCount, changes, type Edit } from "./edits";
import { complete, details } from "./store";
import { shownAnswers } from "./texts";

/** Forget them, once all files are read. */
export function settle(): void {
  const stop = effect(() => {
    if (!complete.value) return;
    queueMicrotask(() => {
      stop();
      forget();
    });
  });
}

function forget(): void {
  if (!changeCount.value) return;
  const places = new Map(details.map((known, index) => [known?.record.sha256, index]));
  const reviews = Object.entries(changes.value.reviews).filter(([sha256, own]) => {
    const stored = details[places.get(sha256) ?? -1]?.record.review;
    return own.state !== (stored?.state ?? null) || own.note !== (stored?.note ?? "");
  });
  const edits = Object.entries(changes.value.edits).filter(([, made]) => {
    const index = places.get(made.sha256);
    return index === undefined || !isStored(index, made);
  });
  if (reviews.length + edits.length !== changeCount.value) {
    change({ reviews: Object.fromEntries(reviews), edits: Object.fromEntries(edits) });
  }
}

function isStored(index: number, made: Edit): boolean {
  for (const { editable, stored, segments } of shownAnswers(index, made.language)) {
    if (editable === made.answer) return JSON.stringify(stored) === JSON.stringify(made.texts);
    const segment = segments.find((each) => each.answer === made.answer);
    if (segment) return segment.stored === made.texts[0];
  }
  return false;
}
