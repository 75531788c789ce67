// The page as a whole: what the person does, and what follows from it.
import {request} from './api.js';
import {byId, el} from './dom.js';
import {ConversationView, fitHeight} from './conversation.js';
import {Drawer} from './drawers.js';
import {showEfficiency} from './efficiency.js';
import * as format from './format.js';
import {showHistory} from './history.js';
import {Live} from './live.js';
import {modeOf, setUpSettings} from './settings.js';
import * as store from './store.js';
import {newAnswer, runTurn} from './turn.js';

const LONGEST_TITLE = 60;
const SAVE_EACH = 2000;  // milliseconds, while an answer is written

let chat = store.newChat();
let turn = null;      // {controller, answer} while an answer is written
let model = null;     // of /v1/stats
let selected = null;  // the answer whose efficiency is shown
let live = null;

const prompt = byId('prompt');
const view = new ConversationView({
  again: () => answerAgain(),
  retry: () => answerAgain(),
  completion: () => {
    store.saveSettings({...store.settings(), completion: true});
    showMode();
    answerAgain();
  },
  resend: (text) => {
    if (turn) return;
    cutAfterLastQuestion();
    chat.messages[chat.messages.length - 1].text = text;
    view.show(chat.messages);
    answer();
  },
  efficiency: (message) => {
    select(message);
    if (!panel.shown()) panel.open();
    byId('efficiency-title').scrollIntoView({block: 'start'});
  },
});
const side = new Drawer('side', '(max-width: 899px)', () => {});
const panel = new Drawer('panel', '(max-width: 1179px)', () => live?.wake(), {hideable: true});

// ---- conversations ----

function openChat(next) {
  stop();
  save();
  chat = next;
  view.show(chat.messages);
  select(chat.messages.findLast((message) => message.role === 'assistant') || null);
  showTitle();
  if (side.slides() && side.shown()) side.close();
  prompt.focus();
}

function newChat() {
  openChat(store.newChat());
}

// As newChat, but the conversation on screen is gone: it must not be kept again.
function leaveDeleted() {
  chat = store.newChat();
  openChat(chat);
}

function showTitle() {
  byId('title').textContent = chat.title || 'New chat';
  document.title = chat.title ? `${chat.title} \u2013 Qiao` : 'Qiao';
  showHistory(chat.id, {
    open: (id) => {
      const kept = store.loadChat(id);
      if (kept && id !== chat.id) openChat(kept);
      else if (side.slides()) side.close();
    },
    remove: (id) => {
      store.deleteChat(id);
      if (id === chat.id) {
        leaveDeleted();
      } else {
        showTitle();
      }
    },
  });
}

// What is under way is kept as if it had been stopped now.
function save() {
  if (chat.messages.length === 0) return;
  const messages = chat.messages.map(({running, started, progress, thinkingStarted, ...kept}) => {
    if (running) kept.stopped = true;
    if (thinkingStarted) kept.thinkingSeconds = (performance.now() - thinkingStarted) / 1000;
    return kept;
  });
  store.saveChat({...chat, messages});
}

// ---- answers ----

function send() {
  const text = prompt.value.trimEnd();
  if (turn || text.trim() === '') return;
  prompt.value = '';
  fitHeight(prompt);
  showSend();
  if (chat.messages.length === 0) {
    const line = text.trim().split('\n')[0];
    chat.title = line.length > LONGEST_TITLE ? `${line.slice(0, LONGEST_TITLE - 1).trimEnd()}\u2026` : line;
  }
  chat.messages.push({role: 'user', text});
  view.add(chat.messages[chat.messages.length - 1]);
  answer();
}

function cutAfterLastQuestion() {
  const last = chat.messages.findLastIndex((message) => message.role === 'user');
  chat.messages.length = last + 1;
}

function answerAgain() {
  if (turn) return;
  cutAfterLastQuestion();
  if (chat.messages.length === 0) return;
  view.show(chat.messages);
  answer();
}

