// What moves the map of z in the page: pointer, touch, arrow keys, sliders. Plain JavaScript as text; nothing but the data
// that stands before it, no request, no inline handler.

/** Runs as the body of a function of `data` and `decodeKernel`. */
export const EXPLORER = `
const { h, w, channels, decoder, points, axes, mean, groups, names, kernels, limits } = data;
const d = h * w * channels, l = decoder.l, n = points.length / l;
const byId = (id) => document.getElementById(id);
const map = byId('map'), context = map.getContext('2d');
const at = new Float64Array(l); // where the reader is, in principal coordinates
let chosen = -1;
const colours = () => names.map((_, i) => getComputedStyle(document.documentElement).getPropertyValue('--c' + (i % 8)).trim());
const text = () => getComputedStyle(document.documentElement).getPropertyValue('--text').trim();
const toZ = (a) => Array.from({ length: l }, (_, j) => { let x = mean[j]; for (let k = 0; k < l; k++) x += a[k] * axes[k * l + j]; return x; });
const side = map.width;
const toX = (x) => side * (x + limits[0]) / (2 * limits[0]);
const toY = (y) => side * (limits[1] - y) / (2 * limits[1]);
function drawKernel(canvas, kernel) {
  const pen = canvas.getContext('2d');
  const image = pen.createImageData(w, h * (channels === 3 ? 1 : channels));
  let largest = 0;
  for (const x of kernel) if (Math.abs(x) > largest) largest = Math.abs(x);
  const grey = (x) => 128 + 127 * (largest > 0 ? x / largest : 0);
  for (let i = 0; i < image.width * image.height; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = grey(channels === 3 ? kernel[c * h * w + i] : kernel[i]);
    image.data[4 * i + 3] = 255;
  }
  canvas.width = image.width; canvas.height = image.height;
  pen.putImageData(image, 0, 0);
}
// draws keep their noise, so that they move with z
let seed = 1;
const uniform = () => { seed = (seed * 1103515245 + 12345) % 2147483648; return (seed + 0.5) / 2147483648; };
const normal = () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
const draws = [...document.querySelectorAll('#draws canvas')].map((canvas) => ({ canvas, noise: Array.from({ length: d }, normal) }));
const zero = new Array(d).fill(0);
const norm = (x) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
function show() {
  const z = toZ(at), kernel = decodeKernel(decoder, z, zero);
  drawKernel(byId('mean'), kernel);
  for (const { canvas, noise } of draws) drawKernel(canvas, decodeKernel(decoder, z, noise));
  byId('real').hidden = chosen < 0;
  if (chosen >= 0) {
    drawKernel(byId('own'), Array.from(kernels.subarray(chosen * d, (chosen + 1) * d)));
    byId('whose').textContent = names[groups[chosen]];
  }
  byId('where').textContent = 'z = (' + z.map((x) => x.toFixed(2)).join(', ') + '), norm of the mean kernel ' + norm(kernel).toPrecision(3);
  for (const slider of document.querySelectorAll('#directions input')) slider.value = at[slider.dataset.axis];
  drawMap();
}
function drawMap() {
  const palette = colours();
  context.clearRect(0, 0, side, side);
  for (let i = 0; i < n; i++) {
    context.globalAlpha = 0.7; context.fillStyle = palette[groups[i]];
    context.beginPath(); context.arc(toX(points[i * l]), toY(points[i * l + 1]), 5, 0, 7); context.fill();
  }
  context.globalAlpha = 1; context.strokeStyle = text(); context.lineWidth = 3;
  context.beginPath(); context.arc(toX(at[0]), toY(at[1]), 13, 0, 7); context.stroke();
}
const clamp = (x, k) => Math.max(-limits[k], Math.min(limits[k], x));
function place(event) {
  const box = map.getBoundingClientRect();
  return [((event.clientX - box.left) / box.width * 2 - 1) * limits[0], (1 - (event.clientY - box.top) / box.height * 2) * limits[1]];
}
function move(x, y) { at[0] = clamp(x, 0); at[1] = clamp(y, 1); chosen = -1; show(); }
function choose(i) { chosen = i; for (let k = 0; k < l; k++) at[k] = points[i * l + k]; show(); }
let from = null;
map.addEventListener('pointerdown', (event) => { map.setPointerCapture(event.pointerId); from = [event.clientX, event.clientY]; map.focus({ preventScroll: true }); });
map.addEventListener('pointermove', (event) => { if (from && Math.hypot(event.clientX - from[0], event.clientY - from[1]) > 3) move(...place(event)); });
map.addEventListener('pointerup', (event) => {
  const still = from && Math.hypot(event.clientX - from[0], event.clientY - from[1]) <= 3;
  from = null;
  if (!still) return;
  const [x, y] = place(event), scale = map.getBoundingClientRect().width / 2;
  let nearest = -1, least = 12;
  for (let i = 0; i < n; i++) {
    const distance = Math.hypot((points[i * l] - x) / limits[0], (points[i * l + 1] - y) / limits[1]) * scale;
    if (distance < least) { least = distance; nearest = i; }
  }
  if (nearest >= 0) choose(nearest); else move(x, y);
});
map.addEventListener('keydown', (event) => {
  const step = event.shiftKey ? 0.1 : 0.02;
  const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
  if (!by) return;
  event.preventDefault();
  move(at[0] + by[0] * step * limits[0], at[1] + by[1] * step * limits[1]);
});
for (const slider of document.querySelectorAll('#directions input'))
  slider.addEventListener('input', () => { at[slider.dataset.axis] = +slider.value; chosen = -1; show(); });
byId('anywhere').addEventListener('click', () => { for (let k = 0; k < l; k++) { let x = normal(); for (let j = 0; j < l; j++) x -= mean[j] * axes[k * l + j]; at[k] = clamp(x, k); } chosen = -1; show(); });
byId('next').addEventListener('click', () => choose((chosen + 1) % n));
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawMap);
byId('latent-map').hidden = false;
show();
`;
