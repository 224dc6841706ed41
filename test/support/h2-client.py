# A client on Python's h2: gRPC calls on one connection, windows and all. Prints how many were answered with what was sent.
#   h2-client.py PORT CALLS BYTES
import json
import socket
import sys

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, StreamEnded, StreamReset, TrailersReceived

port, calls, size = map(int, sys.argv[1:])
wire = socket.create_connection(("127.0.0.1", port))
h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
h2.initiate_connection()
head = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/t.T/Echo"),
    (":authority", "test"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
]
bodies, answers, statuses = {}, {}, {}


def pump():
    wire.sendall(h2.data_to_send())
    for event in h2.receive_data(wire.recv(65536)):
        if isinstance(event, DataReceived):
            answers[event.stream_id] = answers.get(event.stream_id, b"") + event.data
            h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, TrailersReceived):
            statuses[event.stream_id] = dict(event.headers)["grpc-status"]
        elif isinstance(event, StreamReset):
            raise SystemExit(f"stream {event.stream_id} was reset: {event.error_code}")
        elif isinstance(event, StreamEnded):
            done.add(event.stream_id)
    wire.sendall(h2.data_to_send())


done = set()
for i in range(calls):
    stream = h2.get_next_available_stream_id()
    message = bytes([i % 251]) * size
    bodies[stream] = body = b"\0" + len(message).to_bytes(4, "big") + message
    h2.send_headers(stream, head)
    while body:
        room = min(h2.local_flow_control_window(stream), h2.max_outbound_frame_size, len(body))
        if room == 0:
            pump()
            continue
        h2.send_data(stream, body[:room])
        body = body[room:]
    h2.end_stream(stream)
    while len(bodies) - len(done) > 20:
        pump()
while len(done) < calls:
    pump()
right = sum(answers[s] == bodies[s] and statuses[s] == "0" for s in bodies)
print(json.dumps({"calls": calls, "right": right}))
