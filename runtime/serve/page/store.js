// What this browser keeps: conversations and settings in localStorage, the key in sessionStorage. A browser that
// keeps nothing (private windows, full disks) still chats; it forgets.

const CHATS = 'qiao.chats';  // [{id, title, time}], the newest first
const CHAT = 'qiao.chat.';   // one conversation: {id, title, time, messages}
const SETTINGS = 'qiao.settings';
const PANEL = 'qiao.panel';
const KEY = 'qiao.key';
const MOST_CHATS = 200;

export const DEFAULTS = Object.freeze({
  system: '', temperature: '', top_p: '', max_tokens: '', seed: '', stop: '', json: false, completion: false,
});

function read(storage, name) {
  try {
    return JSON.parse(storage().getItem(name));
  } catch {
    return null;
  }
}

function write(storage, name, value) {
  try {
    storage().setItem(name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

function erase(storage, name) {
  try {
    storage().removeItem(name);
  } catch {
    // Nothing was kept, then.
  }
}

const local = () => window.localStorage;
const session = () => window.sessionStorage;

export function settings() {
  const kept = read(local, SETTINGS);
  const all = {...DEFAULTS};
  for (const name of Object.keys(all)) {
    if (kept && typeof kept[name] === typeof all[name]) all[name] = kept[name];
  }
  return all;
}

export const saveSettings = (all) => write(local, SETTINGS, all);

export const panelWanted = () => read(local, PANEL) !== false;
export const savePanelWanted = (wanted) => write(local, PANEL, wanted);

export const key = () => read(session, KEY);
export const saveKey = (value) => write(session, KEY, value);
export const forgetKey = () => erase(session, KEY);

// The identifiers of crypto.randomUUID exist on https and localhost only.
const newId = () => Date.now().toString(36) + Math.random().toString(36).slice(2, 8);

export const newChat = () => ({id: newId(), title: '', time: Date.now(), messages: []});

export function chats() {
  const list = read(local, CHATS);
  return Array.isArray(list) ? list.filter((chat) => chat && typeof chat.id === 'string') : [];
}

export function loadChat(id) {
  const chat = read(local, CHAT + id);
  return chat && Array.isArray(chat.messages) ? chat : null;
}

// Keeps a conversation and puts it first. Where there is no room, the oldest others go.
export function saveChat(chat) {
  let list = chats().filter((other) => other.id !== chat.id);
  for (const old of list.splice(MOST_CHATS - 1)) erase(local, CHAT + old.id);
  while (!write(local, CHAT + chat.id, chat)) {
    const oldest = list.pop();
    if (!oldest) return false;
    erase(local, CHAT + oldest.id);
  }
  list = [{id: chat.id, title: chat.title, time: chat.time}, ...list];
  return write(local, CHATS, list);
}

export function deleteChat(id) {
  erase(local, CHAT + id);
  write(local, CHATS, chats().filter((chat) => chat.id !== id));
}

export function deleteAllChats() {
  for (const chat of chats()) erase(local, CHAT + chat.id);
  erase(local, CHATS);
}

// Another tab of this browser changed the list.
export function onChange(listener) {
  window.addEventListener('storage', (event) => {
    if (event.key === null || event.key === CHATS) listener();
  });
}
