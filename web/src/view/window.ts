/** Which lines of a long list are visible. The page itself scrolls, so the list needs no fixed height. */

import type { RefObject } from "preact";
import { useEffect, useState } from "preact/hooks";

const BEYOND = 6; // lines kept ready above and below

export interface Span {
  first: number;
  end: number;
}

export function useSpan(list: RefObject<HTMLElement | null>, count: number, lineHeight: number): Span {
  const [span, setSpan] = useState<Span>({ first: 0, end: 60 });
  useEffect(() => {
    let frame = 0;
    const look = (): void => {
      frame = 0;
      const top = list.current?.getBoundingClientRect().top ?? 0;
      const first = Math.max(0, Math.floor(-top / lineHeight) - BEYOND);
      const end = Math.ceil((innerHeight - top) / lineHeight) + BEYOND;
      setSpan((old) => (old.first === first && old.end === end ? old : { first, end }));
    };
    const ask = (): void => {
      frame ||= requestAnimationFrame(look);
    };
    look();
    addEventListener("scroll", ask, { passive: true });
    addEventListener("resize", ask);
    const watch = new ResizeObserver(ask); // the content above may change its height
    watch.observe(document.body);
    return () => {
      removeEventListener("scroll", ask);
      removeEventListener("resize", ask);
      watch.disconnect();
      cancelAnimationFrame(frame);
    };
  }, [list, lineHeight]);
  return { first: Math.min(span.first, Math.max(0, count - 1)), end: Math.min(span.end, count) };
}

/** Does this media query hold? */
export function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const look = (): void => setHolds(media.matches);
    look();
    media.addEventListener("change", look);
    return () => media.removeEventListener("change", look);
  }, [query]);
  return holds;
}
