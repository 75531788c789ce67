// The settings dialog. What is valid is kept as it is typed.
import {byId} from './dom.js';
import * as store from './store.js';

// `changed()`: after each change. `clearChats()`: all conversations are to go.
export function setUpSettings(changed, clearChats) {
  const dialog = byId('settings');
  const form = dialog.querySelector('form');
  const fields = Object.keys(store.DEFAULTS).map((name) => form.elements[name]);

  const show = () => {
    const all = store.settings();
    for (const field of fields) {
      if (field.type === 'checkbox') field.checked = all[field.name];
      else field.value = all[field.name];
    }
  };
  form.addEventListener('input', () => {
    const all = store.settings();
    for (const field of fields) {
      if (field.type === 'checkbox') all[field.name] = field.checked;
      else if (field.validity.valid) all[field.name] = field.value;
    }
    store.saveSettings(all);
    changed();
  });
  byId('reset-settings').addEventListener('click', () => {
    store.saveSettings({...store.DEFAULTS});
    show();
    changed();
  });
  const clear = byId('clear-chats');
  let sure = false;
  const ask = (again) => {
    sure = again;
    clear.textContent = again ? 'Really delete all?' : 'Delete all chats';
  };
  clear.addEventListener('click', () => {
    if (sure) clearChats();
    ask(!sure);
  });
  dialog.addEventListener('close', () => ask(false));
  closeOnBackdrop(dialog);
  byId('open-settings').addEventListener('click', () => {
    show();
    dialog.showModal();
  });
}

function closeOnBackdrop(dialog) {
  dialog.addEventListener('pointerdown', (event) => {
    if (event.target === dialog) dialog.close();
  });
}

// What of the settings changes every answer, in a few words; for the line under the message box.
export function modeOf(all) {
  const parts = [];
  if (all.completion) parts.push('completion');
  if (all.json) parts.push('JSON');
  if (all.system.trim() !== '' && !all.completion) parts.push('system prompt');
  if (all.temperature.trim() !== '') parts.push(`temperature ${all.temperature}`);
  if (all.top_p.trim() !== '') parts.push(`top p ${all.top_p}`);
  if (all.seed.trim() !== '') parts.push(`seed ${all.seed}`);
  return parts.join(' \u00b7 ');
}
