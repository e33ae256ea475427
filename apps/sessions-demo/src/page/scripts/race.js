// "Race me": 50 increments and 50 plain writes, all at once. The server then tells what it counted.
import { keep, restored } from './place.js';

const RUNNERS = 50;
const button = document.getElementById('race');
// Another tab may have put a new one in its place.
const told = () => document.getElementById('raced');
const post = (path) => fetch(`/page/race/${path}`, { method: 'POST' });

async function race() {
  button.disabled = true;
  told().textContent = '';
  told().classList.remove('wrong');
  try {
    // Starts the session if there is none: each of many first requests would start one of its own.
    await post('ready');
  } catch {
    told().textContent = "The server didn't answer.";
    told().classList.add('wrong');
    button.disabled = false;
    return;
  }
  const runs = [];
  for (let runner = 0; runner < RUNNERS; runner += 1) runs.push(post('increment'), post('plain'));
  await Promise.allSettled(runs);
  keep();
  location.replace('/?raced=1');
}

if (button) {
  document.getElementById('racing').hidden = false;
  button.addEventListener('click', race);
  if (location.search === '?raced=1') {
    button.focus({ preventScroll: true });
    restored(() => told().scrollIntoView({ block: 'nearest' }));
  }
}
