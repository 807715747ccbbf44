// Changes as a file on the reader's disk.
import { change, changeCount, changes, changesFile, now } from "./edits";
import { told } from "./state";
import { save } from "./ui";

export function saveChanges(): void {
  const count = changeCount.value;
  if (!count) {
    told.value = "There are no changes to save.";
    return;
  }
  save("edits.json", "application/json", changesFile());
  change({ ...changes.value, saved: now() });
  told.value = `Saved ${count} change${count === 1 ? "" : "s"} as edits.json.`;
}
