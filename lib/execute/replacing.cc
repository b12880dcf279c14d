// refresh() and merge(): the work runs although there is an outcome, and one commit replaces it.
//
// No reservation is written. The record stays finished, and so is replayed, until it is replaced on
// condition that its token is the one that was seen. A process that dies in between leaves nothing.
#include <utility>

#include "base/error.h"
#include "execute/executor_impl.h"
#include "store/limit_checks.h"

namespace once {
namespace {

using Merge = std::function<Result<Outcome>(const Outcome&, const Outcome&)>;

// What is to be replaced, and the token that was drawn for it.
struct Seen {
  Found found{};
  Token token{};
};

// One replacement: the work runs once, and what it gives is merged as often as it takes.
class Replacing {
 public:
  using RetentionOf = std::function<Duration(const Outcome&)>;
  Replacing(Executor& executor, Store::Impl& inner, const Key& key, const ExecuteOptions& call)
      : executor_(executor), inner_(inner), key_(key), request_(reserve_options(call)) {}

  // The finished record, and a fresh token; nullopt when it is not finished (or not any more).
  // Errors: mismatch, among others.
  Result<std::optional<Seen>> look();
  // Puts `current`, merged, in the place of what was seen, for as long as `retention_of` says.
  Result<std::pair<Outcome, Provenance>> put(Seen seen, const Outcome& current, const Merge& merge,
                                             const RetentionOf& retention_of);

 private:
  Result<Outcome> merged(const Outcome& previous, const Outcome& current, const Merge& merge) const;

