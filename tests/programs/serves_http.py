"""Serves HTTP on 127.0.0.1:PORT: answers its further arguments, one a request, the last for ever; `silence` is none."""

import socket
import sys
import time

server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
answers = sys.argv[2:]
while True:
    connection, _ = server.accept()
    answer = answers.pop(0) if len(answers) > 1 else answers[0]
    if answer == "silence":
        time.sleep(1000)
    request = connection.recv(4096)
    if request.startswith(b"GET /healthz?deep=1 HTTP/1.1\r\nHost: 127.0.0.1:"):
        connection.sendall(answer.encode() + b"\r\n" if answer == "garbage" else f"HTTP/1.1 {answer} Word\r\n\r\n".encode())
    connection.close()
