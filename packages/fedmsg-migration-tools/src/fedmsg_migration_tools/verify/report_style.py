# SPDX-License-Identifier: MIT
"""How the report looks: light and dark, on paper and on a phone."""

from __future__ import annotations

__all__ = ["STYLE"]

STYLE = """
:root { color-scheme: light dark; --bg: #f4f6f9; --surface: #fff; --text: #1b2430; --muted: #566071; --line: #d9dfe8;
  --good: #12683a; --warn: #7c4a00; --bad: #a81b1b; --bad-soft: #fde4e2; --blind: #573f9c; --bar: #1f6fb2; }
@media (prefers-color-scheme: dark) {
  :root { --bg: #0f1319; --surface: #171d26; --text: #e6eaf0; --muted: #a2adbc; --line: #2b3442;
    --good: #5ccf90; --warn: #ecb75c; --bad: #ff8a80; --bad-soft: #46191a; --blind: #bba8ff; --bar: #62b0f0; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1.25rem; background: var(--bg); color: var(--text);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1 { font-size: 1.35rem; margin: 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .75rem; }
p { margin: 0 0 .5rem; }
.headline { font-size: 1.6rem; line-height: 1.25; font-weight: 700; }
.good { color: var(--good); } .warn { color: var(--warn); } .bad { color: var(--bad); } .blind { color: var(--blind); }
.badge { padding: .05rem .6rem; border: 1px solid currentColor; border-radius: 99px; font-size: .85rem;
  font-weight: 650; }
.scroll { overflow-x: auto; margin: 0 0 1rem; background: var(--surface); border: 1px solid var(--line);
  border-radius: 12px; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: .6rem .75rem; color: var(--muted); }
th, td { text-align: left; vertical-align: top; padding: .35rem .75rem; border-top: 1px solid var(--line); }
thead th { color: var(--muted); font-size: .85rem; }
tbody th { font-weight: 500; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.figures td, .figures thead th { text-align: right; }
tr.blind { color: inherit; }
tr.blind th { color: var(--blind); font-weight: 700; }
tr.bad { background: var(--bad-soft); color: inherit; }
tr.bad th { color: var(--bad); font-weight: 700; }
em { color: var(--muted); font-weight: 400; }
.foreign { overflow-wrap: anywhere; unicode-bidi: isolate; }
pre { margin: .35rem 0 0; max-width: 40rem; max-height: 24rem; overflow: auto; font-size: .85rem;
  white-space: pre-wrap; }
summary { cursor: pointer; color: var(--muted); }
figure { margin: 0 0 1rem; padding: .75rem; background: var(--surface); border: 1px solid var(--line);
  border-radius: 12px; }
figcaption { color: var(--muted); font-size: .9rem; }
svg { display: block; width: 100%; height: 7.5rem; }
rect.in { fill: var(--bar); } rect.lost { fill: var(--bad); fill-opacity: .55; }
footer { margin-top: 2rem; color: var(--muted); font-size: .9rem; }
@media print { body { max-width: none; padding: 0; } .scroll, figure { break-inside: avoid; } }
"""
