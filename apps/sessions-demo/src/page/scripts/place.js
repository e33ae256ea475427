// Keeps the view where it was when a form leads back to the page. The focus is the server's: it marks
// the field or button that was used.
const KEY = 'place';

export function keep() {
  sessionStorage.setItem(KEY, String(scrollY));
}

addEventListener('submit', keep);

const place = sessionStorage.getItem(KEY);
sessionStorage.removeItem(KEY);
if (place !== null) {
  const restore = () => scrollTo(0, Number(place));
  // The browser scrolls to what gets the focus, at the first frame.
  addEventListener('load', () => requestAnimationFrame(() => requestAnimationFrame(restore)));
}
