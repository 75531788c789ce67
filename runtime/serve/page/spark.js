// A small curve of the last values, drawn as SVG.
import {svg} from './dom.js';

const WIDTH = 120;
const HEIGHT = 30;

export class Spark {
  constructor(length = 60) {
    this.length = length;
    this.values = [];
    this.line = svg('path', {class: 'line'});
    this.area = svg('path', {class: 'area'});
    const box = `0 0 ${WIDTH} ${HEIGHT}`;
    this.element = svg('svg', {class: 'spark', viewBox: box, preserveAspectRatio: 'none', 'aria-hidden': 'true'},
      svg('path', {class: 'base', d: `M0 ${HEIGHT - .5}H${WIDTH}`}), this.area, this.line);
    this.draw(1);
  }

  // `top`: the value at the upper edge, at least.
  add(value, top = 0) {
    this.values.push(value);
    if (this.values.length > this.length) this.values.shift();
    this.draw(top);
  }

  draw(top) {
    const most = Math.max(top, ...this.values, 1e-9);
    // A short history is drawn wide, or it would be a dot at the edge for the first half minute.
    const step = WIDTH / Math.max(Math.min(12, this.length) - 1, this.values.length - 1);
    const begin = WIDTH - step * (this.values.length - 1);
    const points = this.values.map((value, i) =>
      `${(begin + i * step).toFixed(1)} ${(HEIGHT - 1.5 - value / most * (HEIGHT - 4)).toFixed(1)}`);
    const path = points.length > 1 ? `M${points.join('L')}` : '';
    this.line.setAttribute('d', path);
    this.area.setAttribute('d', path && `${path}L${WIDTH} ${HEIGHT}L${begin.toFixed(1)} ${HEIGHT}Z`);
  }
}
