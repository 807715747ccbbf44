// The whole page.
import { useEffect, useRef, useState } from "preact/hooks";
import { Choices } from "../choices";
import { told } from "../state";
import { Form, keepChoice } from "./form";
import { door, hasKey, look, takeKey } from "./server";
import { Shown } from "./shown";
import { Tray } from "./tray";
import { add, busy, opened, uploads } from "./uploads";

export function Studio() {
  const [over, setOver] = useState(false);
  useEffect(keepChoice, []);
  useEffect(() => {
    const leaving = (event: BeforeUnloadEvent): void => {
      if (busy.peek()) event.preventDefault();
    };
    const pasted = (event: ClipboardEvent): void => {
      if (event.clipboardData?.files.length) add(event.clipboardData.files);
    };
    const dragged = (event: DragEvent): void => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      setOver(event.type !== "drop" && event.type !== "dragleave");
      if (event.type === "drop") add(event.dataTransfer.files);
    };
    addEventListener("beforeunload", leaving);
    addEventListener("paste", pasted);
    const drags = ["dragenter", "dragover", "dragleave", "drop"] as const;
    for (const name of drags) addEventListener(name, dragged);
    return () => {
      removeEventListener("beforeunload", leaving);
      removeEventListener("paste", pasted);
      for (const name of drags) removeEventListener(name, dragged);
    };
  }, []);
  const shown = uploads.value.find(({ index }) => index === opened.value);
  return (
    <div class={`studio${over ? " over" : ""}`}>
      <Header />
      <Door />
      <main id="main" tabIndex={-1}>
        <Form />
        <div class="results" id="results">
          {uploads.value.length > 0 && <Tray />}
          {shown ? <Shown key={shown.index} upload={shown} /> : <Empty />}
        </div>
      </main>
      <p class="visually-hidden" role="status">
        {told.value}
      </p>
    </div>
  );
}

function Header() {
  return (
    <header>
      <div class="bar">
        <h1>Babelview studio</h1>
        <p class="count">What is dropped here goes to this server, and is deleted there once it is answered.</p>
        <Choices />
        {door.value === "open" && hasKey() && (
          <button type="button" onClick={() => void takeKey("")}>
            Forget the key
          </button>
        )}
      </div>
    </header>
  );
}

/** What stands between the reader and the server. */
function Door() {
  switch (door.value) {
    case "open":
    case "asking":
      return null;
    case "away":
      return (
        <p class="notice" role="alert">
          The server does not answer.{" "}
          <button type="button" onClick={() => void look()}>
            Try again
          </button>
        </p>
      );
    case "no captioner":
      return (
        <p class="notice" role="alert">
          This server has no captioner, which this page asks: its profile leaves it out. The models themselves can be asked at <code>/v1/chat/completions</code>.
        </p>
      );
    case "key":
    case "wrong key":
      return <Key />;
  }
}

function Key() {
  const field = useRef<HTMLInputElement>(null);
  const wrong = door.value === "wrong key";
  useEffect(() => field.current?.focus(), []);
  return (
    <form
      class="notice key"
      aria-label="API key"
      onSubmit={(event) => {
        event.preventDefault();
        const given = field.current!.value.trim();
        field.current!.value = "";
        if (given) void takeKey(given);
      }}
    >
      <label class="field">
        <span>This server wants an API key. It is kept in this tab until it is closed.</span>
        <input ref={field} type="password" autocomplete="off" spellcheck={false} aria-invalid={wrong ? "true" : "false"} aria-describedby="key-problem" />
      </label>
      <p class="bad" id="key-problem" role="alert">
        {wrong ? "The server does not know this key." : ""}
      </p>
      <button type="submit" class="main">
        Use it
      </button>
    </form>
  );
}

function Empty() {
  return (
    <div class="notice empty">
      <p>Add a file, choose what to ask, and watch the answers come.</p>
      <p class="hint">For whole folders there is <code>babelview batch</code>, and its report to look at the results.</p>
    </div>
  );
}
