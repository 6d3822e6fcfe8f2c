// Errors of the protocol: thrown where they are found, turned into a gRPC status at the edge.
#pragma once

#include <grpcpp/grpcpp.h>

#include <stdexcept>
#include <string>

#include "resnet/backend/v1/backend.pb.h"

namespace pb = resnet::backend::v1;

// Failure is an error that crosses the wire: a kind, a text and, when something does not fit, what and where.
struct Failure : std::runtime_error {
  Failure(pb::ErrorKind k, const std::string& text) : std::runtime_error(text), kind(k) {}
  pb::ErrorKind kind;
  pb::ShapeError shape;  // set if its want is not empty
};

inline Failure Unsupported(const std::string& text) { return {pb::ERROR_KIND_UNSUPPORTED, text}; }
inline Failure Invalid(const std::string& text) { return {pb::ERROR_KIND_INVALID, text}; }
inline Failure Closed(const std::string& text) { return {pb::ERROR_KIND_CLOSED, text}; }

// Misfit is an INVALID with a shape error.
Failure Misfit(const std::string& node, const std::string& op, const std::string& attribute, const std::string& want,
               const std::string& got);

// Message is the error as it stands in SupportsResponse.
pb::Error Message(const Failure& f);

// Guard calls body and turns what it throws into a status: INTERNAL for what is no Failure.
template <typename Body>
grpc::Status Guard(Body body);

grpc::Status ToStatus(const Failure& f);

template <typename Body>
grpc::Status Guard(Body body) {
  try {
    body();
    return grpc::Status::OK;
  } catch (const Failure& f) {
    return ToStatus(f);
  } catch (const std::bad_alloc&) {
    return ToStatus({pb::ERROR_KIND_OUT_OF_MEMORY, "out of memory"});
  } catch (const std::exception& e) {
    return {grpc::StatusCode::INTERNAL, std::string(e.what()).substr(0, 1024)};
  }
}
