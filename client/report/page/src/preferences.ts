// What the reader chose of how things are shown; kept by the browser for all pages of Babelview that it shares.
import { effect, signal } from "@preact/signals";
import { ENGLISH, languageOf } from "./store";

export const language = signal(ENGLISH);
export const theme = signal<"auto" | "light" | "dark">("auto");
/** Whether keys of one letter mean something. */
export const shortcuts = signal(true);

interface Kept {
  language?: string;
  theme?: string;
  shortcuts?: boolean;
}

function stored(name: string): Kept {
  try {
    return JSON.parse(localStorage.getItem(name) ?? "{}") as Kept;
  } catch {
    return {};
  }
}

/** Take up what was chosen before, and keep what is chosen from now on, under a name. */
export function keepPreferences(name: string): void {
  const before = stored(name);
  if (before.language && languageOf(before.language)) language.value = before.language;
  if (before.theme === "light" || before.theme === "dark") theme.value = before.theme;
  shortcuts.value = before.shortcuts ?? true;
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
    const kept: Kept = { language: language.value, theme: theme.value, shortcuts: shortcuts.value };
    try {
      localStorage.setItem(name, JSON.stringify(kept));
    } catch {
      // A browser that keeps nothing: the choice holds until the page is closed.
    }
  });
}
