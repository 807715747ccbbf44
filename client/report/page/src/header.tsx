import { Choices } from "./choices";
import { canUndo, changeCount, discardChanges, kept, unsavedCount } from "./edits";
import { exportCsv, exportJsonl } from "./exporting";
import { Help } from "./help";
import { saveChanges } from "./saving";
import { Search } from "./search";
import { chunksHere, chunksWanted, complete, core, count } from "./store";
import { addressOf, go, route, selected, shown, sort, SORTS, told } from "./state";
import { takeBack } from "./keys";
import { counted } from "./texts";
import { helpOpen, save } from "./ui";

export function Header() {
  const { title, written } = core.value!;
  const where = route.value.view;
  return (
    <header>
      <div class="bar">
        <h1>
          <a href={addressOf({ view: "gallery" })} title={`Written ${new Date(written).toLocaleString()}`}>
            <bdi>{title}</bdi>
          </a>
        </h1>
        <Search />
        <Choices />
      </div>
      <div class="bar second">
        <nav aria-label="Views">
          <a href={addressOf({ view: "gallery" })} aria-current={where === "gallery" ? "page" : undefined}>
            Files
          </a>
          <a href="#charts" aria-current={where === "charts" ? "page" : undefined}>
            Charts
          </a>
          <button type="button" class="plain" onClick={() => (helpOpen.value = true)} aria-haspopup="dialog">
            Help
          </button>
        </nav>
        <p class="count" aria-live="polite">
          {shown.value.length === count.value
            ? counted(count.value, "file")
            : `${shown.value.length.toLocaleString()} of ${counted(count.value, "file")}`}
          {!complete.value && <Reading />}
        </p>
        {where === "gallery" && (
          <label class="choice inline">
            <span>Order</span>
            <select value={sort.value} onChange={(event) => (sort.value = event.currentTarget.value)}>
              {Object.entries(SORTS).map(([key, { name }]) => (
                <option value={key}>{name}</option>
              ))}
            </select>
          </label>
        )}
        <Selection />
        <Export />
        <Changes />
      </div>
      <Help />
    </header>
  );
}

function Reading() {
  const share = Math.floor((100 * chunksHere.value) / Math.max(1, chunksWanted.value));
  return <span class="reading" aria-hidden="true">{` · reading texts, ${share} %`}</span>;
}

function Selection() {
  const chosen = [...selected.value];
  if (!chosen.length) return null;
  return (
    <span class="group">
      <span>{chosen.length} selected</span>
      <button type="button" id="compare" disabled={chosen.length !== 2} aria-describedby="compare-why" onClick={() => go({ view: "compare", indices: chosen })}>
        Compare
      </button>
      <span id="compare-why" class="hint">
        {chosen.length === 2 ? "" : chosen.length < 2 ? "select one more" : "takes two files"}
      </span>
      <button type="button" class="plain" onClick={() => (selected.value = new Set())}>
        Select none
      </button>
    </span>
  );
}

function Export() {
  const chosen = selected.value.size ? [...selected.value] : shown.value;
  const name = core.value!.title.replaceAll(/[^\p{L}\p{N}._-]+/gu, "_");
  const ready = complete.value && chosen.length > 0;
  return (
    <span class="group" role="group" aria-label={`Export ${counted(chosen.length, "file")}`}>
      <span class="hint">{selected.value.size ? "Selected:" : shown.value.length < count.value ? "Results:" : "All:"}</span>
      <button type="button" disabled={!ready} title="What is shown, or selected, as a table" onClick={() => save(`${name}.csv`, "text/csv", exportCsv(chosen))}>
        Export CSV
      </button>
      <button type="button" disabled={!ready} title="What is shown, or selected, a record a line" onClick={() => save(`${name}.jsonl`, "application/jsonl", exportJsonl(chosen))}>
        JSONL
      </button>
    </span>
  );
}

function Changes() {
  if (!changeCount.value) return canUndo.value ? <Undo /> : null;
  const unsaved = unsavedCount.value;
  return (
    <span class="group changes">
      <button type="button" class={unsaved ? "main" : ""} title="All changes as a file: babelview report DIR --apply edits.json brings them into the results (s)" onClick={saveChanges}>
        {unsaved ? `Save ${counted(unsaved, "change")}` : "Save again"}
      </button>
      {!unsaved && <span>saved as edits.json</span>}
      {canUndo.value && <Undo />}
      <button
        type="button"
        class="plain"
        onClick={() => {
          if (confirm("Discard all changes that this browser keeps for this report?")) {
            discardChanges();
            told.value = "All changes are discarded. Undo brings them back.";
          }
        }}
      >
        Discard
      </button>
      {!kept.value && <strong role="alert">This browser does not keep them: save them before you leave.</strong>}
    </span>
  );
}

function Undo() {
  return (
    <button type="button" class="plain" title="Takes the last change back (u)" onClick={takeBack}>
      Undo
    </button>
  );
}
