// What components tell each other.
import { signal } from "@preact/signals";

export const columnsShown = signal(1);
export const pageRows = signal(1);
export const helpOpen = signal(false);
/** The answer that is being edited: its key, or the first one that may be. */
export const editing = signal<string | null>(null);
/** Counts up when the focus is to go to the file that `focused` names. */
export const focusWanted = signal(0);

export function scrollToFocused(): void {
  focusWanted.value++;
}

export function save(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
