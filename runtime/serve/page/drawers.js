// The two sides of the page. Where there is room they stand beside the conversation; else they slide over it, one at
// a time, and the rest of the page is inert meanwhile.
import {byId} from './dom.js';
import * as store from './store.js';

export class Drawer {
  // `narrow`: the media query under which it is a drawer. `changed()`: it was opened or closed.
  constructor(id, narrow, changed, {hideable = false} = {}) {
    this.element = byId(id);
    this.opener = byId(`${id}-open`);
    this.query = window.matchMedia(narrow);
    this.changed = changed;
    this.hideable = hideable;  // also where it is not a drawer
    this.opener.addEventListener('click', () => (this.shown() ? this.close() : this.open()));
    byId(`${id}-close`).addEventListener('click', () => this.close());
    byId('scrim').addEventListener('click', () => this.slides() && this.close());
    this.query.addEventListener('change', () => this.settle());
    this.settle();
  }

  slides() {
    return this.query.matches;
  }

  shown() {
    return this.element.classList.contains('open');
  }

  // The state in which a page of this width begins.
  settle() {
    this.set(!this.slides() && (!this.hideable || store.panelWanted()), false);
  }

  open() {
    this.set(true, true);
  }

  close() {
    this.set(false, true);
  }

  set(open, asked) {
    const was = this.shown();
    this.element.classList.toggle('open', open);
    this.element.inert = !open;
    this.opener.setAttribute('aria-expanded', String(open));
    document.body.classList.toggle(`${this.element.id}-shown`, open);
    if (this.slides()) {
      if (open || was) {
        byId('scrim').hidden = !open;
        document.querySelector('main').inert = open;
      }
      if (asked && open) this.element.querySelector('button').focus();
      if (asked && was && !open) this.opener.focus();
    } else {
      if (was && !asked) {
        byId('scrim').hidden = true;
        document.querySelector('main').inert = false;
      }
      if (asked && this.hideable) store.savePanelWanted(open);
    }
    this.changed();
  }
}
