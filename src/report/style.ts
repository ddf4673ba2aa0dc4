// The style sheet of the page: one column, small multiples that wrap, light and dark.

export const STYLE = `
:root { color-scheme: light dark;
  --page: #fbfbf9; --surface: #fff; --text: #1c1e21; --muted: #666b73; --line: #dcdde0; --accent: #2166ac;
  --c0: #1f66b0; --c1: #c8501a; --c2: #2f7d3b; --c3: #8a3fa3; --c4: #8a6a00; --c5: #0b7c88; --c6: #b52b62; --c7: #5c6068; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14161a; --surface: #1c1f24; --text: #e6e7e9; --muted: #9aa0a8; --line: #353a42; --accent: #7bb8ff;
  --c0: #6fb1ff; --c1: #ff9c66; --c2: #7fd18a; --c3: #d79bea; --c4: #e3c34f; --c5: #58d3dd; --c6: #ff8db8; --c7: #b4b8bf; } }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 28px 20px 64px; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; padding-top: 1rem; border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .5rem; overflow-wrap: anywhere; }
h4 { font-size: .875rem; font-weight: 600; margin: 0 0 .35rem; overflow-wrap: anywhere; }
small, .muted { color: var(--muted); font-weight: 400; overflow-wrap: anywhere; }
a { color: var(--accent); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .6rem 0 0; font-size: .9rem; }
.sentence { font-size: 1.2rem; line-height: 1.45; margin: 1.2rem 0 1.4rem; padding-left: .9rem; border-left: 4px solid var(--c0); max-width: 46em; overflow-wrap: anywhere; }
figure { margin: .8rem 0 1.4rem; }
figcaption { color: var(--muted); font-size: .875rem; margin-top: .6rem; max-width: 52em; }
.scroll { overflow-x: auto; background: linear-gradient(to right, var(--page) 60%, transparent) left / 24px 100% no-repeat local, linear-gradient(to left, var(--page) 60%, transparent) right / 24px 100% no-repeat local, linear-gradient(to right, var(--line), transparent) left / 10px 100% no-repeat, linear-gradient(to left, var(--line), transparent) right / 10px 100% no-repeat; }
.card .scroll { background: none; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .7rem; text-align: right; white-space: nowrap; }
th { font-weight: 400; }
thead th { color: var(--muted); font-size: .8125rem; border-bottom: 1px solid var(--line); }
tbody th[scope=row], thead th:nth-child(2), .densities th:first-child { text-align: left; }
.densities td, .densities thead th + th { text-align: right; }
tbody + tbody { border-top: 1px solid var(--line); }
thead th:first-child, .size, .densities th:first-child { padding-left: 0; }
.size { vertical-align: top; font-weight: 600; }
.best { font-weight: 700; }
.swatch { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .45em; }
.legend { list-style: none; margin: .2rem 0 .6rem; padding: 0; display: flex; flex-wrap: wrap; gap: .1rem 1.2rem; font-size: .875rem; }
.legend svg { vertical-align: -1px; margin-right: .4em; }
.legend li { overflow-wrap: anywhere; }
svg text { white-space: pre; }
figure svg[role=img] { display: block; max-width: 100%; height: auto; }
.narrow { display: none; }
.panels { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 1.2rem 1.8rem; }
.panels.small { grid-template-columns: repeat(auto-fill, minmax(min(100%, 260px), 1fr)); }
.panels.tiny { grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); gap: .8rem; }
.panel { min-width: 0; }
.pictures { display: flex; flex-wrap: wrap; gap: 1rem 1.6rem; }
.picture { min-width: 0; max-width: 17rem; }
.trace { margin-top: 1.2rem; }
.matrix { display: flex; flex-wrap: wrap; gap: .6rem 2rem; align-items: flex-start; }
.matrix ol { margin: 32px 0 0; padding-left: 2em; font-size: .8125rem; min-width: 0; }
.matrix li, .layers th, .metrics th { overflow-wrap: anywhere; }
.layers :is(th, td):nth-child(-n+4) { text-align: left; }
.layers th:first-child { padding-left: 0; }
.layers th[scope=row], .metrics th[scope=row] { white-space: normal; min-width: 9rem; }
img { display: block; image-rendering: pixelated; max-width: 100%; height: auto; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 460px), 1fr)); gap: 1.2rem; }
.card { background: var(--surface); border: 1px solid var(--line); border-radius: 8px; padding: .2rem 1.1rem 1rem; min-width: 0; }
.card h3 { margin-top: .8rem; }
.card table { margin-top: 1rem; }
details { border: 1px solid var(--line); border-radius: 8px; background: var(--surface); padding: .5rem .9rem; margin: .5rem 0; }
details > summary { cursor: pointer; overflow-wrap: anywhere; }
details[open] > summary { margin-bottom: .7rem; }
pre { background: var(--surface); border: 1px solid var(--line); border-radius: 8px; padding: .7rem .9rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .875rem; }
code { overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .2rem 1.2rem; font-size: .9rem; margin: .8rem 0; }
dt { color: var(--muted); overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; min-width: 0; }
@media (max-width: 640px) { main { padding: 18px 16px 48px; } h1 { font-size: 1.4rem; } .sentence { font-size: 1.05rem; }
  .wide { display: none; } .narrow { display: block; } th, td { padding: .3rem .5rem; } tbody th[scope=row] { white-space: normal; min-width: 7rem; } .pictures { display: grid; grid-template-columns: 1fr 1fr; gap: .9rem; align-items: end; } .picture img { width: 100% !important; } dl { grid-template-columns: 1fr; } dd { margin-bottom: .4rem; } }
[hidden] { display: none !important; }
.explorer { display: grid; grid-template-columns: minmax(0, 460px) minmax(0, 1fr); gap: 1.2rem 2rem; }
canvas { image-rendering: pixelated; max-width: 100%; }
#map { width: 100%; image-rendering: auto; background: var(--surface); border: 1px solid var(--line); border-radius: 8px; touch-action: none; cursor: crosshair; }
#map:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.kernels, #draws { display: flex; flex-wrap: wrap; gap: .5rem 1rem; margin-bottom: .8rem; }
.kernels canvas, #whose { display: block; }
#directions label { display: flex; gap: .8rem; align-items: center; font-size: .875rem; } #directions input { flex: 1; min-width: 0; accent-color: var(--accent); }
button { font: inherit; font-size: .9rem; padding: .25rem .8rem; border: 1px solid var(--line); border-radius: 6px; background: var(--surface); color: var(--text); cursor: pointer; }
.component { display: flex; flex-direction: column; gap: .2rem; } .bar { height: 6px; border-radius: 3px; background: var(--c0); min-width: 1px; }
@media (max-width: 760px) { .explorer { grid-template-columns: minmax(0, 1fr); } .kernels canvas { width: min(176px, 40vw) !important; } }
@media print { details::details-content { content-visibility: visible; } }
`;
