// The keyboard: all of a review can be done with it. Keys of one letter can be turned off, and mean nothing where one types.
import { canUndo, review, reviewOf, undo, type State } from "./edits";
import { saveChanges } from "./saving";
import { columnsShown, editing, helpOpen, noteWanted, pageRows, scrollToFocused } from "./ui";
import { hitTime } from "./lead";
import { language, shortcuts } from "./preferences";
import { addressOf, current, focused, go, route, selected, shown, toggleSelected, told } from "./state";
import { nameOf, shownAnswers } from "./texts";
import { core, ENGLISH } from "./store";

/** Keys of changes, where the page takes none. */
const CHANGING = /^[afneus]$/;

const ALL_KEYS: [string, string][] = [
  ["/", "to the search"],
  ["j, k or →, ←", "next, previous file"],
  ["↑ ↓ Page Home End", "move in the gallery"],
  ["Enter", "open"],
  ["a", "accept it, and go on to the next"],
  ["f", "flag it, and go on to the next"],
  ["n", "write a note; what is not reviewed is flagged"],
  ["e", "edit the first text"],
  ["u", "undo the last change"],
  ["s", "save the changes"],
  ["x", "select it"],
  ["c", "compare the selected"],
  ["Space", "play or pause"],
  [", and .", "a second back, a second on"],
  ["Esc", "back to the gallery"],
  ["?", "this help"],
];

export const keys = (): [string, string][] => ALL_KEYS.filter(([key]) => core.value!.takes_changes || !CHANGING.test(key));

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || target.matches("input:not([type=checkbox]), textarea, select"));

/** The last file of the list, when it was just reviewed by a key: the next key is not about it unless it is pressed again. */
let finished: number | null = null;

export function onKey(event: KeyboardEvent): void {
  if (/^(Shift|Control|Alt|Meta)$/.test(event.key)) return;
  told.value = "";
  if (!core.value || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "Escape") {
    if (isTyping(event.target)) (event.target as HTMLElement).blur();
    else if (route.value.view !== "gallery") go({ view: "gallery" });
    else return;
    event.preventDefault();
    return;
  }
  if (isTyping(event.target)) return;
  const moved = route.value.view === "gallery" && moveInGallery(event.key);
  if (moved || (shortcuts.value && (event.key.length === 1 || /^Arrow/.test(event.key)) && act(event))) {
    event.preventDefault();
  }
}

function moveInGallery(key: string): boolean {
  const row = columnsShown.value;
  const steps: Record<string, number> = {
    ArrowRight: 1,
    ArrowLeft: -1,
    ArrowDown: row,
    ArrowUp: -row,
    PageDown: row * pageRows.value,
    PageUp: -row * pageRows.value,
    Home: -Infinity,
    End: Infinity,
  };
  if (!Object.hasOwn(steps, key)) return false;
  const active = document.activeElement;
  // Elsewhere these keys scroll, or belong to what has the focus.
  if (active && active !== document.body && !active.closest(".gallery") && active.id !== "main") return false;
  step(steps[key]!);
  return true;
}

/** Move to a file so many places on; in the gallery the focus goes there, else it is opened. */
export function step(by: number): void {
  const list = shown.value;
  if (!list.length) return;
  const where = route.value;
  const at = list.indexOf(where.view === "item" ? where.index : current.value);
  const isLastRow = Math.floor(at / columnsShown.value) === Math.floor((list.length - 1) / columnsShown.value);
  // Below the last row there is nothing to go to.
  const to = by > 1 && Number.isFinite(by) && isLastRow ? at : Math.max(0, Math.min(list.length - 1, at + by));
  const next = list[to]!;
  focused.value = next;
  if (where.view === "item") go({ view: "item", index: next, time: hitTime(next) });
  else scrollToFocused();
}

