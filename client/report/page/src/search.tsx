// The search field, with completion: a combobox as the ARIA authoring practices describe it.
import { useRef, useState } from "preact/hooks";
import { suggestions, type Suggestion } from "./completion";
import { go, query, route, typed } from "./state";

export function Search() {
  const input = useRef<HTMLInputElement>(null);
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const [caret, setCaret] = useState(0);
  const { error } = query.value;
  const found = open ? suggestions(typed.value, caret) : [];
  const chosen = found[active];

  const update = (): void => {
    typed.value = input.current!.value;
    setCaret(input.current!.selectionStart ?? typed.value.length);
    setActive(-1);
    setOpen(true);
    if (route.value.view !== "gallery") go({ view: "gallery" });
  };
  const take = (suggestion: Suggestion): void => {
    typed.value = suggestion.text;
    setOpen(!suggestion.done);
    setCaret(suggestion.caret);
    setActive(-1);
    requestAnimationFrame(() => {
      input.current?.focus();
      input.current?.setSelectionRange(suggestion.caret, suggestion.caret);
    });
  };
  const key = (event: KeyboardEvent): void => {
    if (event.isComposing) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (!open) setOpen(true);
      else if (found.length) setActive((active + (event.key === "ArrowDown" ? 1 : active < 0 ? 0 : -1) + found.length) % found.length);
    } else if (event.key === "Enter" || (event.key === "Tab" && chosen)) {
      if (chosen) {
        event.preventDefault();
        take(chosen);
      } else if (event.key === "Enter") setOpen(false);
    } else if (event.key === "Escape" && open && found.length) {
      event.preventDefault();
      event.stopPropagation();
      setOpen(false);
    }
  };
  return (
    <search class="search">
      <input
        ref={input}
        id="search"
        type="text"
        role="combobox"
        placeholder='Search, or tag:beach duration>30 "red car" …'
        aria-label="Search and filter"
        aria-autocomplete="list"
        aria-expanded={found.length > 0}
        aria-controls="suggestions"
        aria-activedescendant={chosen ? `suggestion-${active}` : undefined}
        aria-invalid={error !== null}
        aria-describedby={error ? "search-error" : undefined}
        autocomplete="off"
        spellcheck={false}
        dir="auto"
        value={typed.value}
        onInput={update}
        onClick={() => {
          setCaret(input.current?.selectionStart ?? 0);
          setOpen(true);
        }}
        onFocus={() => setCaret(input.current?.selectionStart ?? 0)}
        onKeyDown={key}
        onBlur={() => setTimeout(() => setOpen(false), 150)}
      />
      <ul id="suggestions" role="listbox" aria-label="Suggestions" hidden={!found.length}>
        {found.map((suggestion, number) => (
          <li
            id={`suggestion-${number}`}
            role="option"
            aria-selected={number === active}
            onMouseDown={(event) => {
              event.preventDefault();
              take(suggestion);
            }}
          >
            <bdi class="what">{suggestion.label}</bdi>
            <span class="about">{suggestion.about}</span>
          </li>
        ))}
      </ul>
      {error && (
        <p id="search-error" role="alert">
          {error.message}
        </p>
      )}
    </search>
  );
}
