// Keys in doubt, and runs that may be repeated: what the hooks of an Executor decide on.
#include <utility>

#include "base/error.h"
#include "execute/executor_impl.h"
#include "store/limit_checks.h"

namespace once {

Result<void> Executor::Impl::may_repeat(const Key& key, const Found& found,
                                        const std::optional<Token>& decided) const {
  if (!options.is_safe_to_retry || decided == found.record.token) return {};
  if (options.is_safe_to_retry(key, found)) return {};
  return fail(ErrorCode::retry_refused,
              "key {} was tried {} times and is {}; is_safe_to_retry() refused to have it run "
              "again, and it was left as it is",
              key.to_string(), found.record.attempt, to_string(found.record.status));
}

Result<void> Executor::Impl::settle(const Key& key, const Error& doubt, Duration deadline,
                                    const std::stop_token& stop, std::optional<Token>& rerun) {
  Store::Impl& inner = inside();
  const std::stop_callback wake(stop, [&] { inner.waiters.notify(key); });
  while (true) {
    const std::uint64_t ticket = inner.waiters.ticket(key);
    if (inner.enter(key)) {
      const Turn turn(inner, key);
      return decide(key, doubt, rerun);
    }
    if (stop.stop_requested()) return cancelled(key);
    if (inner.wait_for(key, ticket, deadline)) continue;
    return fail(ErrorCode::busy,
                "key {} is in doubt, and somebody else is asking the resolver about it; ask again "
                "later, or wait longer",
                key.to_string());
  }
}

Result<void> Executor::Impl::decide(const Key& key, const Error& doubt,
                                    std::optional<Token>& rerun) {
  auto found = store.find(key);
  if (!found) return pass(found);
  // Decided by whoever was at it before.
  if (!*found || (*found)->record.status != Status::in_doubt) return {};
  const Token seen = (*found)->record.token;
  const Resolution resolution = options.resolver(key, (*found)->record);
  if (resolution.kind() == Resolution::Kind::unknown) return std::unexpected(doubt);
  if (auto checked = check_outcome(resolution.outcome(), inside().options); !checked) {
    return checked;
  }
  const Verdict verdict = resolution.kind() == Resolution::Kind::success   ? Verdict::success
                          : resolution.kind() == Resolution::Kind::failure ? Verdict::failure
                                                                           : Verdict::rerun;
  auto resolved = inside().transition<std::monostate>(
      key, Durability::synced, [&](const ledger::Moment& moment) {
        const bool same = moment.record && moment.record->status == Status::in_doubt &&
                          moment.record->token == seen;
        if (!same) return ledger::Decision<std::monostate>{.answer = std::monostate{}};
        rerun.reset();
        if (verdict == Verdict::rerun) rerun = moment.fresh;
        return ledger::resolve(moment, verdict, resolution.outcome());
      });
  if (!resolved) return pass(resolved);
  return {};
}

}  // namespace once
