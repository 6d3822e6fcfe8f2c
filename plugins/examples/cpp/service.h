// The service resnet.backend.v1.Backend.
#pragma once

#include <functional>

#include "resnet/backend/v1/backend.grpc.pb.h"
#include "table.h"

class Service final : public pb::Backend::Service {
 public:
  // ended is called once when the host's session is over; begun when it comes.
  Service(std::function<void()> begun, std::function<void()> ended) : begun_(std::move(begun)), ended_(std::move(ended)) {}

 private:
  using Context = grpc::ServerContext;
  grpc::Status Describe(Context*, const pb::DescribeRequest*, pb::DescribeResponse*) override;
  grpc::Status Session(Context*, const pb::SessionRequest*, grpc::ServerWriter<pb::SessionEvent>*) override;
  grpc::Status ListDevices(Context*, const pb::ListDevicesRequest*, pb::ListDevicesResponse*) override;
  grpc::Status OpenDevice(Context*, const pb::OpenDeviceRequest*, pb::OpenDeviceResponse*) override;
  grpc::Status Supports(Context*, const pb::SupportsRequest*, pb::SupportsResponse*) override;
  grpc::Status Compile(Context*, grpc::ServerReader<pb::CompileRequest>*, pb::CompileResponse*) override;
  grpc::Status Run(Context*, const pb::RunRequest*, pb::RunResponse*) override;
  grpc::Status Execute(Context*, const pb::ExecuteRequest*, pb::ExecuteResponse*) override;
  grpc::Status CreateBuffer(Context*, const pb::CreateBufferRequest*, pb::CreateBufferResponse*) override;
  grpc::Status WriteBuffer(Context*, grpc::ServerReader<pb::WriteBufferRequest>*, pb::WriteBufferResponse*) override;
  grpc::Status ReadBuffer(Context*, const pb::ReadBufferRequest*, grpc::ServerWriter<pb::ReadBufferResponse>*) override;
  grpc::Status OpenRegion(Context*, const pb::OpenRegionRequest*, pb::OpenRegionResponse*) override;
  grpc::Status Close(Context*, const pb::CloseRequest*, pb::CloseResponse*) override;
  // Profile stays unimplemented: no CompileResponse announces it.

  struct Held;
  Held Hold(const pb::RunRequest&);
  void RunHeld(const Held&, const Stop&);

  std::function<void()> begun_, ended_;
  Table table_;
};
