// `banana`: a normal that is bent along a parabola (as in Yin & Zhou 2018): w₁ ~ N(0, 2²), w₂ | w₁ ~ N(w₁²/4, 1).
import { LOG_2PI } from '../../distributions/normal.js';
import { tf } from '../../engine/index.js';
import type { Target } from '../target.js';

export const banana: Target = {
  name: 'banana',
  summary: 'a normal bent along a parabola: w₁ ~ N(0, 4), w₂ ~ N(w₁²/4, 1)',
  dimensions: 2,
  scale: 1.5,
  data: {},
  logDensity(_, w) {
    const [first, second] = tf.split(w, 2, -1); // [.., 1]
    const bend = tf.sub(second, tf.mul(tf.square(first), 0.25));
    const squares = tf.add(tf.square(tf.mul(first, 0.5)), tf.square(bend));
    return tf.sub(tf.mul(tf.sum(squares, -1), -0.5), LOG_2PI + Math.log(2));
  },
  score(_, w) {
    const [first, second] = tf.split(w, 2, -1);
    const bend = tf.sub(second, tf.mul(tf.square(first), 0.25));
    return tf.concat([tf.sub(tf.mul(tf.mul(bend, first), 0.5), tf.mul(first, 0.25)), tf.neg(bend)], -1);
  },
  logNormaliser: 0,
  draw(stream) {
    const first = 2 * stream.normal();
    return [first, first ** 2 / 4 + stream.normal()];
  },
  picture: { centre: [0, 2], extent: 6 },
};