async function answer() {
  const settings = store.settings();
  const messages = [...chat.messages];
  const message = newAnswer(settings.completion);
  const mine = {controller: new AbortController(), answer: message};
  const ofChat = chat;
  turn = mine;
  chat.time = Date.now();
  chat.messages.push(message);
  view.add(message);
  view.goToEnd();
  showSend();
  save();
  showTitle();
  let saved = performance.now();
  await runTurn({
    messages, settings: {...settings, max_tokens: settings.max_tokens || answerRoom()}, modelName,
    answer: message, signal: mine.controller.signal,
    changed: () => {
      if (chat !== ofChat) return;
      view.changed();
      if (performance.now() - saved > SAVE_EACH) {
        saved = performance.now();
        save();
      }
    },
  });
  if (turn === mine) turn = null;
  if (chat === ofChat) {
    view.finished();
    save();
    select(message);
  }
  const first = message.efficiency?.ttft_seconds ?? message.ttft;
  if (first !== undefined) live.addFirst(first);
  showSend();
  live.wake();
}

// Unless the person says otherwise: a quarter of the context, so that there is room for what is said next.
function answerRoom() {
  return String(Math.max(16, Math.min(4096, Math.floor((model?.context || 4096) / 4))));
}

// The name that requests carry.
async function modelName() {
  if (model?.id) return model.id;
  const list = await (await request('v1/models')).json();
  return list.data?.[0]?.id || '';
}

function stop() {
  turn?.controller.abort();
  turn = null;
}

// ---- what is shown beside ----

function select(message) {
  selected = message?.running ? null : message;
  showEfficiency(byId('efficiency'), selected, model);
}

function showStats(stats) {
  const known = model !== null;
  model = stats.model || {};
  if (known) return;
  showEfficiency(byId('efficiency'), selected, model);
  byId('welcome-model').textContent = model.id || 'Qiao';
  const facts = [
    ['parameters', model.parameters && format.amount(model.parameters)],
    ['active for a token', model.active_parameters && format.amount(model.active_parameters)],
    ['experts', model.experts > 0 && `${format.count(model.experts_per_token)} of ${format.count(model.experts)}`],
    ['weights', model.weight_format?.split(',')[0]],
    ['context', model.context && `${format.count(model.context)} tokens`],
  ].filter(([, value]) => value);
  byId('welcome-facts').replaceChildren(
    ...facts.map(([name, value]) => el('div', null, el('dt', null, name), el('dd', null, value))));
}

function showSend() {
  byId('send').hidden = turn !== null;
  byId('stop').hidden = turn === null;
  byId('send').disabled = prompt.value.trim() === '';
  document.body.classList.toggle('busy', turn !== null);
}

function showMode() {
  const settings = store.settings();
  byId('mode').textContent = modeOf(settings);
  prompt.placeholder = settings.completion ? 'Begin a text for the model to continue' : 'Write a message';
}

// ---- keys and clicks ----

byId('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  send();
});
prompt.addEventListener('input', () => {
  fitHeight(prompt);
  showSend();
});
prompt.addEventListener('keydown', (event) => {
  // While characters are composed (Chinese input), Enter chooses among them.
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing && event.keyCode !== 229) {
    event.preventDefault();
    send();
  } else if (event.key === 'ArrowUp' && prompt.value === '' && !turn) {
    event.preventDefault();
    view.editLast();
  }
});
document.addEventListener('keydown', (event) => {
  if (document.querySelector('dialog[open]')) return;
  if (event.key === 'Escape') {
    const drawer = [side, panel].find((each) => each.slides() && each.shown());
    if (drawer) drawer.close();
    else if (turn) stop();
  } else if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key.toLowerCase() === 'k') {
    event.preventDefault();
    newChat();
  }
});
byId('stop').addEventListener('click', () => {
  stop();
  prompt.focus();
});
byId('new-chat').addEventListener('click', newChat);
window.addEventListener('pagehide', save);
store.onChange(showTitle);

setUpSettings(showMode, () => {
  store.deleteAllChats();
  leaveDeleted();
});
live = new Live(byId('live'), byId('live-state'), () => panel.shown(), showStats);
view.show([]);
select(null);
showTitle();
showMode();
showSend();
