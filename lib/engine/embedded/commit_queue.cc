#include "engine/embedded/commit_queue.h"

#include <rocksdb/write_batch.h>

#include <new>

#include "base/coding.h"
#include "base/error.h"
#include "engine/embedded/status.h"
#include "model/checkpoint_codec.h"
#include "model/key_codec.h"
#include "model/record_codec.h"

namespace once::engine {
namespace {

// A group stops growing here: what waits longer than its own sync gains nothing by a larger one.
constexpr std::size_t group_bytes = std::size_t{1} << 20;

void patch_u64(Bytes& value, std::size_t offset, std::uint64_t number) {
  Bytes encoded;
  Writer(encoded).u64(number);
  value.replace(offset, encoded.size(), encoded);
}

// Short enough to need none.
constexpr const char* no_memory_left = "no memory left";

Error no_memory(ErrorCode code) {
  return {.code = code, .message = no_memory_left};
}

std::size_t bytes_of(const std::vector<RowWrite>& rows) {
  std::size_t bytes = 0;
  for (const RowWrite& row : rows) bytes += row.key.size() + row.value.size();
  return bytes;
}

}  // namespace

Result<void> CommitQueue::number(std::vector<RowWrite>& rows) {
  std::uint64_t last_history = 0;
  for (RowWrite& row : rows) {
    if (row.numbered == Numbered::no) continue;
    if (row.numbered == Numbered::last_history) {
      row.sequence = last_history;
      patch_u64(row.value, model::record_last_history_offset, last_history);
      continue;
    }
    auto sequence = numbering_.sequence();
    if (!sequence) return pass(sequence);
    row.sequence = *sequence;
    if (row.numbered == Numbered::in_value) {
      patch_u64(row.value, model::checkpoint_sequence_offset, *sequence);
    } else {
      row.key = model::encode_sequence(*sequence);
      if (row.table == Table::history) last_history = *sequence;
    }
  }
  return {};
}

CommitQueue::Group CommitQueue::first_group() const {
  Group group{.first = front_};
  std::size_t bytes = 0;
  for (const Waiting* waiting = front_; waiting != nullptr; waiting = waiting->next) {
    if (waiting->durability != front_->durability) break;
    if (group.count > 0 && bytes + bytes_of(waiting->rows) > group_bytes) break;
    bytes += bytes_of(waiting->rows);
    ++group.count;
  }
  return group;
}

Result<void> CommitQueue::write(const Group& group) {
  rocksdb::WriteBatch batch;
  rocksdb::Status status;
  std::uint64_t appends_before = 0;
  group.for_each([&](Waiting& waiting) {
    if (waiting.data != nullptr) {
      if (versions_.conflicts(*waiting.data)) {
        waiting.answer = fail(ErrorCode::conflict,
                              "what the transaction read was changed by another one meanwhile");
        // The clock's mark goes with any commit and is believed to be in the store.
        for (const RowWrite& row : waiting.rows) {
          if (row.table == meta_table) keep_first(status, batch.Put(row.key, row.value));
        }
        return;
      }
      versions_.note(*waiting.data);
      auto* data = families_[static_cast<std::size_t>(Table::data)];
      for (const auto& [key, value] : waiting.data->writes) {
        keep_first(status, value ? batch.Put(data, key, *value) : batch.Delete(data, key));
      }
    }
    for (const RowWrite& row : waiting.rows) {
      auto* family = families_[static_cast<std::size_t>(row.table)];
      keep_first(status,
                 row.erase ? batch.Delete(family, row.key) : batch.Put(family, row.key, row.value));
    }
  });
  if (status.ok() && batch.Count() > 0) {
    rocksdb::WriteOptions options;
    options.sync = group.first->durability == Durability::synced;
    appends_before = full_disk_->log_appends();
    status = db_.Write(options, &batch);
  }
  if (!status.ok()) {
    Error error = to_error(status, "writing to the log of " + store_);
    error.code =
        full_disk_->explains(status, appends_before) ? ErrorCode::no_space : ErrorCode::unknown;
    return std::unexpected(std::move(error));
  }
  // Only the leader writes, so there is nothing to meet here.
  commits_.fetch_add(group.count, std::memory_order_relaxed);
  if (group.first->durability == Durability::synced) {
    syncs_.fetch_add(1, std::memory_order_relaxed);
  }
  visible_.store(versions_.last());
  return {};
}

CommitQueue::Waiting::Turn CommitQueue::Waiting::wait() {
  signal_.wait();
  return turn_;
}

void CommitQueue::Waiting::wake(Turn turn) {
  turn_ = turn;
  signal_.send();
}

Result<void> CommitQueue::commit(std::vector<RowWrite>& rows, Durability durability,
                                 const DataChanges* data) {
  Waiting self(rows, durability, data);
  auto first = enter(self);
  if (!first) return pass(first);
  if (*first || self.wait() == Waiting::Turn::lead) lead(self);
  return std::move(self.answer);
}

Result<bool> CommitQueue::enter(Waiting& self) {
  MutexLock lock(mutex_);
  if (!poison_.empty()) return refuse();
  if (auto numbered = number(self.rows); !numbered) {
    poison_ = numbered.error().message;
    return pass(numbered);
  }
  (back_ == nullptr ? front_ : back_->next) = &self;
  back_ = &self;
  return front_ == &self;
}

void CommitQueue::lead(Waiting& self) {
  Group group;
  bool poisoned = false;
  {
    MutexLock lock(mutex_);
    group = first_group();
    poisoned = !poison_.empty();
  }
  Result<void> written;
  if (!poisoned) {
    try {
      written = write(group);
    } catch (const std::bad_alloc&) {
      // Whoever waits must be told, and nobody may build on what is half noted.
      written = std::unexpected(no_memory(ErrorCode::unknown));
    }
  }
  Waiting* next = nullptr;
  {
    MutexLock lock(mutex_);
    next = settle(group, poisoned, written);
  }
  // First, so that it writes while the others are woken.
  if (next != nullptr) next->wake(Waiting::Turn::lead);
  group.for_each([&](Waiting& waiting) {
    if (&waiting != &self) waiting.wake(Waiting::Turn::settled);
  });
}

CommitQueue::Waiting* CommitQueue::settle(const Group& group, bool poisoned,
                                          const Result<void>& written) {
  const bool refused = !written && written.error().code == ErrorCode::no_space;
  if (!written && !refused && poison_.empty()) {
    try {
      poison_ = fmt::format(
          "an earlier write failed ({}); reading goes on, open the store again to write",
          written.error().message);
    } catch (const std::bad_alloc&) {
      poison_ = no_memory_left;
    }
  }
  const ErrorCode code = poisoned  ? ErrorCode::poisoned
                         : refused ? ErrorCode::no_space
                                   : ErrorCode::unknown;
  // The analysis does not know that it is called here and now.
  group.for_each([&](Waiting& waiting) ONCE_NO_ANALYSIS {
    front_ = waiting.next;
    if (!poisoned && written) return;  // the answer is there already
    try {
      if (poisoned) {
        waiting.answer = refuse();
      } else if (refused) {
        waiting.answer = written;
      } else {
        // What of it reached the disk is known only after reopening.
        waiting.answer = fail(code, "{}; whether this was kept shows after opening the store again",
                              written.error().message);
      }
    } catch (const std::bad_alloc&) {
      waiting.answer = std::unexpected(no_memory(code));
    }
  });
  if (front_ == nullptr) back_ = nullptr;
  return front_;
}

std::unexpected<Error> CommitQueue::refuse() const {
  return fail(ErrorCode::poisoned, "{}", poison_);
}

void CommitQueue::poison(const std::string& why) {
  MutexLock lock(mutex_);
  if (poison_.empty()) poison_ = why;
}

bool CommitQueue::poisoned() const {
  MutexLock lock(mutex_);
  return !poison_.empty();
}

}  // namespace once::engine
