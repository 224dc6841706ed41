"""Random header blocks by Python's hpack, and header blocks read by it: one JSON document a line.

  encode SEED CONNECTIONS BLOCKS   writes connections, each a list of {"block": hex, "fields": [[name, value], ...]}
  decode                           reads hex blocks of one connection from stdin, writes their fields
"""
import json
import random
import sys

from hpack import Decoder, Encoder, HeaderTuple, NeverIndexedHeaderTuple

NAMES = [":method", ":path", "content-type", "grpc-timeout", "te", "x-request-id", "traceparent", "cookie"]


def field(r):
    name = r.choice(NAMES) if r.random() < 0.7 else "x-" + "".join(r.choices("abcdefgh0-", k=r.randint(1, 12)))
    alphabet = "".join(map(chr, range(32, 127))) if r.random() < 0.7 else "".join(map(chr, range(1, 256)))
    size = r.choice([0, 1, 5, 20, 60, 300, 5000 if r.random() < 0.05 else 3])
    # Few values, so that the table is used.
    value = r.choice(["GET", "/", "a" * size]) if r.random() < 0.5 else "".join(r.choices(alphabet, k=size))
    return name, value


def encode(seed, connections, blocks):
    r = random.Random(seed)
    for _ in range(connections):
        encoder = Encoder()
        told = []
        for _ in range(blocks):
            for sizes in ([0, 40, 100, 1000, 4096], [64, 2048, 4096])[: r.choice([0, 0, 0, 0, 1, 2])]:
                size = r.choice(sizes)
                # Set to what it is already, the encoder forgets to tell the change before it.
                if size != encoder.header_table_size:
                    encoder.header_table_size = size
            fields = [field(r) for _ in range(r.randint(1, 10))]
            raw = [(n.encode("latin-1"), v.encode("latin-1"), r.random() < 0.1) for n, v in fields]
            tuples = [(NeverIndexedHeaderTuple if never else HeaderTuple)(n, v) for n, v, never in raw]
            block = encoder.encode(tuples, huffman=r.random() < 0.7)
            told.append({"block": block.hex(), "fields": fields})
        print(json.dumps(told))


def decode():
    decoder = Decoder()
    for line in sys.stdin:
        fields = decoder.decode(bytes.fromhex(line.strip()), raw=True)
        print(json.dumps([[n.decode("latin-1"), v.decode("latin-1")] for n, v in fields]))


if sys.argv[1] == "encode":
    encode(*map(int, sys.argv[2:5]))
else:
    decode()
