// The files of the page, each with how far it is.
import { recordOf, isBusy, opened, remove, start, stop, uploads, type State, type Upload } from "./uploads";
import { arrived } from "../store";
import { askedOf } from "./form";

export function Tray() {
  return (
    <ul class="tray" aria-label="Files">
      {uploads.value.map((upload) => (
        <li key={upload.index}>
          <Small upload={upload} />
        </li>
      ))}
    </ul>
  );
}

function Small({ upload }: { upload: Upload }) {
  void arrived.value;
  const state = upload.state.value;
  const { name } = upload.file;
  const isOpen = opened.value === upload.index;
  const busy = isBusy(state.stage);
  return (
    <div class={`small${isOpen ? " selected" : ""}`}>
      <button type="button" class="plain open" aria-current={isOpen ? "true" : undefined} onClick={() => (opened.value = upload.index)}>
        <Look upload={upload} />
        <span class="name">
          <bdi>{name}</bdi>
        </span>
      </button>
      <div class="state">
        <span class={`badge ${CLASSES[state.stage] ?? ""}`} title={state.reason ?? undefined}>
          {wordsOf(state, recordOf(upload).error)}
        </span>
        {state.stage === "failed" && (
          <button type="button" class="plain" aria-label={`Try again: ${name}`} onClick={() => start(upload, askedOf(upload))}>
            Try again
          </button>
        )}
        {busy ? (
          <button type="button" class="plain" aria-label={`Stop ${name}`} onClick={() => stop(upload)}>
            Stop
          </button>
        ) : (
          <button type="button" class="plain" aria-label={`Remove ${name}`} onClick={() => remove(upload)}>
            Remove
          </button>
        )}
      </div>
      {busy && <Bar state={state} name={name} />}
    </div>
  );
}

const CLASSES: Record<string, string> = { failed: "bad", done: "accepted" };

function wordsOf({ stage, share, tokens, reason, pieces }: State, error: string | null): string {
  const percent = `${Math.floor(100 * share)} %`;
  switch (stage) {
    case "ready":
      return reason ?? "ready";
    case "waiting":
      return "waiting for the others";
    case "sending":
      return `sending, ${percent}`;
    case "queued":
      return reason ? "the server is busy, trying again" : "waiting for its turn";
    case "running":
      return tokens ? `${percent}, ${tokens} tokens` : pieces.length ? "writing" : "looking at it";
    case "done":
      return reason ?? (error ? "done, with problems" : "done");
    case "failed":
      return "failed";
  }
}

function Bar({ state, name }: { state: State; name: string }) {
  const known = state.stage === "sending" || (state.stage === "running" && state.share > 0);
  return <progress aria-label={`Progress of ${name}`} max={1} {...(known ? { value: state.share } : {})} />;
}

/** The picture, or the first frame of a video, as the browser shows it. */
function Look({ upload: { kind, url } }: { upload: Upload }) {
  return (
    <span class="preview" aria-hidden="true">
      {kind === "video" ? (
        <video src={`${url}#t=0.1`} muted preload="metadata" playsInline tabIndex={-1} />
      ) : kind === "audio" ? (
        <span class="no-thumbnail">♪</span>
      ) : (
        <img src={url} alt="" decoding="async" onError={(event) => (event.currentTarget.hidden = true)} />
      )}
    </span>
  );
}
