import { useEffect } from "preact/hooks";
import { Charts } from "./charts";
import { Compare } from "./compare";
import { Gallery } from "./gallery";
import { Header } from "./header";
import { Item } from "./item";
import { onKey } from "./keys";
import { core, problem } from "./store";
import { route, told } from "./state";

export function App() {
  useEffect(() => {
    const forget = (): void => {
      told.value = "";
    };
    addEventListener("keydown", onKey);
    addEventListener("pointerdown", forget);
    return () => {
      removeEventListener("keydown", onKey);
      removeEventListener("pointerdown", forget);
    };
  }, []);
  if (!core.value) return <p class="notice">{problem.value ?? "Reading the report …"}</p>;
  return (
    <>
      <a class="skip" href="#main" onClick={skip}>
        Skip to the results
      </a>
      <Header />
      {problem.value && (
        <p class="notice" role="alert">
          {problem.value}
        </p>
      )}
      <main id="main" tabIndex={-1}>
        <View />
      </main>
      <p class={told.value ? "told" : "visually-hidden"} role="status">
        {told.value}
      </p>
    </>
  );
}

function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function View() {
  const where = route.value;
  switch (where.view) {
    case "gallery":
      return <Gallery />;
    case "charts":
      return <Charts />;
    case "compare":
      return <Compare indices={where.indices} />;
    case "item":
      return <Item key={where.index} index={where.index} time={where.time} />;
  }
}
