#include "error.h"

#include "status.pb.h"

namespace {

// Cut shortens a text to n bytes without splitting a character of UTF-8.
std::string Cut(std::string s, size_t n) {
  if (s.size() <= n) return s;
  while (n > 0 && (s[n] & 0xC0) == 0x80) n--;
  s.resize(n);
  return s;
}

grpc::StatusCode CodeOf(pb::ErrorKind kind) {
  switch (kind) {
    case pb::ERROR_KIND_DEVICE_LOST: return grpc::StatusCode::ABORTED;
    case pb::ERROR_KIND_CLOSED: return grpc::StatusCode::FAILED_PRECONDITION;
    case pb::ERROR_KIND_OUT_OF_MEMORY: return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case pb::ERROR_KIND_UNSUPPORTED: return grpc::StatusCode::UNIMPLEMENTED;
    case pb::ERROR_KIND_NO_DEVICE: return grpc::StatusCode::NOT_FOUND;
    case pb::ERROR_KIND_CANCELLED: return grpc::StatusCode::CANCELLED;
    case pb::ERROR_KIND_DEADLINE_EXCEEDED: return grpc::StatusCode::DEADLINE_EXCEEDED;
    case pb::ERROR_KIND_INVALID: return grpc::StatusCode::INVALID_ARGUMENT;
    default: return grpc::StatusCode::INTERNAL;
  }
}

}  // namespace

Failure Misfit(const std::string& node, const std::string& op, const std::string& attribute, const std::string& want,
               const std::string& got) {
  Failure f = Invalid(node + ": " + op + ": " + attribute + ": want " + want + ", got " + got);
  f.shape.set_node(Cut(node, 256));
  f.shape.set_op(Cut(op, 256));
  f.shape.set_attribute(Cut(attribute, 256));
  f.shape.set_want(Cut(want, 256));
  f.shape.set_got(Cut(got, 256));
  return f;
}

pb::Error Message(const Failure& f) {
  pb::Error e;
  e.add_kinds(f.kind);
  e.set_message(Cut(f.what(), 1024));
  if (!f.shape.want().empty()) *e.mutable_shape() = f.shape;
  return e;
}

grpc::Status ToStatus(const Failure& f) {
  pb::Error e = Message(f);
  const std::string text = e.message();
  e.clear_message();  // the status has it
  google::rpc::Status details;
  details.set_code(CodeOf(f.kind));
  details.set_message(text);
  details.add_details()->PackFrom(e);  // with the type URL type.googleapis.com/resnet.backend.v1.Error
  return {CodeOf(f.kind), text, details.SerializeAsString()};
}
