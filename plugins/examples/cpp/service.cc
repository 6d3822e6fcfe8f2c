#include "service.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>
#include <thread>

namespace {

constexpr size_t kChunk = 1 << 20;
constexpr size_t kMaxGraph = 64 << 20;
constexpr const char* kDevice = "cpu";

// StopOf throws when the caller has gone.
Stop StopOf(grpc::ServerContext* ctx) {
  return [ctx] {
    if (std::chrono::system_clock::now() > ctx->deadline()) throw Failure(pb::ERROR_KIND_DEADLINE_EXCEEDED, "the caller's time is up");
    if (ctx->IsCancelled()) throw Failure(pb::ERROR_KIND_CANCELLED, "the caller gave up");
  };
}

// Turn is the right to use some buffers. They are taken in the order of their addresses, so that nobody waits in a circle.
class Turn {
 public:
  Turn(std::vector<Buffer*> buffers, const Stop& stop) {
    std::sort(buffers.begin(), buffers.end(), std::less<>());
    buffers.erase(std::unique(buffers.begin(), buffers.end()), buffers.end());
    for (Buffer* b : buffers) {
      std::unique_lock<std::timed_mutex> lock(b->turn, std::defer_lock);
      while (!lock.try_lock_for(std::chrono::milliseconds(20))) stop();
      locks_.push_back(std::move(lock));
    }
    stop();  // a call that was given up meanwhile must not come after a later one
  }

 private:
  std::vector<std::unique_lock<std::timed_mutex>> locks_;
};

void FillInfo(pb::DeviceInfo* d) {
  d->set_backend("cpp");
  d->set_id(kDevice);
  d->set_name("C++ example");
  d->set_type(pb::DEVICE_TYPE_CPU);
  d->set_driver(std::string("compiled with ") + __VERSION__);
  (*d->mutable_properties())["threads"] = std::to_string(std::thread::hardware_concurrency());
}

}  // namespace

grpc::Status Service::Describe(Context*, const pb::DescribeRequest*, pb::DescribeResponse* out) {
  out->set_name("cpp");
  out->set_version("1.0.0");
  out->mutable_capabilities()->set_shared_memory(true);
  out->mutable_capabilities()->set_execute(true);
  return grpc::Status::OK;
}

