// Keeps the view where it was when a form leads back to the page. The focus is the server's: it marks
// the field or button that was used.
const KEY = 'place';

export function keep() {
  sessionStorage.setItem(KEY, String(scrollY));
}

addEventListener('submit', keep);

const place = sessionStorage.getItem(KEY);
sessionStorage.removeItem(KEY);

// Calls this once the view is where it was, if it was kept.
export function restored(then) {
  // The browser scrolls to what gets the focus, at the first frame.
  if (place !== null) addEventListener('load', () => requestAnimationFrame(() => requestAnimationFrame(then)));
}

restored(() => scrollTo(0, Number(place)));
