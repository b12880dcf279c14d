#include "once/transaction.h"

#include "base/error.h"
#include "store/limit_checks.h"
#include "store/transaction_impl.h"

namespace once {

Result<std::optional<Bytes>> Transaction::Impl::get(ByteView key) {
  if (auto checked = check_data_key(key); !checked) return pass(checked);
  Bytes owned(key);
  if (const auto written = writes_.find(owned); written != writes_.end()) return written->second;
  auto value = view_->get(key);
  if (value) read_.push_back(std::move(owned));
  return value;
}

Result<void> Transaction::Impl::scan(ByteView from, ByteView to,
                                     const std::function<bool(ByteView, ByteView)>& visit) {
  ranges_.emplace_back(from, to);
  // Rows of the snapshot and the transaction's own writes, merged in key order.
  auto own = writes_.lower_bound(Bytes(from));
  const auto own_end = [&] { return own == writes_.end() || (!to.empty() && own->first >= to); };
  bool go_on = true;
  const auto visit_own = [&] {
    if (own->second) go_on = visit(own->first, *own->second);
    ++own;
  };
  auto scanned = view_->scan(from, to, [&](ByteView key, ByteView value) {
    while (go_on && !own_end() && own->first < key) visit_own();
    if (!go_on) return false;
    if (!own_end() && own->first == key) {
      visit_own();
    } else {
      go_on = visit(key, value);
    }
    return go_on;
  });
  if (!scanned) return scanned;
  while (go_on && !own_end()) visit_own();
  return {};
}

Result<void> Transaction::Impl::write(ByteView key, std::optional<Bytes> value) {
  if (auto checked = check_data_key(key); !checked) return checked;
  if (auto checked = check_data_value(value.value_or(""), options_); !checked) return checked;
  writes_[Bytes(key)] = std::move(value);
  return {};
}

Result<void> Transaction::Impl::publish(Event event) {
  if (auto checked = check_event(event, options_); !checked) return checked;
  // What becomes of an event is the store's to say, whatever it was read from.
  event.sequence = 0;
  event.status = EventStatus::pending;
  event.retries = 0;
  event.published_at = event.expires_at = event.next_attempt_at = {};
  event.last_error.clear();
  events_.push_back(std::move(event));
  return {};
}

Result<void> Transaction::Impl::save_checkpoint(ByteView name, ByteView data) {
  if (auto checked = check_checkpoint(name, data, options_); !checked) return checked;
  checkpoints_.push_back({.name = std::string(name), .data = Bytes(data), .token = {}});
  return {};
}

engine::DataChanges Transaction::Impl::changes(bool with_writes) const {
  engine::DataChanges changes{.version = view_->version(), .read = read_, .ranges = ranges_};
  if (with_writes) changes.writes.assign(writes_.begin(), writes_.end());
  return changes;
}

Result<std::optional<Bytes>> Transaction::get(ByteView key) {
  return impl_.get(key);
}

Result<void> Transaction::scan(ByteView from, ByteView to,
                               const std::function<bool(ByteView, ByteView)>& visit) {
  return impl_.scan(from, to, visit);
}

Result<void> Transaction::put(ByteView key, ByteView value) {
  return impl_.write(key, Bytes(value));
}

Result<void> Transaction::erase(ByteView key) {
  return impl_.write(key, std::nullopt);
}

Result<void> Transaction::publish(Event event) {
  return impl_.publish(std::move(event));
}

Result<void> Transaction::save_checkpoint(ByteView name, ByteView data) {
  return impl_.save_checkpoint(name, data);
}

}  // namespace once
