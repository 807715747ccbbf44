import { useEffect, useRef } from "preact/hooks";
import { keys } from "./keys";
import { FIELDS, NUMBERS, STATES } from "./query";
import { core } from "./store";
import { shortcuts } from "./preferences";
import { filterBy } from "./state";
import { helpOpen } from "./ui";

const EXAMPLES: [string, string][] = [
  ['"red car"', "these words, in any text and any language"],
  ["tag:beach -tag:people", "with one tag, without another"],
  ["sentiment:negative kind:video", "negative videos"],
  ["duration>30 (failed OR doubtful)", "long, and something is wrong"],
  ["doubtful:hin", "doubtful sentences in Hindi"],
];

export function Help() {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (helpOpen.value) dialog.current?.showModal();
  }, [helpOpen.value]);
  if (!helpOpen.value) return null;
  const close = (): void => {
    dialog.current?.close();
  };
  const { stats, version, written, columns } = core.value!;
  return (
    <dialog ref={dialog} aria-labelledby="help-title" onClose={() => (helpOpen.value = false)}>
      <div class="dialog-head">
        <h2 id="help-title">Help</h2>
        <button type="button" onClick={close}>
          Close
        </button>
      </div>
      <h3>Filters</h3>
      <ul class="examples">
        {EXAMPLES.map(([example, about]) => (
          <li>
            <button
              type="button"
              class="plain code"
              onClick={() => {
                close();
                filterBy(example);
              }}
            >
              {example}
            </button>{" "}
            {about}
          </li>
        ))}
      </ul>
      <p>
        Conditions that stand side by side all have to hold; OR, NOT (or a minus) and parentheses do what one expects. A star at the
        end, tag:car*, finds all that begins so. Accents and case do not matter.
      </p>
      <dl class="fields">
        {Object.entries(FIELDS).map(([name, { about }]) => [<dt>{name}:</dt>, <dd>{about}</dd>])}
        {Object.entries(NUMBERS).map(([name, { about }]) => [<dt>{name}&gt;</dt>, <dd>{about}</dd>])}
        {Object.entries(STATES).map(([name, { about }]) => [<dt>{name}</dt>, <dd>{about}</dd>])}
        {columns.length > 0 && [<dt>column:</dt>, <dd>a column of your list of files: {columns.join(", ")}</dd>]}
      </dl>
      <h3>Keys</h3>
      <label>
        <input type="checkbox" checked={shortcuts.value} onChange={(event) => (shortcuts.value = event.currentTarget.checked)} /> Keys
        of one letter
      </label>
      <dl class="fields">
        {keys().map(([key, about]) => [
          <dt>
            <kbd>{key}</kbd>
          </dt>,
          <dd>{about}</dd>,
        ])}
      </dl>
      <h3>Changes</h3>
      {core.value!.takes_changes ? (
        <p>
          What you accept, flag or edit is kept in this browser. Save it to a file, edits.json, and bring it into the results:{" "}
          <code>babelview report DIR --apply edits.json</code>. The words of the model are kept beside yours.
        </p>
      ) : (
        <p>These are results of a cluster: they take no changes, so nothing can be accepted, flagged or edited here.</p>
      )}
      <h3>This report</h3>
      <p>
        Written {new Date(written).toLocaleString()} by Babelview {version}. Models: {modelsOf(stats)}. Nothing here is loaded from the
        network.
      </p>
    </dialog>
  );
}

function modelsOf(stats: Record<string, unknown>): string {
  const models = stats["models"];
  return models && typeof models === "object" ? [...new Set(Object.values(models).map(String))].join(", ") : "not known";
}
