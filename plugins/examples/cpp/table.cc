#include "table.h"

Object* Table::Acquire(uint64_t id) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto found = entries_.find(id);
  if (found == entries_.end() || found->second.closing || !found->second.object) throw Closed("id " + std::to_string(id) + " is not open");
  found->second.users++;
  return found->second.object.get();
}

void Table::Release(uint64_t id) {
  std::lock_guard<std::mutex> lock(mutex_);
  entries_.at(id).users--;
  changed_.notify_all();
}

void Table::Reserve(uint64_t id) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (id == 0) throw Invalid("id: want another number than 0");
  if (gone_.count(id)) throw Closed("id " + std::to_string(id) + " was closed");
  if (!entries_.emplace(id, Entry{}).second) throw Invalid("id " + std::to_string(id) + " is taken");
}

void Table::Enter(uint64_t id, std::unique_ptr<Object> object) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto found = entries_.find(id);
  if (object) {
    // The device cannot have gone: whoever makes something on it holds it.
    found->second.object = std::move(object);
  } else {
    gone_.insert(id);
    entries_.erase(found);
  }
  changed_.notify_all();
}

void Table::CloseOne(uint64_t id, std::unique_lock<std::mutex>& lock) {
  gone_.insert(id);
  auto found = entries_.find(id);
  if (found == entries_.end()) return;
  found->second.closing = true;
  std::unique_ptr<Object> object;
  for (;; changed_.wait(lock)) {
    found = entries_.find(id);
    if (found == entries_.end()) return;  // somebody else closed it, or it was never made
    if (found->second.object && found->second.users == 0) break;
  }
  object = std::move(found->second.object);
  entries_.erase(found);
  changed_.notify_all();
  lock.unlock();
  object.reset();  // may take its time
  lock.lock();
}

void Table::Close(uint64_t id) {
  std::unique_lock<std::mutex> lock(mutex_);
  auto found = entries_.find(id);
  if (found != entries_.end()) found->second.closing = true;  // nothing new is made on a device that closes
  // Calls that make something hold the device, so when they have ended the list below is whole.
  changed_.wait(lock, [&] {
    auto e = entries_.find(id);
    return e == entries_.end() || (e->second.object && e->second.users == 0);
  });
  std::vector<uint64_t> parts;
  for (const auto& [other, entry] : entries_)
    if (id != 0 && entry.object && entry.object->device == id) parts.push_back(other);
  for (uint64_t part : parts) CloseOne(part, lock);
  CloseOne(id, lock);
}
