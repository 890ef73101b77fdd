"""A line chart as SVG text, in the classes of the report's style sheet (report/page.css)."""
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 320, 52, 14, 14, 46
DASHES = {"alone": "", "full": "7 3", "policy": ""}


def ticks(most):
    """From 0 to at least `most` in four to seven steps."""
    step = 1
    while most / step > 6:
        step *= 2.5 if str(step).startswith("2") else 2
    count = int(most / step) + (most % step > 0)
    return [i * step for i in range(count + 1)]


def line_chart(title, x_label, y_label, lines, levels=()):
    """lines: (name, label, [[x, y], ...]); levels: (name, label, y), drawn across. Names give colour and dashes."""
    xs = ticks(max(x for _, _, points in lines for x, _ in points))
    ys = ticks(max([y for _, _, points in lines for _, y in points] + [y for _, _, y in levels]))

    def at(x, y):
        return LEFT + x / xs[-1] * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - y / ys[-1] * (HEIGHT - TOP - BOTTOM)

    out = [f"<svg class=chart viewBox='0 0 {WIDTH} {HEIGHT}' role=img aria-label='{escape(title, quote=True)}'>"]
    for y in ys:
        out.append(f"<line class=grid x1={LEFT} x2={WIDTH - RIGHT} y1={at(0, y)[1]:.1f} y2={at(0, y)[1]:.1f} />"
                   f"<text class=tick x={LEFT - 6} y={at(0, y)[1] + 4:.1f} text-anchor=end>{y:g}</text>")
    for x in xs:
        out.append(f"<text class=tick x={at(x, 0)[0]:.1f} y={HEIGHT - BOTTOM + 16} text-anchor=middle>{x:g}</text>")
    out.append(f"<text class=label x={(LEFT + WIDTH - RIGHT) / 2} y={HEIGHT - 8} text-anchor=middle>{escape(x_label)}</text>"
               f"<text class=label transform='translate(14 {(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)' text-anchor=middle>{escape(y_label)}</text>")
    for name, label, y in levels:
        out.append(f"<line class=level x1={LEFT} x2={WIDTH - RIGHT} y1={at(0, y)[1]:.1f} y2={at(0, y)[1]:.1f} />"
                   f"<text class=tick x={LEFT + 6} y={at(0, y)[1] - 5:.1f}>{escape(label)}</text>")
    for name, label, points in lines:
        path = "M" + "L".join(f"{at(x, y)[0]:.1f} {at(x, y)[1]:.1f}" for x, y in points)
        dashes = f" stroke-dasharray='{DASHES[name]}'" if DASHES[name] else ""
        out.append(f"<g class='series{' strong' if name == 'policy' else ''}' style='--c:var({COLOURS[name]})'>"
                   f"<path class=line d='{path}'{dashes}><title>{escape(label)}</title></path></g>")
    return "".join(out) + "</svg>"


COLOURS = {"alone": "--fg", "full": "--c0", "policy": "--c1"}


def legend(entries):
    """entries: (name, label)."""
    out = "<ul class=legend>"
    for name, label in entries:
        dashes = f" stroke-dasharray='{DASHES[name]}'" if DASHES[name] else ""
        out += (f"<li><span class=entry><svg class=sample viewBox='0 0 40 12' aria-hidden=true><g class='series{' strong' if name == 'policy' else ''}' "
                f"style='--c:var({COLOURS[name]})'><path class=line d='M1 6H39'{dashes} /></g></svg>{escape(label)}</span></li>")
    return out + "</ul>"
