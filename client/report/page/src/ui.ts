// What components tell each other.
import { signal } from "@preact/signals";

export const columnsShown = signal(1);
export const pageRows = signal(1);
export const helpOpen = signal(false);
/** What is being edited: the key of an answer of a file, or the first one that may be. */
export const editing = signal<{ index: number; key: string } | null>(null);
export const isEditing = (index: number, key: string): boolean => editing.value?.index === index && editing.value.key === key;
/** The file whose note is to be written. */
export const noteWanted = signal<number | null>(null);
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
