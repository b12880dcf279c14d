// What a transaction has read and wants to write.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "engine/engine.h"
#include "once/transaction.h"

namespace once {

// Used by the thread that runs the work.
class Transaction::Impl {
 public:
  Impl(std::unique_ptr<engine::DataView> view, const Options& options)
      : view_(std::move(view)), options_(options) {}

  Result<std::optional<Bytes>> get(ByteView key);
  Result<void> scan(ByteView from, ByteView to,
                    const std::function<bool(ByteView, ByteView)>& visit);
  Result<void> write(ByteView key, std::optional<Bytes> value);
  Result<void> publish(Event event);
  Result<void> save_checkpoint(ByteView name, ByteView data);

  // What is to be validated, and, if `with_writes`, written.
  [[nodiscard]] engine::DataChanges changes(bool with_writes) const;
  [[nodiscard]] const std::vector<Event>& events() const { return events_; }
  [[nodiscard]] const std::vector<Checkpoint>& checkpoints() const { return checkpoints_; }

 private:
  const std::unique_ptr<engine::DataView> view_;
  const Options& options_;
  std::map<Bytes, std::optional<Bytes>> writes_;  // nullopt: erased
  std::vector<Bytes> read_;
  std::vector<std::pair<Bytes, Bytes>> ranges_;
  std::vector<Event> events_;
  std::vector<Checkpoint> checkpoints_;
};

}  // namespace once