  Executor& executor_;
  Store::Impl& inner_;
  const Key& key_;
  const ReserveOptions request_;
};

Result<std::optional<Seen>> Replacing::look() {
  Seen seen;
  auto decided = inner_.transition<ledger::ReserveDecision>(
      key_, request_.durability, [&](const ledger::Moment& moment) {
        auto decision = ledger::reserve(moment, request_);
        decision.change = {};  // only looked at
        seen.token = moment.fresh;
        return decision;
      });
  if (!decided) {
    const ErrorCode code = decided.error().code;
    if (code == ErrorCode::busy || code == ErrorCode::in_doubt) return std::nullopt;
    return pass(decided);
  }
  const auto* finished = std::get_if<Provenance>(&*decided);
  if (finished == nullptr) return std::nullopt;
  auto found = executor_.store().find(key_);
  if (!found) return pass(found);
  if (!*found || (*found)->record.token != finished->token || !(*found)->outcome) {
    return std::nullopt;
  }
  seen.found = std::move(**found);
  return seen;
}

Result<Outcome> Replacing::merged(const Outcome& previous, const Outcome& current,
                                  const Merge& merge) const {
  if (!merge || previous.kind != OutcomeKind::success) return current;
  if (previous.omitted_bytes != 0) {
    return fail(ErrorCode::outcome_omitted,
                "the outcome that key {} has was too large to keep, so that nothing can be merged "
                "with it; refresh() replaces it",
                key_.to_string());
  }
  auto both = merge(previous, current);
  if (!both && both.error().code == ErrorCode::wrong_type) {
    both.error().message = fmt::format("key {}: {}", key_.to_string(), both.error().message);
  }
  return both;
}

Result<std::pair<Outcome, Provenance>> Replacing::put(Seen seen, const Outcome& current,
                                                      const Merge& merge,
                                                      const RetentionOf& retention_of) {
  while (true) {
    auto outcome = merged(*seen.found.outcome, current, merge);
    if (!outcome) return pass(outcome);
    if (auto checked = check_outcome(*outcome, inner_.options); !checked) return pass(checked);
    auto replaced =
        inner_.transition<Provenance>(key_, request_.durability, [&](const ledger::Moment& moment) {
          return ledger::replace(moment,
                                 {.seen = seen.found.record.token,
                                  .token = seen.token,
                                  .merged = merge != nullptr,
                                  .retention = retention_of(*outcome)},
                                 request_, *outcome);
        });
    if (replaced) return std::pair(std::move(*outcome), *replaced);
    if (!merge || replaced.error().code != ErrorCode::fenced) return pass(replaced);
    auto again = look();
    if (!again) return pass(again);
    if (!*again) return pass(replaced);  // somebody carries it out anew
    seen.found = std::move((*again)->found);
  }
}

}  // namespace

Result<std::optional<Executor::Impl::Tried>> Executor::Impl::replace(Executor& executor,
                                                                     const Key& key,
                                                                     const Store::Work& work,
                                                                     const Merge& merge,
                                                                     const ExecuteOptions& call) {
  Store::Impl& inner = inside();
  Replacing replacing(executor, inner, key, call);
  auto seen = replacing.look();
  if (!seen) return pass(seen);
  if (!*seen) return std::nullopt;
  const Record& record = (*seen)->found.record;
  if (record.status == Status::failed) {
    if (auto may = may_repeat(key, (*seen)->found, std::nullopt); !may) return pass(may);
  }
  const Reservation mine{
      .key = key, .token = (*seen)->token, .attempt = record.attempt + 1, .lease = call.lease};
  tell_before(mine);
  Tried tried{.begun = true};
  Result<Outcome> current;
  try {
    current = work(mine);
  } catch (...) {
    tried.thrown = std::current_exception();
    current = std::unexpected(
        Error{.code = ErrorCode::unknown, .message = "the work threw an exception"});
  }
  if (!current) {
    std::exception_ptr hook_threw;
    tried.failure = classify(current.error(), tried.thrown, hook_threw);
    tell_failure(mine, current.error(), *tried.failure, tried.thrown != nullptr);
    if (hook_threw && !tried.thrown) std::rethrow_exception(hook_threw);
    tried.answer = pass(current);
    return tried;
  }
  auto put = replacing.put(std::move(**seen), *current, merge,
                           [&](const Outcome& outcome) { return retention_of(outcome, call); });
  if (!put) return pass(put);
  inner.meters.count(key, metrics::Counted::executions);
  tried.answer = Store::Answer{.outcome = std::move(put->first), .provenance = put->second};
  tell_after(key, *tried.answer);
  return tried;
}

Result<Store::Answer> Executor::replace(const Key& asked, const Store::Work& work,
                                        const Merge& merge, const ExecuteOptions& options) {
  // A copy: the work may change what the caller's key was made of.
  // NOLINTNEXTLINE(performance-unnecessary-copy-initialization)
  const Key key = asked;
  if (auto valid = key.validate(); !valid) return pass(valid);
  if (auto checked = impl_->check(options); !checked) return pass(checked);
  Store::Impl& inner = impl_->inside();
  const Duration deadline = impl_->deadline_of(options);
  const std::stop_callback wake(options.stop, [&] { inner.waiters.notify(key); });
  Replacing replacing(*this, inner, key, options);
  Impl::Tries tries{.most = impl_->options.failures.attempts};
  while (true) {
    const std::uint64_t ticket = inner.waiters.ticket(key);
    auto seen = replacing.look();
    if (!seen) return pass(seen);
    if (!*seen) {
      auto first = impl_->run(key, work, options, tries);
      if (!first) return pass(first);
      if (auto* answer = std::get_if<Store::Answer>(&*first)) return std::move(*answer);
      continue;  // somebody else has finished it meanwhile
    }
    if (inner.enter(key)) {
      std::optional<Impl::Tried> tried;
      {
        const Turn turn(inner, key);
        auto replaced = impl_->replace(*this, key, work, merge, options);
        if (!replaced) return pass(replaced);
        tried = std::move(*replaced);
      }
      if (!tried) continue;
      ++tries.done;
      if (impl_->try_again(key, *tried, tries, options.stop)) continue;
      if (tried->thrown) std::rethrow_exception(tried->thrown);
      return std::move(tried->answer);
    }
    if (options.stop.stop_requested()) return cancelled(key);
    if (inner.wait_for(key, ticket, deadline)) continue;
    return fail(ErrorCode::busy,
                "key {} is being refreshed or merged by another call of this process, which did "
                "not finish in time; ask again later, or wait longer",
                key.to_string());
  }
}

}  // namespace once
