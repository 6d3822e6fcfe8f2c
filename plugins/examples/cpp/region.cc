#include "region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace {

struct File {
  int fd;
  ~File() {
    if (fd >= 0) close(fd);
  }
};

[[noreturn]] void Decline(const std::string& why) { throw std::runtime_error(why); }

}  // namespace

Region Region::Map(const pb::OpenRegionRequest& r) {
  const std::string& path = r.path();
  if (r.nonce().size() != 32) Decline("nonce: want 32 bytes, got " + std::to_string(r.nonce().size()));
  if (r.size() == 0 || r.size() % 65536 != 0 || r.size() > (uint64_t{1} << 46)) Decline("size: want a multiple of 65536, got " + std::to_string(r.size()));
  if (path.empty() || path[0] != '/' || path.find('\0') != std::string::npos) Decline("path: want an absolute one");
  // Below /proc the last part of the path is a link by nature.
  const int follow = path.rfind("/proc/", 0) == 0 ? 0 : O_NOFOLLOW;
  File f{open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK | follow)};
  if (f.fd < 0) Decline("open: " + std::string(std::strerror(errno)));
  struct stat s {};
  if (fstat(f.fd, &s) != 0) Decline("fstat: " + std::string(std::strerror(errno)));
  if (!S_ISREG(s.st_mode) || s.st_uid != geteuid() || (s.st_mode & 077) != 0) Decline("not a regular file of this user alone");
  if (uint64_t(s.st_size) != r.size()) Decline("the file has " + std::to_string(s.st_size) + " bytes, want " + std::to_string(r.size()));
  void* p = mmap(nullptr, r.size(), PROT_READ | PROT_WRITE, MAP_SHARED, f.fd, 0);
  if (p == MAP_FAILED) Decline("mmap: " + std::string(std::strerror(errno)));
  Region region(static_cast<char*>(p), r.size());
  if (std::memcmp(region.data_, r.nonce().data(), 32) != 0) Decline("the file does not begin with the nonce");
  for (int i = 0; i < 32; i++) region.data_[i] = char(~r.nonce()[i]);
  return region;
}

Region::~Region() {
  if (data_) munmap(data_, size_);
}

char* Region::At(const pb::SharedRange& range, size_t length) const {
  if (range.length() != length) throw Misfit("", "buffer", "range", std::to_string(length) + " bytes", std::to_string(range.length()));
  if (range.offset() > size_ || length > size_ - range.offset()) throw Invalid("shared: the range does not lie within the region");
  return data_ + range.offset();
}
