// Changes as a file on the reader's disk.
import { changeCount, changesFile, noteSaved } from "./edits";
import { told } from "./state";
import { counted } from "./texts";
import { save } from "./ui";

export function saveChanges(): void {
  const count = changeCount.value;
  if (!count) {
    told.value = "There are no changes to save.";
    return;
  }
  save("edits.json", "application/json", changesFile());
  noteSaved();
  told.value = `Saved ${counted(count, "change")} as edits.json.`;
}
