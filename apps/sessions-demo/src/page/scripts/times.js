// Writes times as this browser's clock has them, and how long ago they are. What was said until a
// time is put into the past tense.
const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });
const units = [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];

function ago(time) {
  const seconds = Math.round((time - Date.now()) / 1000);
  const [unit, size] = units.find(([, size]) => Math.abs(seconds) >= size) ?? ['second', 1];
  return relative.format(Math.round(seconds / size), unit);
}

export function localize() {
  for (const element of document.querySelectorAll('time')) {
    const time = new Date(element.dateTime);
    const today = time.toDateString() === new Date().toDateString();
    const local = today ? time.toLocaleTimeString() : time.toLocaleString();
    // What would have been has no distance from now.
    const past = element.matches('.past #deadline time');
    element.textContent = past ? local : `${local} (${ago(time)})`;
    element.title = time.toString();
  }
  for (const text of document.querySelectorAll('[data-until]')) {
    if (new Date(text.dataset.until) <= Date.now()) text.textContent = text.dataset.past;
  }
}

localize();
setInterval(localize, 5000);