function act(event: KeyboardEvent): boolean {
  const where = route.value;
  const index = where.view === "item" ? where.index : where.view === "gallery" ? current.value : undefined;
  if (CHANGING.test(event.key) && !core.value!.takes_changes) {
    told.value = "These are results of a cluster, which take no changes.";
    return true;
  }
  switch (event.key) {
    case "/":
      document.querySelector<HTMLInputElement>("#search")?.focus();
      return true;
    case "?":
      helpOpen.value = true;
      return true;
    case "c":
      if (selected.value.size !== 2) told.value = `Two files can be compared; ${selected.value.size} are selected.`;
      document.querySelector<HTMLButtonElement>("#compare:not([disabled])")?.click();
      return true;
    case "s":
      saveChanges();
      return true;
    case "u":
      takeBack();
      return true;
  }
  if (index === undefined || !shown.value.length) return false;
  const isOnButton = document.activeElement?.matches("button, a, summary, video, input") ?? false;
  if (/^[afnex]$/.test(event.key) && where.view === "gallery" && !isInSight(index)) {
    scrollToFocused();
    told.value = `Here is the file that ${event.key} is about: press it again.`;
    return true;
  }
  switch (event.key) {
    case "j":
      step(1);
      return true;
    case "k":
      step(-1);
      return true;
    case "ArrowRight":
    case "ArrowLeft":
      if (where.view !== "item" || document.activeElement?.matches("video, [role=slider]")) return false;
      step(event.key === "ArrowRight" ? 1 : -1);
      return true;
    case "a":
      sayByKey(index, "accepted");
      return true;
    case "f":
      sayByKey(index, "flagged");
      return true;
    case "n":
      if (!reviewOf(index)) review(index, "flagged");
      if (where.view !== "item") go({ view: "item", index, time: null });
      noteWanted.value = index;
      return true;
    case "x":
      toggleSelected(index);
      return true;
    case "e":
      if (!shownAnswers(index, language.value).some((each) => each.editable !== undefined)) {
        told.value = `${nameOf(core.value!.items.name[index]!)} has no text to edit${language.value === ENGLISH ? "" : " in this language"}.`;
        return true;
      }
      if (where.view !== "item") location.hash = addressOf({ view: "item", index, time: null });
      editing.value = { index, key: "first" };
      return true;
    case " ":
      return !isOnButton && withVideo((video) => void (video.paused ? video.play() : video.pause()));
    case ",":
      return withVideo((video) => (video.currentTime = Math.max(0, video.currentTime - 1)));
    case ".":
      return withVideo((video) => (video.currentTime += 1));
  }
  return false;
}

export function takeBack(): void {
  finished = null;
  told.value = canUndo.value ? "The last change is undone." : "There is nothing to undo.";
  undo();
}

/** Whether a card is on the screen, below the page's head. */
function isInSight(index: number): boolean {
  const box = document.querySelector(`.card[data-index="${index}"]`)?.getBoundingClientRect();
  if (!box) return false;
  const head = document.querySelector("header")?.getBoundingClientRect().bottom ?? 0;
  const middle = (box.top + box.bottom) / 2;
  return middle > Math.max(0, head) && middle < innerHeight;
}

/** As `say`; behind the last file no key takes back or overwrites what was just said, unless it is pressed again. */
function sayByKey(index: number, state: State): void {
  if (finished === index && reviewOf(index)) {
    finished = null;
    told.value = `This is the last file, and it is ${reviewOf(index)!.state} already. Press the key again to change that.`;
    return;
  }
  const isLast = shown.value.at(-1) === index;
  say(index, state);
  finished = isLast && reviewOf(index)?.state === state && shown.value.includes(index) ? index : null;
  if (finished !== null) told.value += ". It was the last file.";
}

/** Accept or flag a file, and go on to the next one: taking it back stays. */
export function say(index: number, state: State): void {
  review(index, state);
  const after = reviewOf(index)?.state;
  told.value = `${nameOf(core.value!.items.name[index]!)}: ${after ?? "not reviewed"}`;
  if (after === state) {
    const list = shown.value;
    // With a filter such as `unreviewed` the file has just left the list, and the next one stands in its place.
    if (list.includes(index)) step(1);
    else if (list.length) {
      const next = list.find((each) => each > index) ?? list.at(-1)!;
      focused.value = next;
      if (route.value.view === "item") go({ view: "item", index: next, time: hitTime(next) });
      else scrollToFocused();
    }
  }
}

function withVideo(use: (video: HTMLVideoElement) => void): boolean {
  const video = document.querySelector<HTMLVideoElement>(".player video, .player audio");
  if (video) use(video);
  return video !== null;
}
