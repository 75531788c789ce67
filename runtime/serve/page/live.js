// The live panel: /v1/stats once a second, while somebody can see it.
import {request} from './api.js';
import {el} from './dom.js';
import * as format from './format.js';
import {Spark} from './spark.js';

const EACH = 1000;
const AFTER_FAILURE = 5000;

class Tile {
  constructor(name, length) {
    this.spark = new Spark(length);
    this.value = el('strong', null, '\u2013');
    this.unit = el('span', {class: 'unit'});
    this.note = el('p', {class: 'note'});
    this.element = el('section', {class: 'tile'}, el('h3', null, name), this.spark.element,
      el('p', {class: 'now'}, this.value, this.unit), this.note);
  }
  show(value, unit, note, more = note) {
    this.value.textContent = value;
    this.unit.textContent = unit;
    this.note.textContent = note;
    this.element.title = more;
  }
}

export class Live {
  // `visible()`: whether the panel is on screen; `onStats(stats)`: each time that they come.
  constructor(element, state, visible, onStats) {
    this.state = state;
    this.visible = visible;
    this.onStats = onStats;
    this.speed = new Tile('Speed');
    this.first = new Tile('First token', 20);
    this.cache = new Tile('Cache');
    this.batch = new Tile('Batch');
    this.firsts = 0;
    element.replaceChildren(this.speed.element, this.first.element, this.cache.element, this.batch.element);
    document.addEventListener('visibilitychange', () => this.wake());
    this.wake();
  }

  // Polls now, if it may; called when something becomes visible, too.
  wake() {
    clearTimeout(this.timer);
    if (document.visibilityState === 'visible' && (this.visible() || !this.stats)) this.poll();
  }

  async poll() {
    if (this.polling) return;
    this.polling = true;
    let wait = EACH;
    try {
      this.stats = await (await request('v1/stats')).json();
      this.show(this.stats);
      this.onStats(this.stats);
      this.setState('', '');
    } catch (error) {
      this.setState(error.status === 401 ? 'needs a key' : error.status ? 'no figures' : 'not reachable', 'bad');
      // Without a key, asking again would ask the person again: wake() does that after the next good answer.
      wait = error.status === 401 ? 0 : AFTER_FAILURE;
    }
    this.polling = false;
    if (wait > 0) this.timer = setTimeout(() => this.wake(), wait);
  }

  setState(words, className) {
    if (this.state.textContent !== words) this.state.textContent = words;
    this.state.className = `live-state ${className}`;
  }

  show({now = {}, rates = {}}) {
    const speed = rates.generated_per_second || 0;
    this.speed.spark.add(speed);
    const reading = rates.prompt_per_second || 0;
    this.speed.show(format.rate(speed), 'tokens/s', reading > 0 ? `reads ${format.rate(reading)}/s` : 'of all answers');

    const pages = now.pages || 0;
    const used = Math.max(0, pages - (now.pages_free || 0));
    const kept = now.pages_cached || 0;
    this.cache.spark.add(used, pages);
    if (pages > 0) {
      this.cache.show(format.percent(used / pages), 'in use', `${format.count(used)} of ${format.plural(pages, 'page')}`,
        `${format.plural(used, 'page')} of ${format.count(pages)} in use, ${format.count(kept)} kept for prefixes`);
    }

    const batch = rates.batch || 0;
    this.batch.spark.add(batch, 1);
    const waiting = now.waiting || 0;
    const notes = [`${batch.toFixed(1)} a step`];
    if (waiting > 0) notes.push(`${format.count(waiting)} waiting`);
    if (now.drafting) notes.push('drafting');
    this.batch.show(format.count(now.running || 0), now.running === 1 ? 'answer' : 'answers', notes.join(', '));
  }

  // The time to the first token of an answer that ended.
  addFirst(seconds) {
    this.first.spark.add(seconds);
    ++this.firsts;
    const words = format.seconds(seconds);
    const end = words.indexOf('\u00a0');
    this.first.show(words.slice(0, end), words.slice(end + 1),
      this.firsts > 1 ? `last of ${format.count(this.firsts)}` : 'last answer');
  }
}
