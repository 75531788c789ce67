// One answer on the page: thoughts (folded), text, tool calls, what went wrong, and what can be done with it.
import {copyButton, el, icon, ICONS} from './dom.js';
import * as format from './format.js';
import {MarkdownView} from './markdown.js';
import {summaryOf} from './savings.js';

// `actions`: {again(), retry(), completion(), efficiency(message)}, called on clicks.
export class AnswerView {
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.body = el('div', {class: 'text'});
    this.markdown = message.plain ? null : new MarkdownView(this.body);
    if (message.plain) this.body.classList.add('plain');
    this.waiting = el('div', {class: 'waiting'});
    this.tools = el('div', {class: 'tools', hidden: true});
    this.problem = el('div', {class: 'problem', role: 'alert', hidden: true});
    this.foot = el('footer', {class: 'foot'});
    this.element = el('article', {class: 'answer', 'aria-label': 'Answer'},
      this.waiting, this.body, this.tools, this.problem, this.foot);
    this.last = false;
    this.update();
  }

  // Shows what the message now holds.
  update() {
    const {message} = this;
    this.element.setAttribute('aria-busy', String(Boolean(message.running)));
    this.element.classList.toggle('running', Boolean(message.running));
    this.showWaiting();
    this.showThinking();
    if (this.markdown) this.markdown.update(message.text);
    else if (this.body.textContent !== message.text) this.body.textContent = message.text;
    this.body.hidden = message.text === '';
    this.showTools();
    this.showProblem();
    this.showFoot();
  }

  setLast(last) {
    if (last === this.last) return;
    this.last = last;
    this.shownFoot = undefined;
    this.shownProblem = undefined;
    this.update();
  }

  showWaiting() {
    const {running, progress, text, thinking, tools} = this.message;
    this.waiting.hidden = !running || text !== '' || thinking !== '' || tools.length > 0;
    if (this.waiting.hidden) return;
    if (!progress) {
      if (!this.waiting.querySelector('.dots')) {
        const about = {class: 'dots', role: 'img', 'aria-label': 'Waiting for the first token'};
        this.waiting.replaceChildren(el('span', about, el('i'), el('i'), el('i')));
      }
      return;
    }
    if (!this.bar) {
      this.bar = el('progress');
      this.barWords = el('span');
    }
    if (!this.bar.isConnected) {
      this.waiting.replaceChildren(el('label', {class: 'prefill', 'aria-live': 'off'}, this.barWords, this.bar));
    }
    this.bar.max = Math.max(progress.total, 1);
    this.bar.value = Math.min(progress.done, progress.total);
    const total = format.count(progress.total);
    this.barWords.textContent = `Reading the prompt: ${format.count(progress.done)} of ${total} tokens`;
  }

  showThinking() {
    const {message} = this;
    if (message.thinking === '') return;
    if (!this.thinking) {
      this.thinkingTitle = el('span');
      const inner = el('div', {class: 'thoughts'});
      this.thoughts = new MarkdownView(inner);
      this.thinking = el('details', {class: 'think'}, el('summary', null, this.thinkingTitle), inner);
      // Folded text is not laid out; it is made when it is opened.
      this.thinking.addEventListener('toggle', () => this.showThinking());
      this.waiting.after(this.thinking);
    }
    const still = message.thinkingStarted !== undefined;
    const seconds = still ? (performance.now() - message.thinkingStarted) / 1000 : message.thinkingSeconds;
    this.thinkingTitle.textContent = still ? `Thinking for ${Math.round(seconds)} s`
      : `Thought for ${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
    this.thinking.classList.toggle('still', still);
    if (this.thinking.open) this.thoughts.update(message.thinking);
  }

  showTools() {
    const {tools} = this.message;
    this.tools.hidden = tools.length === 0;
    while (this.tools.children.length < tools.length) {
      this.tools.append(el('details', {class: 'call'}, el('summary'), el('pre', {tabindex: '0'})));
    }
    tools.forEach((tool, i) => {
      const [summary, pre] = this.tools.children[i].children;
      const title = `Calls ${tool.name || 'a tool'}`;
      if (summary.textContent !== title) summary.textContent = title;
      const source = this.message.running ? tool.arguments : pretty(tool.arguments);
      if (pre.textContent !== source) pre.textContent = source;
    });
  }

  showProblem() {
    const {error, running} = this.message;
    const state = running ? null : error || null;
    if (state === this.shownProblem) return;
    this.shownProblem = state;
    this.problem.hidden = !state;
    if (!state) return;
    const buttons = [];
    const button = (onclick, ...children) => el('button', {type: 'button', class: 'tool', onclick}, ...children);
    if (this.last) {
      buttons.push(button(this.actions.retry, icon(ICONS.again), 'Try again'));
      if (!this.message.plain && /chat.template/i.test(`${state.code} ${state.message}`)) {
        buttons.push(button(this.actions.completion, 'Use completion mode'));
      }
    }
    const facts = [
      state.status ? `status ${state.status}` : '', state.requestId ? `request ${state.requestId}` : '',
      state.retryAfter ? `try again in ${state.retryAfter} s` : '',
    ].filter((fact) => fact !== '');
    this.problem.replaceChildren(
      el('p', {class: 'what'}, state.message),
      facts.length > 0 ? el('p', {class: 'facts'}, facts.join(' \u00b7 ')) : '',
      el('div', {class: 'buttons'}, ...buttons));
  }

  showFoot() {
    const {message} = this;
    if (message.running) {
      this.foot.hidden = true;
      return;
    }
    this.foot.hidden = false;
    if (this.shownFoot) return;
    this.shownFoot = true;
    const end = message.stopped ? 'Stopped by you' : message.finish === 'length' ? 'Ended at the token limit' : '';
    const summary = summaryOf(message);
    const again = el('button', {type: 'button', class: 'tool again', onclick: this.actions.again},
      icon(ICONS.again), 'Regenerate');
    this.foot.replaceChildren(
      message.text === '' ? '' : copyButton('Copy', () => message.text),
      this.last && !message.error ? again : '',
      el('span', {class: 'end'}, end),
      summary === '' ? '' : el('button', {
        type: 'button', class: 'cost', 'aria-controls': 'panel', title: 'What this answer cost and saved',
        onclick: () => this.actions.efficiency(message),
      }, summary));
  }
}

function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}
