// Shows what other tabs did to the session. It asks the server only when somebody has just used the
// session in another tab, or comes back to this one, so it keeps no session alive that nobody uses.
import { refill } from './ring.js';
import { localize } from './times.js';

const card = document.getElementById('session-card');
const session = card?.dataset.session ?? null;

function live(page) {
  return [...page.querySelectorAll('[data-live]')];
}

function stale() {
  document.getElementById('stale').hidden = false;
}

async function mirror() {
  const answer = await fetch('/').then((answer) => answer.text()).catch(() => null);
  // Without an answer nothing is known to have changed.
  if (answer === null) return;
  const page = new DOMParser().parseFromString(answer, 'text/html');
  if ((page.getElementById('session-card')?.dataset.session ?? null) !== session) return stale();
  if (!refill(Number(page.querySelector('.ring').dataset.idleMs))) return stale();
  const [old, now] = [live(document), live(page)];
  // Other parts mean other forms: they don't change under somebody's hands.
  const same = old.length === now.length && old.every((part, index) => part.id === now[index].id);
  if (!same) return stale();
  old.forEach((part, index) => part.replaceWith(now[index]));
  localize();
}

if (card) {
  const channel = new BroadcastChannel('session');
  channel.onmessage = ({ data }) => {
    if (data !== session) stale();
    else if (session) mirror();
  };
  channel.postMessage(session);
  if (session) document.addEventListener('visibilitychange', () => document.hidden || mirror());
}
