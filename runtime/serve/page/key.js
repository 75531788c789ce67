// The dialog that asks for an API key. Everybody who needs one at the same time waits for the same answer.
import {byId} from './dom.js';
import * as store from './store.js';

let asking = null;

// True where there is a key to try now. `refused`: the one that was kept is wrong.
export function askForKey(refused) {
  asking ||= ask(refused).finally(() => { asking = null; });
  return asking;
}

function ask(refused) {
  const dialog = byId('key');
  const input = byId('key-input');
  if (refused) store.forgetKey();
  byId('key-text').textContent = refused ? 'The server did not accept that key.' : 'This server asks for a key.';
  input.value = '';
  dialog.returnValue = '';
  byId('key-cancel').onclick = () => dialog.close('');
  dialog.showModal();
  input.focus();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      const given = dialog.returnValue === 'ok' && input.value.trim() !== '';
      if (given) store.saveKey(input.value.trim());
      input.value = '';
      resolve(given);
    }, {once: true});
  });
}
