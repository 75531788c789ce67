// The conversation on screen: its messages, and where one is in it.
import {AnswerView} from './answer.js';
import {byId, EachFrame, el, icon, ICONS} from './dom.js';

const NEAR = 80;  // pixels from the end that still count as the end

export class ConversationView {
  // `actions`: those of AnswerView, and resend(text) for the last question, changed.
  constructor(actions) {
    this.actions = actions;
    this.log = byId('log');
    this.scroller = byId('scroll');
    this.toEnd = byId('to-end');
    this.atEnd = true;
    this.frame = new EachFrame(() => this.draw());
    this.scroller.addEventListener('scroll', () => this.look(), {passive: true});
    this.toEnd.addEventListener('click', () => this.goToEnd());
    new ResizeObserver(() => this.follow()).observe(this.log);
  }

  // Shows all of a conversation anew.
  show(messages) {
    this.frame.cancel();
    this.views = messages.map((message) => this.viewOf(message));
    this.log.replaceChildren(...this.views.map((view) => view.element));
    this.settle();
    this.goToEnd();
  }

  add(message) {
    const view = this.viewOf(message);
    this.views.push(view);
    this.log.append(view.element);
    this.settle();
  }

  viewOf(message) {
    return message.role === 'user' ? new QuestionView(message, this.actions) : new AnswerView(message, this.actions);
  }

  // The last question and the last answer have more buttons than the others.
  settle() {
    const lastQuestion = this.views.findLastIndex((view) => view instanceof QuestionView);
    const end = this.views.length - 1;
    this.views.forEach((view, i) => view.setLast(i === (view instanceof QuestionView ? lastQuestion : end)));
    byId('welcome').hidden = this.views.length > 0;
  }

  // The last message has more text: shown with the next frame, or at once.
  changed() {
    this.frame.ask();
  }

  finished() {
    this.frame.now();
  }

  draw() {
    this.views[this.views.length - 1]?.update();
    this.follow();
  }

  look() {
    const {scrollHeight, scrollTop, clientHeight} = this.scroller;
    this.atEnd = scrollHeight - scrollTop - clientHeight < NEAR;
    this.toEnd.hidden = this.atEnd;
  }

  follow() {
    if (this.atEnd) this.scroller.scrollTop = this.scroller.scrollHeight;
    else this.look();
  }

  goToEnd() {
    this.atEnd = true;
    this.toEnd.hidden = true;
    this.follow();
  }

  editLast() {
    this.views.findLast((view) => view instanceof QuestionView)?.edit();
  }
}

class QuestionView {
  constructor(message, actions) {
    this.message = message;
    this.actions = actions;
    this.element = el('article', {class: 'question', 'aria-label': 'You'});
    this.last = false;
    this.update();
  }

  update() {
    const button = this.last && el('button', {type: 'button', class: 'tool edit', onclick: () => this.edit()},
      icon(ICONS.edit), 'Edit');
    this.element.replaceChildren(el('div', {class: 'said'}, this.message.text), button || '');
    this.editing = false;
  }

  setLast(last) {
    if (last === this.last) return;
    this.last = last;
    this.update();
  }

  edit() {
    if (this.editing || !this.last) return;
    this.editing = true;
    const area = el('textarea', {rows: 2, 'aria-label': 'Edit your message'});
    area.value = this.message.text;
    const cancel = () => {
      this.update();
      byId('prompt').focus();
    };
    const send = () => {
      if (area.value.trim() !== '') this.actions.resend(area.value);
    };
    area.addEventListener('keydown', (event) => {
      if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        send();
      } else if (event.key === 'Escape') {
        event.stopPropagation();
        cancel();
      }
    });
    this.element.replaceChildren(el('div', {class: 'editing'}, area, el('div', {class: 'buttons'},
      el('button', {type: 'button', class: 'quiet', onclick: cancel}, 'Cancel'),
      el('button', {type: 'button', class: 'primary', onclick: send}, 'Send'))));
    fitHeight(area);
    area.addEventListener('input', () => fitHeight(area));
    area.focus();
    area.setSelectionRange(area.value.length, area.value.length);
  }
}

// As high as its text, within what the style sheet allows.
export function fitHeight(area) {
  area.style.height = 'auto';
  area.style.height = `${area.scrollHeight + 2}px`;
}
