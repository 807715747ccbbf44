// The keyboard: all of a review can be done with it. Keys of one letter can be turned off, and mean nothing where one types.
import { review, reviewOf, type State } from "./edits";
import { columnsShown, editing, helpOpen, pageRows, scrollToFocused } from "./ui";
import { shortcuts } from "./preferences";
import { addressOf, focused, go, route, shown, toggleSelected, told } from "./state";
import { nameOf } from "./texts";
import { core } from "./store";

export const KEYS: [string, string][] = [
  ["/", "to the search"],
  ["j, k or →, ←", "next, previous file"],
  ["↑ ↓ Page Home End", "move in the gallery"],
  ["Enter", "open"],
  ["a", "accept it, and go on to the next"],
  ["f", "flag it, and go on to the next"],
  ["e", "edit the first text"],
  ["x", "select it"],
  ["c", "compare the selected"],
  ["Space", "play or pause"],
  [", and .", "a second back, a second on"],
  ["Esc", "back to the gallery"],
  ["?", "this help"],
];

const isTyping = (target: EventTarget | null): boolean =>
  target instanceof HTMLElement && (target.isContentEditable || /^(input|textarea|select)$/i.test(target.tagName));

export function onKey(event: KeyboardEvent): void {
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
  const at = list.indexOf(where.view === "item" ? where.index : focused.value);
  const next = list[Math.max(0, Math.min(list.length - 1, at + by))]!;
  focused.value = next;
  if (where.view === "item") go({ view: "item", index: next, time: null });
  else scrollToFocused();
}

function act(event: KeyboardEvent): boolean {
  const where = route.value;
  const index = where.view === "item" ? where.index : where.view === "gallery" ? focused.value : undefined;
  switch (event.key) {
    case "/":
      document.querySelector<HTMLInputElement>("#search")?.focus();
      return true;
    case "?":
      helpOpen.value = true;
      return true;
    case "c":
      document.querySelector<HTMLButtonElement>("#compare:not([disabled])")?.click();
      return true;
  }
  if (index === undefined || !shown.value.length) return false;
  const isOnButton = document.activeElement?.matches("button, a, summary, video") ?? false;
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
      say(index, "accepted");
      return true;
    case "f":
      say(index, "flagged");
      return true;
    case "x":
      toggleSelected(index);
      return true;
    case "e":
      if (where.view !== "item") location.hash = addressOf({ view: "item", index, time: null });
      editing.value = "first";
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
      if (route.value.view === "item") go({ view: "item", index: next, time: null });
      else scrollToFocused();
    }
  }
}

function withVideo(use: (video: HTMLVideoElement) => void): boolean {
  const video = document.querySelector<HTMLVideoElement>(".player video, .player audio");
  if (video) use(video);
  return video !== null;
}
