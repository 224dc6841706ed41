"""Bodies of OTLP export requests, one hex text a line, read by OpenTelemetry's own messages: one JSON document a line."""
import sys

from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

for line in sys.stdin:
    print(MessageToJson(ExportTraceServiceRequest.FromString(bytes.fromhex(line)), indent=None))
