// Counts down what the page says. It never asks the server: a request that reads the session would keep it alive.
'use strict';

const ring = document.querySelector('.ring');
const left = document.getElementById('left');
const session = document.querySelector('[data-session]')?.dataset.session ?? null;
let deadline = 0;
let timer = null;

function text(seconds) {
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function tick() {
  const remaining = deadline - Date.now();
  left.textContent = text(Math.max(0, Math.ceil(remaining / 1000)));
  ring.classList.toggle('low', remaining < Number(ring.dataset.idleMs) / 4);
  if (remaining <= 0) {
    clearInterval(timer);
    document.getElementById('status').textContent = 'Idle timeout';
    document.getElementById('status').classList.remove('live');
    document.getElementById('meaning').hidden = true;
    document.getElementById('over').hidden = false;
  }
}

function fill(millis) {
  deadline = Date.now() + millis;
  clearInterval(timer);
  timer = setInterval(tick, 250);
  tick();
}

if (ring) {
  const channel = new BroadcastChannel('session');
  // Another tab has used the session: this ring is full again, or what this page shows is out of date.
  channel.onmessage = ({ data }) => {
    if (data.session !== session) {
      document.getElementById('stale').hidden = false;
    } else if (deadline > Date.now()) {
      fill(data.millis);
      ring.querySelector('animate').beginElement();
    }
  };
  const millis = Number(ring.dataset.idleMs ?? 0);
  if (session) fill(millis);
  channel.postMessage({ session, millis });
}

// From the history of the browser: not what is there now.
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload();
});
