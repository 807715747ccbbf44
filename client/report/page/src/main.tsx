import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./app";
import { loadTexts } from "./chunks";
import { changeCount, kept, loadChanges } from "./edits";
import { language } from "./preferences";
import { settle } from "./settle";
import { startState } from "./state";
import { packsHere } from "./packs";
import { core, problem } from "./store";

/** What has been drawn by now is on the screen then. */
const drawn = (): Promise<void> => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0)));

const root = document.getElementById("app")!;
render(<App />, root);

const begun = effect(() => {
  if (!core.value) return;
  queueMicrotask(() => {
    begun();
    document.title = `${core.value!.title} · Babelview`;
    startState();
    void loadChanges().then(settle);
    // What is on the screen comes first: the gallery is drawn before texts are read.
    requestAnimationFrame(() => setTimeout(() => void packsHere().then(drawn).then(() => loadTexts(language.peek())), 0));
  });
});

addEventListener("load", () => {
  if (!core.value) problem.value = "data/core.js is missing: open index.html in its own folder, with data/ beside it";
});
addEventListener("beforeunload", (event) => {
  if (changeCount.value && !kept.value) event.preventDefault();
});
