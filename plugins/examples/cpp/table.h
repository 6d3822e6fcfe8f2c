// The objects of the protocol, by the ids that the host chooses.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <unordered_set>

#include "network.h"
#include "region.h"

struct Object {
  explicit Object(uint64_t d) : device(d) {}
  virtual ~Object() = default;
  const uint64_t device;  // that it was made on, 0 for devices and regions
};

struct Device : Object {
  Device() : Object(0) {}
};

struct Executable : Object {
  Executable(uint64_t d, std::unique_ptr<Network> n) : Object(d), network(std::move(n)) {}
  const std::unique_ptr<Network> network;
};

struct Buffer : Object {
  Buffer(uint64_t d, const pb::TensorType& t) : Object(d), type(t), elements(Elements(CheckType(t))), data(new float[size_t(elements)]) {}
  size_t bytes() const { return size_t(elements) * 4; }
  const pb::TensorType type;
  const int64_t elements;
  const std::unique_ptr<float[]> data;
  std::timed_mutex turn;  // calls that use a buffer take turns
};

struct SharedRegion : Object {
  explicit SharedRegion(Region r) : Object(0), region(std::move(r)) {}
  const Region region;
};

// Table keeps the rules of the ids: an id is used once; Close waits for the calls that use the object; an id that is
// closed before it was made is never made.
class Table {
 public:
  // Use holds an object against Close until it goes out of scope.
  template <typename T>
  class Use {
   public:
    Use(Table* t, uint64_t id, const char* kind) : table_(t), id_(id), object_(dynamic_cast<T*>(t->Acquire(id))) {
      if (object_) return;
      t->Release(id);
      throw Invalid("id " + std::to_string(id) + " is no " + kind);
    }
    Use(Use&& o) noexcept : table_(o.table_), id_(o.id_), object_(o.object_) { o.object_ = nullptr; }
    ~Use() {
      if (object_) table_->Release(id_);
    }
    T* operator->() const { return object_; }
    T* get() const { return object_; }

   private:
    Table* table_;
    uint64_t id_;
    T* object_;
  };

  Use<Device> device(uint64_t id) { return {this, id, "device"}; }
  Use<Executable> executable(uint64_t id) { return {this, id, "executable"}; }
  Use<Buffer> buffer(uint64_t id) { return {this, id, "buffer"}; }
  Use<SharedRegion> region(uint64_t id) { return {this, id, "region"}; }

  // Make reserves the id, calls make, which returns a unique_ptr to the object, and enters what it gives.
  template <typename Maker>
  void Make(uint64_t id, Maker make) {
    Reserve(id);
    std::unique_ptr<Object> object;
    try {
      object = make();
    } catch (...) {
      Enter(id, nullptr);
      throw;
    }
    Enter(id, std::move(object));
  }

  void Close(uint64_t id);

 private:
  struct Entry {
    std::unique_ptr<Object> object;  // none while it is being made
    int users = 0;
    bool closing = false;
  };
  Object* Acquire(uint64_t id);
  void Release(uint64_t id);
  void Reserve(uint64_t id);
  void Enter(uint64_t id, std::unique_ptr<Object> object);
  void CloseOne(uint64_t id, std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<uint64_t, Entry> entries_;
  std::unordered_set<uint64_t> gone_;  // closed, made before or not
};
