"""Stands in for the helper process, without torch: speaks its protocol and misbehaves as the first argument says."""

import os
import sys
import threading
import time
from multiprocessing.connection import Listener
from pathlib import Path

from mia_tui.engine.assist.messages import (
    PROTOCOL,
    AssistAnswer,
    answer_message,
    pack,
    read_request,
    unpack,
)
from mia_tui.engine.assist.server import clear


def end_with_starter() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


def main(mode: str, address: str) -> None:
    if mode == "die":
        raise RuntimeError("no such device")
    key = bytes.fromhex(sys.stdin.buffer.readline().decode().strip())
    threading.Thread(target=end_with_starter, daemon=True).start()
    with Listener(address, family="AF_UNIX", authkey=key) as listener:
        connection = listener.accept()
    clear(address)

    def send(head: dict, arrays: tuple = ()) -> None:
        connection.send_bytes(pack((head, list(arrays))))

    send({"type": "hello", "protocol": PROTOCOL + (mode == "other version"), "version": "9.9"})
    if mode == "never ready":
        time.sleep(600)
    send({"type": "ready", "seconds": 0.0})
    while True:
        message = unpack(connection.recv_bytes())
        if message[0]["type"] != "ask":
            continue
        number, request = message[0]["id"], read_request(message)
        life = Path(request.entry.file)  # the tests name a file here: each ask leaves a line
        with life.open("a") as stream:
            stream.write(f"{os.getpid()}\n")
        if mode == "leaves once" and len(life.read_text().split()) == 1:
            send({"type": "bye"})
            os._exit(0)
        if mode == "silent":
            continue
        if mode == "babbles":
            connection.send_bytes(b"\x05\x00\x00\x00hello, I am no message")
            continue
        if mode == "half":
            send({"type": "answer", "id": number, "seconds": 0, "objects": [[3, 0, ""]], "rungs": [], "edges": None})
            continue
        send({"type": "progress", "id": number, "text": "at it"})
        head, arrays = answer_message(AssistAnswer(seconds=0.25), number)
        send(head, tuple(arrays))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[-1])
