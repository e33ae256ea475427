// All that the page's scripts do. Without them the page still works.
import './ring.js';
import './tabs.js';
import './times.js';
import './place.js';
import './race.js';
import './copy.js';

// From the history of the browser: not what is there now.
addEventListener('pageshow', (event) => {
  if (event.persisted) location.reload();
});
