// The gallery: only the rows on the screen are there, whatever the number of files.
import type { VNode } from "preact";
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Card } from "./card";
import { otherQuery } from "./completion";
import { complete, count } from "./store";
import { current, go, shown, sort, typed } from "./state";
import { counted } from "./texts";
import { columnsShown, focusWanted, pageRows } from "./ui";

const LEAST_WIDTH = 232;
const GAP = 14;
const TEXT_HEIGHT = 132;
const MORE_ROWS = 2;
const FOCUS_FRAMES = 120;
let scrolledTo = 0;
let askedBefore = "";

export function Gallery() {
  const list = shown.value;
  const box = useRef<HTMLDivElement>(null);
  const earlier = useRef(new Map<number, VNode>());
  const [width, setWidth] = useState(0);
  const [view, setView] = useState({ top: 0, height: 800 });
  const rowsIn = useRef(({ top, height }: typeof view) => [top, height]);

  useLayoutEffect(() => {
    const measure = (): void => {
      if (!box.current) return;
      const { top, width: wide } = box.current.getBoundingClientRect();
      setWidth(wide);
      const next = { top: -top, height: innerHeight };
      // Within the same rows nothing is drawn anew.
      setView((last) => (String(rowsIn.current(last)) === String(rowsIn.current(next)) ? last : next));
    };
    let asked = 0;
    const scrolled = (): void => {
      scrolledTo = scrollY;
      asked ||= requestAnimationFrame(() => {
        asked = 0;
        measure();
      });
    };
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(box.current!);
    addEventListener("scroll", scrolled, { passive: true });
    addEventListener("resize", scrolled);
    return () => {
      cancelAnimationFrame(asked);
      observer.disconnect();
      removeEventListener("scroll", scrolled);
      removeEventListener("resize", scrolled);
    };
  }, []);

  const columns = Math.max(1, Math.floor((width + GAP) / ((width < 520 ? 150 : LEAST_WIDTH) + GAP)));
  const cardWidth = (width - GAP * (columns - 1)) / columns;
  const rowHeight = Math.round(cardWidth * 0.5625) + TEXT_HEIGHT + GAP;
  const rows = Math.ceil(list.length / columns);
  rowsIn.current = ({ top, height }) => [
    Math.max(0, Math.floor(top / rowHeight) - MORE_ROWS),
    Math.min(rows, Math.ceil((top + height) / rowHeight) + MORE_ROWS),
  ];
  columnsShown.value = columns;
  pageRows.value = Math.max(1, Math.floor(view.height / rowHeight));

  // Another list begins at its top.
  const asked = `${sort.value} ${typed.value}`;
  useLayoutEffect(() => {
    if (asked === askedBefore) return;
    askedBefore = asked;
    scrolledTo = 0;
    scrollTo(0, 0);
  }, [asked]);

  // Back where one was, also after the list was drawn for the first time.
  useLayoutEffect(() => {
    if (width && scrolledTo) scrollTo(0, scrolledTo);
  }, [width > 0]);

  const wanted = focusWanted.value;
  const seen = useRef(wanted);
  useEffect(() => {
    if (wanted === seen.current || !box.current) return;
    seen.current = wanted;
    const row = Math.floor(list.indexOf(current.peek()) / columns);
    const top = box.current.getBoundingClientRect().top + scrollY + row * rowHeight;
    const head = document.querySelector("header")?.getBoundingClientRect().bottom ?? 0;
    if (top < scrollY + head) scrollTo(0, top - head - GAP);
    else if (top + rowHeight > scrollY + innerHeight) scrollTo(0, top + rowHeight - innerHeight);
    focusWhenDrawn(FOCUS_FRAMES);
  }, [wanted]);

  if (!count.value) return <p class="notice">There is nothing in this report: the run has found no file yet.</p>;
  if (!list.length) {
    const meant = complete.value ? otherQuery(typed.value) : null;
    return (
      <div class="notice">
        <p>{complete.value ? "No file matches this." : "Nothing found so far; texts are still being read."}</p>
        {meant !== null && (
          <button type="button" class="main" onClick={() => (typed.value = meant)}>
            Try <code>{meant}</code>
          </button>
        )}{" "}
        <button
          type="button"
          onClick={() => {
            typed.value = "";
            go({ view: "gallery" });
          }}
        >
          Show all {counted(count.value, "file")}
        </button>
        <div ref={box} />
      </div>
    );
  }
  const [first, last] = rowsIn.current(view) as [number, number];
  const drawn = width ? list.slice(first * columns, last * columns) : [];
  const tabbable = current.value;
  // The same node again is not compared anew: what is scrolled past costs nothing.
  const cards = new Map(drawn.map((index) => {
    const key = index === tabbable ? -1 - index : index;
    return [key, earlier.current.get(key) ?? <Card index={index} tabbable={index === tabbable} />];
  }));
  earlier.current = cards;
  return (
    <div class="gallery" ref={box}>
      <ul aria-label="Files" style={{ height: `${rows * rowHeight - GAP}px` }}>
        {drawn.map((index, number) => {
          const place = first * columns + number;
          return (
            <li
              key={index}
              aria-setsize={list.length}
              aria-posinset={place + 1}
              style={{
                width: `${cardWidth}px`,
                height: `${rowHeight - GAP}px`,
                transform: `translate(${(place % columns) * (cardWidth + GAP)}px, ${Math.floor(place / columns) * rowHeight}px)`,
              }}
            >
              {cards.get(index === tabbable ? -1 - index : index)}
            </li>
          );
        })}
      </ul>
    </div>
  );
}

/** The card that was scrolled to is drawn a frame or more later. */
function focusWhenDrawn(frames: number): void {
  const link = cardLink(current.peek());
  if (link) link.focus({ preventScroll: true });
  else if (frames > 0) requestAnimationFrame(() => focusWhenDrawn(frames - 1));
}

const cardLink = (index: number): HTMLElement | null => document.querySelector(`.card[data-index="${index}"] a`);
