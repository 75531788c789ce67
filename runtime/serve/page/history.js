// The list of conversations.
import {byId, el, icon, ICONS} from './dom.js';
import * as store from './store.js';

// `actions`: {open(id), remove(id)}.
export function showHistory(current, actions) {
  const list = byId('chats');
  const focused = list.contains(document.activeElement) ? document.activeElement.closest('li')?.dataset.id : null;
  const items = store.chats().map((chat) => {
    const title = chat.title || 'New chat';
    return el('li', {'data-id': chat.id},
      el('button', {
        class: 'chat', type: 'button', title, 'aria-current': chat.id === current ? 'true' : null,
        onclick: () => actions.open(chat.id),
      }, title),
      el('button', {
        class: 'icon remove', type: 'button', 'aria-label': `Delete ${title}`, onclick: () => actions.remove(chat.id),
      }, icon(ICONS.remove)));
  });
  if (items.length === 0) items.push(el('li', {class: 'none'}, 'Chats are kept in this browser only.'));
  list.replaceChildren(...items);
  if (focused) [...items].find((item) => item.dataset.id === focused)?.querySelector('button').focus();
}
