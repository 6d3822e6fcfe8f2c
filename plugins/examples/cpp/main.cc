// A backend plugin in C++, written from docs/plugin-protocol.md, backend.proto and gRPC alone. See README.md.
#include <grpcpp/health_check_service_interface.h>
#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <thread>

#include "certificate.h"
#include "go_plugin.grpc.pb.h"
#include "service.h"

namespace {

constexpr const char* kCookie = "5d0f2c6e1b7a4893a1c4e07d36f28b95";

// End is the orderly end of the process, asked for by any thread: main sees it.
class End {
 public:
  void Ask() {
    std::lock_guard<std::mutex> lock(mutex_);
    asked_ = true;
    changed_.notify_all();
  }
  void SessionHasBegun() {
    std::lock_guard<std::mutex> lock(mutex_);
    session_ = true;
  }
  // Wait returns when asked, or when no session came within a minute.
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait_for(lock, std::chrono::minutes(1), [&] { return asked_; });
    if (session_) changed_.wait(lock, [&] { return asked_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false, session_ = false;
};

class Controller final : public plugin::GRPCController::Service {
 public:
  explicit Controller(End* end) : end_(end) {}
  grpc::Status Shutdown(grpc::ServerContext*, const plugin::Empty*, plugin::Empty*) override {
    end_->Ask();
    return grpc::Status::OK;
  }

 private:
  End* end_;
};

std::string Environment(const char* name) {
  const char* v = std::getenv(name);
  return v ? v : "";
}

bool SpeaksVersion1(const std::string& versions) {
  std::stringstream list(versions);
  for (std::string v; std::getline(list, v, ',');)
    if (v == "1") return true;
  return false;
}

// SocketFolder makes a folder that only this user can enter.
std::string SocketFolder() {
  std::string folder = Environment("PLUGIN_UNIX_SOCKET_DIR");
  if (folder.empty()) folder = Environment("TMPDIR");
  if (folder.empty()) folder = "/tmp";
  folder += "/resnet-run-cpp-XXXXXX";
  return mkdtemp(folder.data()) ? folder : "";
}

int Fail(const std::string& why) {
  std::cerr << "[ERROR] " << why << std::endl;
  return 1;
}

}  // namespace

int main() {
  if (Environment("RESNET_RUN_PLUGIN") != kCookie) {
    std::cerr << "This is a backend plugin of resnet-run and is not to be started by hand. Put it where\n"
                 "\"resnet-run plugins doctor\" looks, and use it with \"resnet-run classify --backend cpp\".\n";
    return 1;
  }
  if (!SpeaksVersion1(Environment("PLUGIN_PROTOCOL_VERSIONS")))
    return Fail("protocol: want version 1, the host speaks " + Environment("PLUGIN_PROTOCOL_VERSIONS"));
  signal(SIGPIPE, SIG_IGN);
  signal(SIGINT, SIG_IGN);  // Ctrl-C goes to the whole group: the host decides when to end

  const std::string client = Environment("PLUGIN_CLIENT_CERT");
  std::shared_ptr<grpc::ServerCredentials> credentials = grpc::InsecureServerCredentials();
  std::string encoded;
  if (!client.empty()) {
    const Certificate own = MakeCertificate();
    grpc::SslServerCredentialsOptions tls(GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    tls.pem_root_certs = client;
    tls.pem_key_cert_pairs.push_back({own.key_pem, own.certificate_pem});
    credentials = grpc::SslServerCredentials(tls);
    encoded = own.certificate_base64;
  }

  End end;
  Service service([&] { end.SessionHasBegun(); }, [&] { end.Ask(); });
  Controller controller(&end);
  grpc::EnableDefaultHealthCheckService(true);
  const std::string folder = SocketFolder();
  if (folder.empty()) return Fail("cannot make a folder for the socket");
  const std::string path = folder + "/socket";
  grpc::ServerBuilder builder;
  builder.AddListeningPort("unix:" + path, credentials);
  builder.RegisterService(&service);
  builder.RegisterService(&controller);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (!server) {
    rmdir(folder.c_str());
    return Fail("cannot listen on " + path);
  }
  server->GetHealthCheckService()->SetServingStatus("plugin", true);
  std::cout << "1|1|unix|" << path << "|grpc|" << encoded << std::endl;

  end.Wait();
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  unlink(path.c_str());
  rmdir(folder.c_str());
  const std::string given = Environment("PLUGIN_UNIX_SOCKET_DIR");  // made for this process alone
  if (!given.empty()) rmdir(given.c_str());
  return 0;
}
