// Taking transactions up again that were left behind: by key, all of them, or without being told
// to.
#include <algorithm>
#include <exception>
#include <set>
#include <utility>

#include "base/error.h"
#include "transaction/coordinator_impl.h"

namespace once {
namespace {

std::unexpected<Error> no_transaction(const Key& key) {
  return fail(ErrorCode::not_found, "there is no transaction {}; nothing to recover",
              key.to_string());
}

std::unexpected<Error> threw(const Key& key) {
  return fail(ErrorCode::unknown,
              "somebody who was called while transaction {} was recovered threw an exception; "
              "recover it again",
              key.to_string());
}

}  // namespace

Result<std::string> Coordinator::Impl::spelled(std::string_view prefix) {
  const std::size_t percent = prefix.rfind('%');
  const bool whole = percent == std::string_view::npos || prefix.size() - percent >= 3;
  const std::string_view tail = whole ? std::string_view() : prefix.substr(percent);
  prefix.remove_suffix(tail.size());
  std::string text;
  while (true) {
    const std::size_t slash = prefix.find('/');
    auto part = unescape(prefix.substr(0, slash));
    if (!part) return pass(part);
    text += escape(*part);
    if (slash == std::string_view::npos) return text.append(tail);
    text += '/';
    prefix.remove_prefix(slash + 1);
  }
}

Result<TransactionReport> Coordinator::Impl::recover(const Key& asked,
                                                     const CoordinatorOptions& options) {
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Key key = asked;
  if (auto checked = check_options(); !checked) return pass(checked);
  auto found = report(key);
  if (!found) return pass(found);
  if (!*found) return no_transaction(key);
  if ((*found)->finished()) {
    (*found)->replayed = true;
    return std::move(**found);
  }
  auto log = log_of(key);
  if (!log) return pass(log);
  if (!*log) return no_transaction(key);
  // Before it is taken over: nothing may change when somebody is missing.
  if (auto known = participants_of(key, (*log)->plan); !known) return pass(known);
  return take_and_drive(key, (*log)->plan, Duration(0), options);
}

Result<std::vector<Key>> Coordinator::Impl::unfinished(std::string_view prefix,
                                                       std::vector<Error>& unreadable) {
  std::vector<Key> keys;
  auto scanned = store_.scan({.prefix = Bytes(prefix), .status = std::nullopt},
                             [&](const Key& key, const Record& record) {
                               if (!is_finished(record.status)) keys.push_back(key);
                               return true;
                             });
  if (scanned) return keys;
  // It ends at the first record that cannot be read, and the others are not to wait for that one:
  // all are looked at, since it cannot be told under which prefix it is.
  auto text = spelled(prefix);
  if (!text) return pass(scanned);
  auto in_use = inside_.use();
  if (!in_use) return pass(in_use);
  keys.clear();
  scanned = inside_.engine->rows({.table = Table::keys}, [&](const Result<Row>& row) {
    if (!row) {
      unreadable.push_back(row.error());
      return true;
    }
    const auto& [key, record] = std::get<KeyRow>(*row);
    if (!is_finished(record.status) && key.to_string().starts_with(*text)) keys.push_back(key);
    return true;
  });
  if (!scanned) return pass(scanned);
  return keys;
}

Result<RecoveryReport> Coordinator::Impl::recover_all(std::string_view prefix) {
  if (auto checked = check_options(); !checked) return pass(checked);
  RecoveryReport all;
  auto keys = unfinished(prefix, all.unreadable);
  if (!keys) return pass(keys);
  std::exception_ptr thrown;  // the first
  for (const Key& key : *keys) {
    auto log = log_of(key);
    if (log && !*log) continue;
    Result<TransactionReport> recovered;
    try {
      recovered = log ? recover(key) : pass(log);
    } catch (...) {
      // The others are not to wait for one whose participant throws each time.
      if (!thrown) thrown = std::current_exception();
      recovered = threw(key);
    }
    if (recovered) {
      (recovered->finished() ? all.finished : all.pending).push_back(std::move(*recovered));
    } else if (recovered.error().code == ErrorCode::busy) {
      all.busy.push_back(key);
    } else {
      all.failed.emplace_back(key, std::move(recovered.error()));
    }
  }
  for (const TransactionReport& report : all.pending) recoverer_.leave(report.key);
  for (const Key& key : all.busy) recoverer_.leave(key);
  for (const auto& [key, error] : all.failed) recoverer_.leave(key);
  if (options_.self_recovery_prefix.starts_with(prefix)) recoverer_.was_found();
  if (thrown) std::rethrow_exception(thrown);
  return all;
}

Result<void> Coordinator::Impl::begin() {
  if (auto checked = check_options(); !checked) return checked;
  return recoverer_.begin(nullptr);
}

Result<std::vector<Key>> Coordinator::Impl::find_unfinished() {
  std::vector<Error> unreadable;
  return unfinished(options_.self_recovery_prefix, unreadable);
}

bool Coordinator::Impl::recover_by_itself(const Key& key) {
  Result<TransactionReport> done;
  try {
    done = recover(key, brief_);
  } catch (...) {
    done = threw(key);
  }
  // Of other keys nothing is told, nor of what somebody else has finished, or is at.
  if (!done && done.error().code == ErrorCode::not_found) return true;
  if (!done && done.error().code == ErrorCode::busy) return false;
  if (done && done->replayed) return true;
  if (options_.recovered) options_.recovered(key, done);
  return done && done->finished();
}

}  // namespace once
