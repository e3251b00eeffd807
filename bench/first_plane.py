"""How much of a 2 GB 16-bit TIFF stack is read to open it and show its first plane. Goal: under 1 %.

    python bench/first_plane.py [--gigabytes 2] [--folder DIR]

Writes one stack of 512 x 512 pixels per layout (4096 pages for 2 GB: many small pages are the hard case), opens it in a
fresh process and reports the bytes that process really asked the kernel for (`rchar` of /proc/self/io; nothing is
memory-mapped). Prints a table and writes bench/results/first_plane.json.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

SIDE = 512
LAYOUTS = {
    "ImageJ hyperstack, one piece": {"imagej": True},
    "ImageJ by Fiji, directories at the end": {"fiji": True},
    "tifffile, one piece": {},
    "OME-TIFF, a directory per page": {"ome": True},
    "pages one by one, directories between": {"paged": True},
    "tiles of 64 x 64, directories between": {"paged": True, "tile": (64, 64)},
}
_PROBE = """
import json, sys, time
from pathlib import Path
from mia_tui.imaging.image import open_image
from mia_tui.imaging import tiff
import tifffile, imagecodecs, numpy
def rchar():
    return int(Path("/proc/self/io").read_text().split()[1])
path = Path(sys.argv[1])
start, before = time.perf_counter(), rchar()
with open_image(path) as image:
    opened, read_open = time.perf_counter(), rchar()
    plane = image.plane(0)
    done, read_plane = time.perf_counter(), rchar()
    assert image.info.sizes[0] * image.info.sizes[1] == int(sys.argv[2]), image.info
    assert int(plane[0, 0, 0]) == 1
print(json.dumps({"open_bytes": read_open - before, "plane_bytes": read_plane - read_open,
                  "open_ms": 1e3 * (opened - start), "plane_ms": 1e3 * (done - opened)}))
"""


def write(path: Path, pages: int, options: dict[str, object]) -> None:
    """A stack of `pages` planes of zeros with a 1 in the first pixel."""
    first, rest = np.zeros((SIDE, SIDE), np.uint16), np.zeros((SIDE, SIDE), np.uint16)
    first[0, 0] = 1
    options = dict(options)
    if options.pop("paged", False):
        with tifffile.TiffWriter(path, bigtiff=True) as writer:
            for i in range(pages):
                writer.write(rest if i else first, contiguous=False, metadata=None, **options)
        return
    fiji = options.pop("fiji", False)
    if fiji or options.get("imagej"):
        options |= {"imagej": True, "metadata": {"axes": "TYX"}}
    elif options.get("ome"):
        options |= {"bigtiff": True, "metadata": {"axes": "TYX"}}
    tifffile.imwrite(path, shape=(pages, SIDE, SIDE), dtype=np.uint16, photometric="minisblack", **options)
    with tifffile.TiffFile(path) as file:
        offset = file.series[0].dataoffset
        last = file.pages[0]
    with open(path, "r+b") as stream:
        stream.seek(offset)
        stream.write(first.tobytes())
        if fiji:
            _append_directories(stream, last, pages, offset)


def _append_directories(stream, page, pages: int, offset: int) -> None:
    """A directory for each further page behind all the data, as Fiji saves stacks."""
    end = page.offset + 2 + 12 * len(page.tags)
    stream.seek(0, 2)
    position = stream.tell()
    stream.seek(end)
    stream.write(position.to_bytes(4, "little"))
    stream.seek(position)
    for i in range(1, pages):
        entries = [(256, SIDE), (257, SIDE), (258, 16), (259, 1), (262, 1), (273, offset + i * SIDE * SIDE * 2)]
        entries += [(277, 1), (278, SIDE), (279, SIDE * SIDE * 2)]
        body = len(entries).to_bytes(2, "little")
        for tag, value in entries:
            body += tag.to_bytes(2, "little") + (4).to_bytes(2, "little") + (1).to_bytes(4, "little")
            body += value.to_bytes(4, "little")
        position += len(body) + 4
        stream.write(body + (position if i < pages - 1 else 0).to_bytes(4, "little"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, help="where the stacks are written (default: a temporary folder)")
    arguments = parser.parse_args()
    pages = int(arguments.gigabytes * 2**30 / (SIDE * SIDE * 2)) // 2 * 2 - 2
    rows = []
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        for layout, options in LAYOUTS.items():
            path = Path(folder) / ("stack.ome.tif" if "ome" in options else "stack.tif")
            write(path, pages, options)
            size = path.stat().st_size
            probe = subprocess.run(
                [sys.executable, "-c", _PROBE, str(path), str(pages)], capture_output=True, text=True, check=True
            )
            row = {"layout": layout, "file_bytes": size, **json.loads(probe.stdout)}
            row["percent"] = 100 * (row["open_bytes"] + row["plane_bytes"]) / size
            rows.append(row)
            path.unlink()
            print(
                f"{layout:40} {size / 1e9:5.2f} GB  open {row['open_bytes'] / 1e6:6.2f} MB {row['open_ms']:6.0f} ms  "
                f"plane {row['plane_bytes'] / 1e6:5.2f} MB {row['plane_ms']:5.0f} ms  = {row['percent']:.3f} %",
                flush=True,
            )
    worst = max(row["percent"] for row in rows)
    print(f"worst: {worst:.3f} % (goal: under 1 %)")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    versions = {"python": platform.python_version(), "tifffile": tifffile.__version__, "numpy": np.__version__}
    report = {"claim": "first plane of a 2 GB 16-bit stack", "goal_percent": 1.0, "worst_percent": worst}
    (results / "first_plane.json").write_text(
        json.dumps({**report, "versions": versions, "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
