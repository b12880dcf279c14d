// The rules of a record's life (docs/architecture.md) on the maps of the reference model; see
// store_model.h.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "support/store_model.h"

namespace once::testing {

// The end of time, if that comes first.
[[nodiscard]] Time later(Time time, Duration by);
[[nodiscard]] bool answers(Status status);
// Past retention counts for what is finished only; a released key has a retention, too.
[[nodiscard]] bool is_over(const Record& record, Time now);

// What one call does to a state.
class Rules {
 public:
  Rules(StoreState state, Time now, const Holder& self,
        const std::map<std::uint32_t, Liveness>& lives)
      : state_(std::move(state)), now_(now), self_(self), lives_(lives) {}

  // Nothing is committed before commit(); what several of these do goes into one.
  Reply reserve(const Request& request, Token fresh);
  Reply complete(const Request& request);
  Reply renew(const Request& request);
  Reply release(const Key& key, Token token);
  Reply doubt(const Key& key, Token token);
  Reply resolve(const Request& request);
  Reply remove(const Key& key);
  Reply save_checkpoint(const Request& request);
  Reply transact(const Request& request, Token fresh);
  Reply execute(const Request& request, Token fresh);
  Reply publish(const Request& request, std::uint64_t sequence);
  Reply find(const Key& key);
  Reply load_checkpoints(const Key& key);

  void commit() {
    if (changed_) commits_.push_back(state_);
    changed_ = false;
  }
  [[nodiscard]] std::vector<StoreState> commits() && { return std::move(commits_); }

 private:
  static Reply refuse(ErrorCode code) {
    Reply reply;
    reply.error = code;
    return reply;
  }
  // As it counts now, or null.
  const KeyState* live(const Key& key) const {
    const auto at = state_.keys.find(key);
    return at == state_.keys.end() || is_over(at->second->record, now_) ? nullptr
                                                                        : at->second.get();
  }
  // In progress under this token.
  const KeyState* owned(const Key& key, Token token) const {
    const KeyState* state = live(key);
    const bool mine = state != nullptr && state->record.status == Status::in_progress &&
                      state->record.token == token && token.value != 0;
    return mine ? state : nullptr;
  }
  bool held(const Record& record) const {
    if (record.status != Status::in_progress || record.lease_until <= now_) return false;
    if (record.holder == self_) return true;
    const auto at = lives_.find(record.holder.pid);
    return at == lives_.end() || at->second != Liveness::dead;
  }
  std::size_t write_history(const Key& key, const Record& record, What what, std::size_t previous,
                            bool may_forget);
  void put(const Key& key, KeyState state, What what);
  void put_quietly(const Key& key, KeyState state) {
    state_.keys[key] = std::make_shared<const KeyState>(std::move(state));
    changed_ = true;
  }
  KeyState granted(const Request& request, Token fresh) const;
  KeyState finished(KeyState state, const Outcome& outcome, Duration retention) const;
  Reply replay(const KeyState& state) const;

  StoreState state_;
  const Time now_;
  const Holder self_;
  const std::map<std::uint32_t, Liveness>& lives_;
  bool changed_ = false;
  std::vector<StoreState> commits_{};
};

}  // namespace once::testing
