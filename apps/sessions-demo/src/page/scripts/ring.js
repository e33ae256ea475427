// Counts down what the page says. It never asks the server: a request that reads the session would keep it alive.
import { localize } from './times.js';

const ring = document.querySelector('.ring');
const left = document.getElementById('left');
let deadline = 0;
let timer = null;

// As the server writes it.
function text(seconds) {
  const two = (number) => String(number).padStart(2, '0');
  const minutes = Math.floor(seconds / 60);
  if (minutes === 0) return `${seconds} s`;
  if (minutes < 60) return `${minutes}:${two(seconds % 60)}`;
  return `${Math.floor(minutes / 60)}:${two(minutes % 60)} h`;
}

function tick() {
  const remaining = deadline - Date.now();
  left.textContent = remaining > 0 ? text(Math.ceil(remaining / 1000)) : '–';
  ring.classList.toggle('low', remaining < Number(ring.dataset.idleMs) / 4);
  // Browsers may remember over a reload what a script has disabled.
  for (const button of document.querySelectorAll('#logout, .everywhere form button')) button.disabled = remaining <= 0;
  if (remaining <= 0) {
    clearInterval(timer);
    document.body.classList.add('past');
    for (const text of document.querySelectorAll('[data-past]:not([data-until])')) {
      text.textContent = text.dataset.past;
    }
    for (const told of document.querySelectorAll('.told:not(.wrong)')) told.textContent = '';
    document.getElementById('until').textContent = '';
    document.getElementById('status').textContent = 'Timed out';
    document.getElementById('status').classList.remove('live');
    document.getElementById('meaning').hidden = true;
    document.getElementById('over').hidden = false;
    localize();
  }
}

// The idle timeout starts again, now.
function fill(millis) {
  deadline = Date.now() + millis;
  clearInterval(timer);
  timer = setInterval(tick, 250);
  tick();
}

// As `fill`, but not once the ring has run down. Returns whether it hadn't.
export function refill(millis) {
  if (deadline <= Date.now()) return false;
  fill(millis);
  ring.querySelector('animate').beginElement();
  return true;
}

const millis = Number(ring?.dataset.idleMs ?? 0);

if (millis) {
  for (const unscripted of ring.querySelectorAll('set, .over')) unscripted.remove();
  fill(millis);
}
