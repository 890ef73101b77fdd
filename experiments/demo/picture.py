#!/usr/bin/env python3
"""Draws the README's picture from a record of the demonstration: memory of llama-server during one chat, three ways.

  python3 experiments/demo/picture.py [RECORD [FOLDER]]    default: experiments/demo/record.json, docs/pictures

Writes chat-memory-light.svg and chat-memory-dark.svg. Standard library only.
"""
import json, pathlib, sys
from html import escape

HERE = pathlib.Path(__file__).resolve().parent
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 350, 56, 292, 54, 34
THEMES = {"light": {"text": "#1b1f24", "soft": "#59616b", "grid": "#d4d9df", "alone": "#59616b", "full": "#0072b2", "policy": "#c84e00"},
          "dark": {"text": "#e7eaee", "soft": "#a3acb7", "grid": "#363d46", "alone": "#a3acb7", "full": "#4fb0ec", "policy": "#ff9455"}}


def by_tokens(server):
    """Samples of memory over the tokens of the chat: within a turn, in proportion to its time."""
    out, begin, before = [], 0.0, 0
    for turn in server["turns"]:
        for at, mib in server["samples"]:
            if begin <= at <= turn["at"]:
                out.append((before + (turn["tokens"] - before) * (at - begin) / (turn["at"] - begin), mib))
        begin, before = turn["at"], turn["tokens"]
    return out


def picture(record, theme):
    servers = record["servers"]
    most_x = max(s["tokens"] for s in servers.values())
    step_y = 50
    most_y = (max(s["peak_mib"] for s in servers.values()) // step_y + 1) * step_y

    def at(x, y):
        return LEFT + x / most_x * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / most_y * (HEIGHT - TOP - BOTTOM)

    def text(x, y, what, colour="soft", size=13, anchor="start", weight=400):
        return f"<text x='{x:.0f}' y='{y:.0f}' fill='{theme[colour]}' font-size='{size}' text-anchor='{anchor}' font-weight='{weight}'>{escape(what)}</text>"

    out = [f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' height='{HEIGHT}' "
           "font-family='system-ui, Segoe UI, DejaVu Sans, sans-serif' role='img'>",
           f"<title>Memory of llama-server during one chat: alone {servers['alone']['peak_mib']:.0f} MiB, attached with nothing dropped "
           f"{servers['full']['peak_mib']:.0f} MiB, attached with {record['budget']} kept {servers['policy']['peak_mib']:.0f} MiB</title>",
           text(LEFT, 20, "Memory of llama-server during one chat, without the model's file", "text", 15, weight=600),
           text(LEFT, 39, f"{record['model'].split('.')[0]} ({record['model'].split('.')[1]}), context -c {record['context']}; MiB over tokens of the chat")]
    for i in range(int(most_y // step_y) + 1):
        y = at(0, i * step_y)[1]
        out.append(f"<line x1='{LEFT}' x2='{WIDTH - RIGHT}' y1='{y:.1f}' y2='{y:.1f}' stroke='{theme['grid']}' />" + text(LEFT - 8, y + 4, str(i * step_y), anchor="end"))
    for x in range(0, most_x + 1, 500):
        out.append(text(at(x, 0)[0], HEIGHT - BOTTOM + 20, f"{x:,}", anchor="middle"))
    notes = {"alone": ("llama-server", "the cache of the whole context, at start"),
             "full": ("namm, nothing dropped", "unused cells cost nothing"),
             "policy": (f"namm, {record['budget'].replace('%', ' %')} kept", "the policy's part")}
    free = HEIGHT  # the lines end from top to bottom; their names do not overlap
    for name, server in reversed(servers.items()):
        points = by_tokens(server)
        path = "M" + "L".join(f"{at(x, y)[0]:.1f} {at(x, y)[1]:.1f}" for x, y in points)
        out.append(f"<path d='{path}' fill='none' stroke='{theme[name]}' stroke-width='{3.4 if name == 'policy' else 2.2}' stroke-linejoin='round' />")
        x, y = at(most_x, points[-1][1])
        y = free = min(y, free - 40)
        out.append(text(x + 12, y + 1, f"{notes[name][0]}: {server['peak_mib']:.0f} MiB", name, 14, weight=600) + text(x + 12, y + 18, notes[name][1], size=12))
    return "\n".join(out) + "\n</svg>\n"


def main():
    record = json.loads(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else HERE / "record.json").read_text())
    folder = pathlib.Path(sys.argv[2]) if len(sys.argv) > 2 else HERE.parents[1] / "docs/pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, theme in THEMES.items():
        (folder / f"chat-memory-{name}.svg").write_text(picture(record, theme))


if __name__ == "__main__":
    main()