grpc::Status Service::Session(Context* ctx, const pb::SessionRequest*, grpc::ServerWriter<pb::SessionEvent>* stream) {
  begun_();
  stream->Write({});
  while (!ctx->IsCancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ended_();
  return grpc::Status::OK;
}

grpc::Status Service::ListDevices(Context*, const pb::ListDevicesRequest*, pb::ListDevicesResponse* out) {
  FillInfo(out->add_devices());
  return grpc::Status::OK;
}

grpc::Status Service::OpenDevice(Context*, const pb::OpenDeviceRequest* in, pb::OpenDeviceResponse* out) {
  return Guard([&] {
    if (in->device_id() != kDevice) throw Failure(pb::ERROR_KIND_NO_DEVICE, "device: want \"cpu\", got \"" + in->device_id().substr(0, 80) + "\"");
    table_.Make(in->device(), [] { return std::make_unique<Device>(); });
    FillInfo(out->mutable_info());
  });
}

grpc::Status Service::Supports(Context*, const pb::SupportsRequest* in, pb::SupportsResponse* out) {
  return Guard([&] {
    auto device = table_.device(in->device());
    if (in->nodes_size() > 256) throw Invalid("nodes: want at most 256, got " + std::to_string(in->nodes_size()));
    for (const pb::NodeQuery& q : in->nodes()) {
      pb::Error* answer = out->add_answers();
      try {
        CheckQuery(q);
      } catch (const Failure& f) {
        *answer = Message(f);
      }
    }
  });
}

grpc::Status Service::Compile(Context* ctx, grpc::ServerReader<pb::CompileRequest>* stream, pb::CompileResponse* out) {
  return Guard([&] {
    const Stop stop = StopOf(ctx);
    pb::CompileRequest part;
    if (!stream->Read(&part) || !part.has_start()) {
      stop();
      throw Invalid("compile: want a start first");
    }
    const pb::CompileStart start = part.start();
    auto device = table_.device(start.device());
    table_.Make(start.executable(), [&] {
      pb::Graph graph;
      size_t size = 0;
      std::unique_ptr<Network> network;
      while (stream->Read(&part)) {
        if (part.has_graph() && !network) {
          size += part.ByteSizeLong();
          if (size > kMaxGraph) throw Invalid("graph: want at most 64 MiB");
          graph.MergeFrom(part.graph());
        } else if (part.has_data()) {
          if (!network) network = std::make_unique<Network>(std::move(graph));
          network->Append(part.data());
        } else {
          throw Invalid("compile: want the graph, then data");
        }
        stop();
      }
      stop();
      if (!network) network = std::make_unique<Network>(std::move(graph));
      network->Finish();
      for (pb::Value& v : network->Inputs()) *out->add_inputs() = std::move(v);
      for (pb::Value& v : network->Outputs()) *out->add_outputs() = std::move(v);
      return std::make_unique<Executable>(start.device(), std::move(network));
    });
  });
}

// Held is what a run uses: it is not closed meanwhile.
struct Service::Held {
  Table::Use<Executable> executable;
  std::vector<Table::Use<Buffer>> buffers;  // inputs, then outputs
  size_t inputs = 0;
};

Service::Held Service::Hold(const pb::RunRequest& in) {
  Held held{table_.executable(in.executable()), {}};
  const Network& network = *held.executable->network;
  auto take = [&](const char* what, const auto& ids, const std::vector<pb::Value>& want) {
    if (size_t(ids.size()) != want.size())
      throw Misfit("", "run", what, std::to_string(want.size()) + " buffers", std::to_string(ids.size()));
    for (int i = 0; i < ids.size(); i++) {
      held.buffers.push_back(table_.buffer(ids[i]));
      const Buffer* b = held.buffers.back().get();
      if (b->device != held.executable->device) throw Invalid("run: a buffer of another device");
      if (!SameType(b->type, want[i].type())) throw Misfit("", "run", std::string(what) + " " + want[i].name(), TypeText(want[i].type()), TypeText(b->type));
    }
  };
  take("inputs", in.inputs(), network.Inputs());
  held.inputs = held.buffers.size();
  take("outputs", in.outputs(), network.Outputs());
  for (size_t i = held.inputs; i < held.buffers.size(); i++)
    for (size_t j = 0; j < i; j++)
      if (held.buffers[j].get() == held.buffers[i].get()) throw Misfit("", "run", "outputs", "a buffer of its own for each", "one that is given twice");
  return held;
}

// RunHeld runs when the call has the turns of all buffers.
void Service::RunHeld(const Held& held, const Stop& stop) {
  std::vector<const float*> from;
  std::vector<float*> to;
  for (size_t i = 0; i < held.buffers.size(); i++)
    i < held.inputs ? from.push_back(held.buffers[i]->data.get()) : to.push_back(held.buffers[i]->data.get());
  held.executable->network->Run(from, to, stop);
}

grpc::Status Service::Run(Context* ctx, const pb::RunRequest* in, pb::RunResponse*) {
  return Guard([&] {
    const Held held = Hold(*in);
    std::vector<Buffer*> all;
    for (const auto& b : held.buffers) all.push_back(b.get());
    const Stop stop = StopOf(ctx);
    Turn turn(all, stop);
    RunHeld(held, stop);
  });
}

grpc::Status Service::Execute(Context* ctx, const pb::ExecuteRequest* in, pb::ExecuteResponse* out) {
  return Guard([&] {
    // Everything is looked up and checked before anything is done.
    struct Move {
      Table::Use<Buffer> buffer;
      std::optional<Table::Use<SharedRegion>> region;
      char* shared;  // or null
    };
    std::optional<Held> run;
    if (in->has_run()) run.emplace(Hold(in->run()));
    std::vector<Move> writes, reads;
    std::vector<Buffer*> all;
    size_t sent = 0, returned = 0;
    auto take = [&](const char* what, const auto& transfers, std::vector<Move>& moves, size_t& within) {
      for (const pb::Transfer& t : transfers) {
        Move m{table_.buffer(t.buffer()), {}, nullptr};
        for (const Move& other : moves)
          if (other.buffer.get() == m.buffer.get()) throw Invalid(std::string("execute: two ") + what + " of one buffer");
        if (t.has_shared()) {
          m.region.emplace(table_.region(t.shared().region()));
          m.shared = (*m.region)->region.At(t.shared(), m.buffer->bytes());
        } else {
          within += std::min(m.buffer->bytes(), kChunk + 1);
        }
        const size_t want = &moves == &writes && !t.has_shared() ? m.buffer->bytes() : 0;
        if (t.data().size() != want) throw Misfit("", "buffer", "data", std::to_string(want) + " bytes", std::to_string(t.data().size()));
        all.push_back(m.buffer.get());
        moves.push_back(std::move(m));
      }
    };
    take("writes", in->writes(), writes, sent);
    take("reads", in->reads(), reads, returned);
    if (sent > kChunk || returned > kChunk) throw Invalid("execute: want at most 1 MiB of data in a message");
    if (run)
      for (const auto& b : run->buffers) all.push_back(b.get());
    const Stop stop = StopOf(ctx);
    Turn turn(all, stop);
    for (size_t i = 0; i < writes.size(); i++)
      std::memcpy(writes[i].buffer->data.get(), writes[i].shared ? writes[i].shared : in->writes(int(i)).data().data(), writes[i].buffer->bytes());
    if (run) RunHeld(*run, stop);
    for (const Move& m : reads) {
      if (m.shared)
        std::memcpy(m.shared, m.buffer->data.get(), m.buffer->bytes());
      else
        out->add_data(m.buffer->data.get(), m.buffer->bytes());
    }
  });
}

grpc::Status Service::CreateBuffer(Context*, const pb::CreateBufferRequest* in, pb::CreateBufferResponse*) {
  return Guard([&] {
    auto device = table_.device(in->device());
    table_.Make(in->buffer(), [&] { return std::make_unique<Buffer>(in->device(), in->type()); });
  });
}

grpc::Status Service::WriteBuffer(Context* ctx, grpc::ServerReader<pb::WriteBufferRequest>* stream, pb::WriteBufferResponse*) {
  return Guard([&] {
    const Stop stop = StopOf(ctx);
    pb::WriteBufferRequest part;
    if (!stream->Read(&part) || !part.has_start()) {
      stop();
      throw Invalid("write: want a start first");
    }
    const pb::WriteBufferStart start = part.start();
    auto buffer = table_.buffer(start.buffer());
    if (start.has_shared()) {
      auto region = table_.region(start.shared().region());
      const char* from = region->region.At(start.shared(), buffer->bytes());
      Turn turn({buffer.get()}, stop);
      std::memcpy(buffer->data.get(), from, buffer->bytes());
      return;
    }
    std::string data;  // grows with what comes
    auto misfit = [&] { return Misfit("", "buffer", "data", std::to_string(buffer->bytes()) + " bytes", std::to_string(data.size())); };
    while (stream->Read(&part)) {
      if (part.chunk().empty() || part.chunk().size() > kChunk) throw Invalid("write: want a chunk of 1 byte to 1 MiB");
      data += part.chunk();
      if (data.size() > buffer->bytes()) throw misfit();
    }
    stop();
    if (data.size() != buffer->bytes()) throw misfit();
    Turn turn({buffer.get()}, stop);
    if (!data.empty()) std::memcpy(buffer->data.get(), data.data(), data.size());
  });
}

grpc::Status Service::ReadBuffer(Context* ctx, const pb::ReadBufferRequest* in, grpc::ServerWriter<pb::ReadBufferResponse>* stream) {
  return Guard([&] {
    const Stop stop = StopOf(ctx);
    auto buffer = table_.buffer(in->buffer());
    if (in->has_shared()) {
      auto region = table_.region(in->shared().region());
      char* to = region->region.At(in->shared(), buffer->bytes());
      Turn turn({buffer.get()}, stop);
      std::memcpy(to, buffer->data.get(), buffer->bytes());
      return;
    }
    std::string data;
    {
      Turn turn({buffer.get()}, stop);
      data.assign(reinterpret_cast<const char*>(buffer->data.get()), buffer->bytes());
    }
    for (size_t at = 0; at < data.size(); at += kChunk) {
      pb::ReadBufferResponse part;
      part.set_chunk(data.data() + at, std::min(kChunk, data.size() - at));
      if (!stream->Write(part)) stop();
    }
  });
}

grpc::Status Service::OpenRegion(Context*, const pb::OpenRegionRequest* in, pb::OpenRegionResponse* out) {
  return Guard([&] {
    table_.Make(in->region(), [&]() -> std::unique_ptr<Object> {
      try {
        auto region = std::make_unique<SharedRegion>(Region::Map(*in));
        out->set_accepted(true);
        return region;
      } catch (const std::runtime_error& e) {
        out->set_reason(e.what());
        return nullptr;  // no object: the host tries another way, with another id
      }
    });
  });
}

grpc::Status Service::Close(Context*, const pb::CloseRequest* in, pb::CloseResponse*) {
  return Guard([&] { table_.Close(in->object()); });
}
