"""What the benchmarks share: tables, and the file that a run writes."""


def table(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def write(out, heading, sections, *arguments):
    """Run the functions by title, each described by its docstring, and write what they return."""
    text = heading
    for title, section in sections.items():
        text += f"\n## {title}\n\n{' '.join(section.__doc__.split())}\n\n{section(*arguments)}"
        print(title, flush=True)
    print(text)
    out.write_text(text)
