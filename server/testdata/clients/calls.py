# Python's grpcio and protobuf with the descriptors of the contract.
# Arguments: address, key, file of descriptors.
import sys

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

addr, key, path = sys.argv[1:]
files = descriptor_pb2.FileDescriptorSet()
with open(path, "rb") as f:
    files.ParseFromString(f.read())
pool = descriptor_pool.DescriptorPool()
for file in files.file:
    pool.Add(file)
factory = message_factory.MessageFactory(pool)
channel = grpc.insecure_channel(addr)


def method(service, name):
    m = pool.FindServiceByName("watchword.v1." + service).methods_by_name[name]
    request, answer = factory.GetPrototype(m.input_type), factory.GetPrototype(m.output_type)
    kind = channel.stream_stream if m.full_name.endswith("BatchCheckPasswords") else channel.unary_unary
    call = kind(f"/watchword.v1.{service}/{name}", request.SerializeToString, answer.FromString)
    return call, request


meta = [("authorization", "Bearer " + key)]
check, Check = method("PasswordService", "CheckPassword")
try:
    check(Check(password="password"))
    sys.exit("a call without a key was answered")
except grpc.RpcError as e:
    assert e.code() == grpc.StatusCode.UNAUTHENTICATED, e
ACCEPT, REJECT = (pool.FindEnumTypeByName("watchword.v1.Decision").values_by_name["DECISION_" + d].number for d in ("ACCEPT", "REJECT"))
assert check(Check(password="password"), metadata=meta).decision == REJECT
assert check(Check(password="tangled lantern orbit 7 walrus"), metadata=meta).decision == ACCEPT

verify, Verify = method("CredentialService", "VerifyPassword")
for i in range(5):
    verify(Verify(subject="python", password=f"guess {i}"), metadata=meta)
try:
    verify(Verify(subject="python", password="one more"), metadata=meta)
    sys.exit("a sixth guess was answered")
except grpc.RpcError as e:
    assert e.code() == grpc.StatusCode.RESOURCE_EXHAUSTED, e
    assert any(k == "grpc-status-details-bin" for k, _ in e.trailing_metadata()), e

batch, Row = method("PasswordService", "BatchCheckPasswords")
rows = (Row(password="password" if i % 2 else f"walrus orbit lantern {i * 7919}") for i in range(500))
got = [r.decision for r in batch(rows, metadata=meta)]
assert got == [ACCEPT, REJECT] * 250, got[:3]
